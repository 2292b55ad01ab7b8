"""Two processes on one database: side by side they do not disturb each other, and on one run the second is refused.

And what becomes of a run whose lock or connections are lost.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from postgres_server import PostgresServer
from runs_over_http import comparable, database_in, end, run, start, write_config
from sqlalchemy import make_url, text
from world_server import WorldProcess

from promptprop.adapters.storage.migrate import check
from promptprop.adapters.storage.store import open_store

pytestmark = pytest.mark.slow

FROZEN_AT = 50  # requests into a run of more than 100


@pytest.fixture(scope="module")
def slow_world() -> Iterator[WorldProcess]:
    """Answers after 5 to 20 ms, so that two runs are at the same questions at the same time."""
    with WorldProcess(latency=(0.005, 0.02), seed=5) as process:
        yield process


@pytest.fixture(scope="module")
def configs(slow_world: WorldProcess, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two runs that share no question: the second one asks for other parameters."""
    folder = tmp_path_factory.mktemp("configs")
    first = write_config(folder, slow_world.url, rows=40)
    second = write_config(
        folder,
        slow_world.url,
        rows=40,
        name="second.yaml",
        seed=11,
        model={"temperature": 0.5},
    )
    return first, second


@pytest.fixture(scope="module")
def alone(configs: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of them reports when nobody else is there."""
    reports = []
    for config in configs:
        folder = tmp_path_factory.mktemp("alone")
        ended = run("optimize", str(config), "--db", database_in(folder), "--json", "-q", folder=folder)
        reports.append(report(*ended))
    return reports


def report(code: int, out: str, err: str) -> dict[str, Any]:
    """The report of a run that came to its end."""
    assert code == 0, out + err
    found: dict[str, Any] = json.loads(out)
    return found


def side_by_side(configs: tuple[Path, Path], database: str, folder: Path) -> list[dict[str, Any]]:
    both = [start("optimize", str(config), "--db", database, "--json", "-q", folder=folder) for config in configs]
    ended = [end(process) for process in both]
    return [report(*one) for one in ended]


def findings(found: dict[str, Any]) -> str:
    """A report without what it cost."""
    return comparable({**found, "spend": {"total": {}, "roles": {}}})


def spent(*reports: dict[str, Any]) -> Counter[str]:
    """Calls and tokens of several runs together."""
    totals: Counter[str] = Counter()
    for found in reports:
        totals.update({name: found["spend"]["total"][name] for name in ("calls", "prompt_tokens", "completion_tokens")})
    return totals


def served(before: dict[str, Any], after: dict[str, Any]) -> Counter[str]:
    """What the server counted in between."""
    names = {"calls": "requests", "prompt_tokens": "prompt_tokens", "completion_tokens": "completion_tokens"}
    return Counter({name: after[there] - before[there] for name, there in names.items()})


def stored(database: str) -> Counter[str]:
    """How many calls the database holds per key."""
    with closing(open_store(database, must_exist=True)) as store, store.reading() as connection:
        return Counter(connection.execute(text("SELECT key FROM calls")).scalars())


def freeze(world: WorldProcess, process: subprocess.Popen[str]) -> None:
    """Stop a run in its midst, and return when it stands still."""
    world.kill_at(process.pid, FROZEN_AT, number=signal.SIGSTOP)
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)


def test_two_different_runs_on_one_database_find_and_spend_what_they_do_alone(
    slow_world: WorldProcess,
    configs: tuple[Path, Path],
    alone: list[dict[str, Any]],
    any_database_url: str,
    tmp_path: Path,
) -> None:
    before = slow_world.quiet_stats()
    found = side_by_side(configs, any_database_url, tmp_path)
    assert [comparable(one) for one in found] == [comparable(one) for one in alone]
    assert spent(*found) == served(before, slow_world.quiet_stats())
    calls = stored(any_database_url)
    assert set(calls.values()) == {1}
    assert calls.total() == spent(*alone)["calls"]
    assert check(any_database_url) == []


def test_the_same_run_twice_at_once_finds_the_same_and_stores_each_call_once(
    slow_world: WorldProcess,
    configs: tuple[Path, Path],
    alone: list[dict[str, Any]],
    any_database_url: str,
    tmp_path: Path,
) -> None:
    before = slow_world.quiet_stats()
    found = side_by_side((configs[0], configs[0]), any_database_url, tmp_path)
    assert found[0]["run_id"] != found[1]["run_id"]
    assert [findings(one) for one in found] == [findings(alone[0])] * 2
    assert spent(*found) == served(before, slow_world.quiet_stats())
    calls = stored(any_database_url)
    assert set(calls.values()) == {1}
    assert calls.total() == spent(alone[0])["calls"]
    assert check(any_database_url) == []


def test_a_second_process_on_a_run_is_refused_and_the_first_one_is_undisturbed(
    slow_world: WorldProcess,
    configs: tuple[Path, Path],
    alone: list[dict[str, Any]],
    any_database_url: str,
    tmp_path: Path,
) -> None:
    first = start("optimize", str(configs[0]), "--db", any_database_url, "--json", "-q", folder=tmp_path)
    freeze(slow_world, first)
    code, out, _ = run("runs", "resume", "latest", "--db", any_database_url, "--json", "-q", folder=tmp_path)
    os.kill(first.pid, signal.SIGCONT)
    found = report(*end(first))
    refusal = json.loads(out)["error"]
    assert (code, refusal["code"]) == (2, "run_locked")
    assert f"process {first.pid} on {socket.gethostname()[:30]}" in refusal["message"]
    assert f"is working on the run {found['run_id'][:8]}" in refusal["message"]
    assert f"kill -INT {first.pid}" in refusal["remedy"]
    assert comparable(found) == comparable(alone[0])


def test_a_process_that_was_killed_leaves_no_lock_on_its_run(
    slow_world: WorldProcess,
    configs: tuple[Path, Path],
    alone: list[dict[str, Any]],
    postgres_url: str,
    tmp_path: Path,
) -> None:
    first = start("optimize", str(configs[0]), "--db", postgres_url, "--json", "-q", folder=tmp_path)
    freeze(slow_world, first)
    first.kill()
    end(first)
    found = report(*run("runs", "resume", "latest", "--db", postgres_url, "--json", "-q", folder=tmp_path))
    assert comparable(found) == comparable(alone[0])


def test_a_run_whose_server_ended_its_connections_stops_with_a_remedy_and_can_be_resumed(
    slow_world: WorldProcess,
    configs: tuple[Path, Path],
    alone: list[dict[str, Any]],
    postgres_server: PostgresServer,
    postgres_url: str,
    tmp_path: Path,
) -> None:
    first = start("optimize", str(configs[0]), "--db", postgres_url, "--json", "-q", folder=tmp_path)
    freeze(slow_world, first)
    name = make_url(postgres_url).database
    ended = postgres_server.execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s", name
    )
    assert len(ended) >= 3, "the lock's, the writer's and a reader's"
    kept = stored(postgres_url)
    os.kill(first.pid, signal.SIGCONT)
    code, out, _ = end(first)
    refusal = json.loads(out)["error"]
    assert (code, refusal["code"]) == (2, "storage")
    assert "kept other processes off the run" in refusal["message"]
    assert "promptprop runs resume" in refusal["remedy"]
    assert stored(postgres_url) == kept, "nothing was written without the lock"

    before = slow_world.quiet_stats()
    found = report(*run("runs", "resume", "latest", "--db", postgres_url, "--json", "-q", folder=tmp_path))
    assert findings(found) == findings(alone[0])
    asked = served(before, slow_world.quiet_stats())["calls"]
    assert asked == spent(alone[0])["calls"] - kept.total(), "a committed call was repeated, or one is missing"
