"""`kill -9` at the server's nth request or inside a commit, then `runs resume`: the same result, no call paid twice."""

from __future__ import annotations

import json
import random
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sudden_death
from forked_commands import ForkedCommands
from runs_over_http import (
    committed,
    comparable,
    database_in,
    end,
    environment,
    events_of,
    integrity,
    left_behind,
    run,
    start,
    write_config,
)
from world_server import WorldProcess

CONCURRENCY = 8
KILLS = 3
UNCOMMITTED = CONCURRENCY  # an answer keeps its slot until it is committed
LAST = 0.97  # of the requests of a whole run: the latest place of a kill


@dataclass(frozen=True)
class Whole:
    """An uninterrupted run: what it reported, decided and asked."""

    report: str
    decisions: list[tuple[str, str]]
    calls: Counter[str]


@pytest.fixture(scope="module")
def slow_world() -> Iterator[WorldProcess]:
    """Answers after 0 to 20 ms, so that several requests are under way when a process dies."""
    with WorldProcess(latency=(0.0, 0.02), seed=5) as process:
        yield process


@pytest.fixture(scope="module")
def config(slow_world: WorldProcess, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of about 160 calls."""
    model = {"concurrency": CONCURRENCY}
    return write_config(tmp_path_factory.mktemp("crash"), slow_world.url, rows=60, model=model)


@pytest.fixture(scope="module")
def whole(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """The same run without a crash, on a database of its own."""
    folder = tmp_path_factory.mktemp("whole")
    code, out, err = run("optimize", str(config), "--db", database_in(folder), "--json", "-q", folder=folder)
    assert code == 0, err
    file = folder / "runs.db"
    return Whole(comparable(json.loads(out)), decisions(file), committed(file))


def decisions(file: Path) -> list[tuple[str, str]]:
    """The events that a resumed run must repeat."""
    lifecycle = {"run_started", "run_resumed", "run_stopped", "run_finished"}
    return [(kind, body) for kind, body in events_of(file) if kind not in lifecycle]


def difference(later: dict[str, Any], earlier: dict[str, Any]) -> Counter[str]:
    """Questions that the server saw between two looks at its counters."""
    return Counter(later["questions"]) - Counter(earlier["questions"])


@pytest.mark.slow
@pytest.mark.parametrize("number", range(KILLS))
def test_a_killed_run_goes_on_to_the_same_result_and_repeats_no_committed_call(
    forked_commands: ForkedCommands,
    slow_world: WorldProcess,
    config: Path,
    whole: Whole,
    tmp_path: Path,
    number: int,
) -> None:
    draw = random.Random(f"kill {number}")
    total = whole.calls.total()
    third = int(total * LAST) // KILLS
    nth, seconds = number * third + draw.randrange(1, third), draw.uniform(0.0, 0.02)
    file, database = tmp_path / "runs.db", database_in(tmp_path)

    before = slow_world.quiet_stats()
    process = start("optimize", str(config), "--db", database, "--json", "-q", folder=tmp_path)
    slow_world.kill_at(process.pid, nth, seconds)
    code, _, err = end(process)
    assert code == -signal.SIGKILL, err
    at_kill, kept = slow_world.quiet_stats(), left_behind(file)
    lost = difference(at_kill, before).total() - kept.total()
    assert 0 <= lost <= UNCOMMITTED

    goes_on_as_if_nothing_had_happened(forked_commands, slow_world, whole, file, at_kill, kept)


@pytest.mark.slow
@pytest.mark.parametrize("place", sudden_death.PLACES)
@pytest.mark.parametrize("client", ["http", "litellm"])
def test_a_run_that_dies_inside_a_commit_goes_on_to_the_same_result(
    forked_commands: ForkedCommands, slow_world: WorldProcess, whole: Whole, tmp_path: Path, place: str, client: str
) -> None:
    nth = random.Random(f"{place} {client}").randrange(20, 40)
    model = {"concurrency": CONCURRENCY, "client": client}
    config = write_config(tmp_path, slow_world.url, rows=60, model=model)
    file = tmp_path / "runs.db"
    arguments = ("optimize", str(config), "--db", database_in(tmp_path), "--json", "-q")

    before = slow_world.quiet_stats()
    if client == "litellm":  # which takes seconds to load
        died = forked_commands.run(arguments, tmp_path, environment(), death=(place, nth))
        code, err = died.returncode, died.stderr
    else:
        program = (str(sudden_death.__file__), place, str(nth))
        code, _, err = end(start(*arguments, folder=tmp_path, program=program))
    assert code == -signal.SIGKILL, err
    at_kill, kept = slow_world.quiet_stats(), left_behind(file)
    lost = difference(at_kill, before).total() - kept.total()
    assert 0 <= lost <= UNCOMMITTED
    assert kept, "the run had not got going"
    goes_on_as_if_nothing_had_happened(forked_commands, slow_world, whole, file, at_kill, kept)


def goes_on_as_if_nothing_had_happened(
    commands: ForkedCommands,
    world: WorldProcess,
    whole: Whole,
    file: Path,
    at_kill: dict[str, Any],
    kept: Counter[str],
) -> None:
    """Resume the only run in this file, and compare its end with that of the run that nobody killed."""
    arguments = ("runs", "resume", "latest", "--db", database_in(file.parent, file.name), "--json", "-q")
    resumed = commands.run(arguments, file.parent, environment())
    assert resumed.returncode == 0, resumed.stderr
    after = difference(world.quiet_stats(), at_kill)
    assert comparable(json.loads(resumed.stdout)) == whole.report
    assert decisions(file) == whole.decisions
    assert committed(file) == whole.calls
    assert after == whole.calls - kept, "a committed call was repeated, or one that was not is missing"
    assert integrity(file) == "ok"
