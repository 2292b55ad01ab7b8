"""Two hundred kills, at the n-th request and at any moment: several a run, and with two runs on one database."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from runs_over_http import committed, comparable, database_in, integrity, left_behind, write_config
from world_server import WorldProcess

CONCURRENCY = 8
UNCOMMITTED = CONCURRENCY  # an answer keeps its slot until it is committed
KILLS = int(os.environ.get("PROMPTPROP_KILLS", "200"))
PAIRED_KILLS = KILLS // 5
MOST_A_RUN = 8
SECONDS = 900.0  # no further run begins later than this
PATIENCE = 120.0  # seconds that one process may take
LATENCY = (0.0, 0.02)


class Child:
    """One command line, forked from a nursery of its own and stopped until `go`."""

    def __init__(self) -> None:
        """Start the nursery; it serves one child after the other."""
        self._nursery = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("nursery.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        assert self._read(PATIENCE) == "ready"
        self.pid = 0
        self._out = self._err = Path()

    def prepare(self, *arguments: str, folder: Path, name: str) -> None:
        """Fork a child for these arguments; it stands still, so that its end can be arranged."""
        assert self._nursery.stdin is not None
        self._out, self._err = folder / f"{name}.out", folder / f"{name}.err"
        order = {"arguments": arguments, "folder": str(folder), "out": str(self._out), "err": str(self._err)}
        self._nursery.stdin.write(json.dumps(order) + "\n")
        self.pid = int(self._read(PATIENCE).removeprefix("pid "))

    def go(self) -> None:
        """Let it run."""
        os.kill(self.pid, signal.SIGCONT)

    def ended(self, within: float = PATIENCE) -> int | None:
        """Its exit code, negative for a signal; None where it still runs after so many seconds."""
        said = self._read(within)
        return int(said.removeprefix("code ")) if said else None

    def report(self) -> dict[str, Any]:
        """What it wrote to stdout."""
        return dict(json.loads(self._out.read_text(encoding="utf-8")))

    def error(self) -> str:
        """The end of what it wrote."""
        return "\n".join(file.read_text(encoding="utf-8")[-2000:] for file in (self._out, self._err))

    def close(self) -> None:
        """End the nursery, and a child that is still there."""
        assert self._nursery.stdin is not None
        self._nursery.stdin.close()
        try:
            self._nursery.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._nursery.kill()
            self._nursery.wait()
        assert self._nursery.stdout is not None
        self._nursery.stdout.close()

    def _read(self, within: float) -> str:
        assert self._nursery.stdout is not None
        ready, _, _ = select.select([self._nursery.stdout], [], [], within)
        return self._nursery.stdout.readline().strip() if ready else ""


@dataclass
class Tally:
    """What a campaign has seen."""

    runs: int = 0
    kills: int = 0
    early: int = 0  # kills before the process had sent anything new: at start-up and in mid-replay
    again: int = 0  # requests that were sent a second time
    most_again: int = 0  # by one kill
    kept: int = 0  # calls that were committed when a process died
    seconds: float = field(default_factory=time.monotonic)

    def line(self, what: str) -> str:
        """The summary."""
        spent = time.monotonic() - self.seconds
        return (
            f"{what}: {self.kills} kills in {self.runs} runs, {self.early} of them before a new request; "
            f"{self.kept} calls committed at the kills, none sent again; {self.again} uncommitted ones sent again, "
            f"at most {self.most_again} by one kill; {spent:.0f} s"
        )


@contextmanager
def children(count: int) -> Iterator[list[Child]]:
    """So many nurseries."""
    with ExitStack() as stack:
        made = []
        for _ in range(count):
            made.append(Child())
            stack.callback(made[-1].close)
        yield made


def ask(config: Path, database: str, number: int, run_id: str | None) -> tuple[str, ...]:
    """The arguments that begin a run, or take it up."""
    common = ("--db", database, "--json", "-q")
    if run_id is None:
        return ("optimize", str(config), "--seed", str(number), "--name", f"run-{number}", *common)
    return ("runs", "resume", run_id, *common)


def arrange(child: Child, world: WorldProcess, draw: random.Random, asked: int) -> float:
    """Plan a child's death: half of them at a request, the others at a moment. Returns when to stop waiting for it."""
    if draw.random() < 0.5:
        world.kill_at(child.pid, draw.randrange(1, asked), draw.uniform(0.0, 0.03))
        return PATIENCE
    return draw.uniform(0.0, 1.5)


def death(child: Child, within: float) -> int:
    """How a child ended, killed by us where it has not ended after so many seconds."""
    code = child.ended(within)
    if code is None:
        os.kill(child.pid, signal.SIGKILL)
        code = child.ended()
    assert code in (0, -signal.SIGKILL), f"{code}: {child.error()}"
    return code


def uninterrupted(child: Child, config: Path, folder: Path, number: int) -> tuple[dict[str, Any], Counter[str]]:
    """The same run on a database of its own, without a kill: its report and its calls."""
    folder.mkdir()
    child.prepare(*ask(config, database_in(folder), number, None), folder=folder, name="whole")
    child.go()
    assert child.ended() == 0, child.error()
    return child.report(), committed(folder / "runs.db")


def names_in(file: Path) -> dict[str, str]:
    """Run ids by name; nothing where the database is not there yet."""
    if not file.exists():
        return {}
    with closing(sqlite3.connect(file)) as connection, connection:
        try:
            found = dict(connection.execute("SELECT name, id FROM runs").fetchall())
        except sqlite3.OperationalError:
            found = {}  # killed before the tables were made
    connection.close()
    return found


def kept_in(file: Path) -> Counter[str]:
    """What survived, in a database that may not have got its tables."""
    return left_behind(file) if names_in(file) else Counter()


def settle(tally: Tally, sent: Counter[str], before: Counter[str], after: Counter[str], whole: Counter[str]) -> None:
    """Account for one process: nothing that was committed before it began was sent by it."""
    repeated = {name: times for name, times in sent.items() if times > whole[name] - before[name]}
    assert not repeated, f"committed calls were sent again: {repeated}"
    again = sent.total() - (after - before).total()
    assert 0 <= again <= UNCOMMITTED
    tally.again += again
    tally.most_again = max(tally.most_again, again)


@pytest.mark.campaign
def test_however_often_a_run_is_killed_it_ends_as_if_it_never_was(tmp_path: Path) -> None:
    tally = Tally()
    with WorldProcess(latency=LATENCY) as world, children(1) as (child,):
        config = write_config(tmp_path, world.url, rows=60, model={"concurrency": CONCURRENCY})
        while tally.kills < KILLS and time.monotonic() - tally.seconds < SECONDS:
            number = tally.runs = tally.runs + 1
            draw = random.Random(f"kills {number}")
            report, whole = uninterrupted(child, config, tmp_path / f"whole-{number}", number)
            folder = tmp_path / f"killed-{number}"
            folder.mkdir()
            file, kept, code, deaths = folder / "runs.db", Counter[str](), -1, 0
            while code != 0:
                run_id = names_in(file).get(f"run-{number}")
                child.prepare(*ask(config, database_in(folder), number, run_id), folder=folder, name=f"part-{deaths}")
                seen = Counter(world.quiet_stats()["questions"])
                left = whole.total() - kept.total()
                spare = deaths >= MOST_A_RUN or left < 2
                within = PATIENCE if spare else arrange(child, world, draw, max(2, left // 2))
                child.go()
                code = death(child, within)
                sent = Counter(world.quiet_stats()["questions"]) - seen
                now = committed(file) if code == 0 else kept_in(file)
                settle(tally, sent, kept, now, whole)
                if code:
                    deaths += 1
                    tally.kept += now.total()
                    tally.early += not sent
                kept = now
            tally.kills += deaths
            assert comparable(child.report()) == comparable(report)
            assert kept == whole
            assert integrity(file) == "ok"
    print("\n" + tally.line("one run at a time"))
    assert tally.kills >= min(KILLS, 20)


@pytest.mark.campaign
def test_two_runs_on_one_database_that_are_killed_together_end_as_each_alone(tmp_path: Path) -> None:
    tally = Tally()
    with WorldProcess(latency=LATENCY) as world, children(2) as pair:
        config = write_config(tmp_path, world.url, rows=60, model={"concurrency": CONCURRENCY})
        while tally.kills < PAIRED_KILLS and time.monotonic() - tally.seconds < SECONDS / 2:
            first = tally.runs + 1
            tally.runs += 2
            draw = random.Random(f"pairs {first}")
            numbers = [first, first + 1]
            wholes = [uninterrupted(pair[0], config, tmp_path / f"alone-{number}", number) for number in numbers]
            folder = tmp_path / f"pair-{first}"
            folder.mkdir()
            everything = wholes[0][1] | wholes[1][1]
            open_ones, deaths = dict(zip(numbers, pair, strict=True)), 0
            while open_ones:
                deaths += end_some(open_ones, world, config, folder, draw, tally, everything, spare=deaths >= 4)
            tally.kills += deaths
            for number, child, (alone, _) in zip(numbers, pair, wholes, strict=True):
                assert {**child.report(), **SAME} == {**alone, **SAME}, number
            assert integrity(folder / "runs.db") == "ok"
    print("\n" + tally.line("two runs on one database"))
    assert tally.kills >= min(PAIRED_KILLS, 4)


SAME = {"run_id": "", "active_seconds": 0, "paths": {}, "notes": [], "spend": {}}  # whoever asks first pays for both


def end_some(
    open_ones: dict[int, Child],
    world: WorldProcess,
    config: Path,
    folder: Path,
    draw: random.Random,
    tally: Tally,
    everything: Counter[str],
    *,
    spare: bool,
) -> int:
    """Let both run until both have ended somehow; who finished leaves `open_ones`. Returns how many were killed."""
    file = folder / "runs.db"
    kept, known, seen = kept_in(file), names_in(file), Counter(world.quiet_stats()["questions"])
    for number, child in open_ones.items():
        arguments = ask(config, database_in(folder), number, known.get(f"run-{number}"))
        child.prepare(*arguments, folder=folder, name=f"run-{number}")
    waits = {number: PATIENCE if spare else draw.uniform(0.2, 2.0) for number in open_ones}
    for child in open_ones.values():
        child.go()
    codes = {number: death(open_ones[number], wait) for number, wait in sorted(waits.items(), key=lambda one: one[1])}
    sent = Counter(world.quiet_stats()["questions"]) - seen
    repeated = {name for name in sent if everything[name] == kept[name]}
    assert not repeated, f"committed calls were sent again: {repeated}"
    killed = [number for number, code in codes.items() if code]
    tally.kept += kept_in(file).total() if killed else 0
    tally.early += 0 if sent else len(killed)
    again = sent.total() - (kept_in(file) - kept).total()
    tally.again += again
    tally.most_again = max(tally.most_again, again)
    for number in set(codes) - set(killed):
        del open_ones[number]
    return len(killed)
