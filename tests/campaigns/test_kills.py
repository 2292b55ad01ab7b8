"""Two hundred kills: at the n-th request, at any moment, and inside the writer, before and after a commit.

Several a run; also with two runs on one database, and on PostgreSQL. Runs take turns with the two clients.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from databases import PostgresRemains, Remains, SqliteRemains
from runs_over_http import comparable, write_config
from sudden_death import PLACES
from world_server import WorldProcess

if TYPE_CHECKING:
    from postgres_server import PostgresServer

CONCURRENCY = 8
UNCOMMITTED = CONCURRENCY  # an answer keeps its slot until it is committed
KILLS = int(os.environ.get("PROMPTPROP_KILLS", "200"))
PAIRED_KILLS = KILLS // 5
MOST_A_RUN = 8
SECONDS = 900.0  # no further run begins later than this
PATIENCE = 120.0  # seconds that one process may take
LATENCY = (0.0, 0.02)
CLIENTS = ("http", "litellm")
NURSERY = Path(__file__).parents[1] / "fixtures" / "nursery.py"


class Child:
    """One command line, forked from a nursery of its own and stopped until `go`."""

    def __init__(self) -> None:
        """Start the nursery; it serves one child after the other."""
        self._nursery = subprocess.Popen(
            [sys.executable, str(NURSERY)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        assert self._read(PATIENCE) == "ready"
        self.pid = 0
        self._out = self._err = Path()

    def prepare(self, *arguments: str, folder: Path, name: str, death: tuple[str, int] | None = None) -> None:
        """Fork a child for these arguments; it stands still, so that its end can be arranged.

        `death` is a place inside the writer, and the time at which passing it is the last: see `sudden_death`.
        """
        assert self._nursery.stdin is not None
        self._out, self._err = folder / f"{name}.out", folder / f"{name}.err"
        order = {"arguments": arguments, "folder": str(folder), "out": str(self._out), "err": str(self._err)}
        self._nursery.stdin.write(json.dumps({**order, "death": death}) + "\n")
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
    inside: int = 0  # kills in the writer, between the rows of a batch and the word that they are committed
    early: int = 0  # kills before the process had sent anything new: at start-up and in mid-replay
    again: int = 0  # requests that were sent a second time
    most_again: int = 0  # by one kill
    kept: int = 0  # calls that were committed when a process died
    seconds: float = field(default_factory=time.monotonic)

    def line(self, what: str) -> str:
        """The summary."""
        spent = time.monotonic() - self.seconds
        return (
            f"{what}: {self.kills} kills in {self.runs} runs, {self.inside} of them inside a commit, "
            f"{self.early} before a new request; "
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


@dataclass(frozen=True)
class Plan:
    """How a process is to die: inside its writer, at a request, or after so many seconds. All None: not at all."""

    inside: tuple[str, int] | None = None
    request: tuple[int, float] | None = None
    seconds: float = PATIENCE


def plan_death(draw: random.Random, requests_left: int) -> Plan:
    """A third of all deaths each."""
    kind = draw.randrange(3)
    if kind == 0:
        return Plan(inside=(draw.choice(PLACES), draw.randrange(1, max(2, requests_left // 2))))
    if kind == 1:
        return Plan(request=(draw.randrange(1, max(2, requests_left // 2)), draw.uniform(0.0, 0.03)))
    return Plan(seconds=draw.uniform(0.0, 1.5))


def death(child: Child, within: float) -> int:
    """How a child ended, killed by us where it has not ended after so many seconds."""
    code = child.ended(within)
    if code is None:
        os.kill(child.pid, signal.SIGKILL)
        code = child.ended()
    assert code in (0, -signal.SIGKILL), f"{code}: {child.error()}"
    return code


def uninterrupted(child: Child, config: Path, folder: Path, number: int) -> tuple[dict[str, Any], Counter[str]]:
    """The same run on an SQLite database of its own, without a kill: its report and its calls."""
    folder.mkdir()
    remains = SqliteRemains(folder / "runs.db")
    child.prepare(*ask(config, remains.url, number, None), folder=folder, name="whole")
    child.go()
    assert child.ended() == 0, child.error()
    return child.report(), remains.calls(after_death=False)


def configs(folder: Path, url: str) -> dict[str, Path]:
    """One configuration for each client."""
    return {
        client: write_config(
            folder, url, rows=60, name=f"{client}.yaml", model={"concurrency": CONCURRENCY, "client": client}
        )
        for client in CLIENTS
    }


def settle(tally: Tally, sent: Counter[str], before: Counter[str], after: Counter[str], whole: Counter[str]) -> None:
    """Account for one process: nothing that was committed before it began was sent by it."""
    repeated = {name: times for name, times in sent.items() if times > whole[name] - before[name]}
    assert not repeated, f"committed calls were sent again: {repeated}"
    again = sent.total() - (after - before).total()
    assert 0 <= again <= UNCOMMITTED
    tally.again += again
    tally.most_again = max(tally.most_again, again)


def kill_until_whole(
    child: Child, world: WorldProcess, config: Path, folder: Path, number: int, remains: Remains, tally: Tally
) -> None:
    """One run, killed up to MOST_A_RUN times and resumed each time; it must end as if nothing had happened."""
    draw = random.Random(f"kills {number}")
    report, whole = uninterrupted(child, config, folder.with_name(f"whole-{folder.name}"), number)
    folder.mkdir()
    kept, code, deaths = Counter[str](), -1, 0
    while code != 0:
        run_id = remains.names().get(f"run-{number}")
        seen = Counter(world.quiet_stats()["questions"])
        left = whole.total() - kept.total()
        plan = Plan() if deaths >= MOST_A_RUN or left < 2 else plan_death(draw, left)
        arguments = ask(config, remains.url, number, run_id)
        child.prepare(*arguments, folder=folder, name=f"part-{deaths}", death=plan.inside)
        if plan.request is not None:
            world.kill_at(child.pid, *plan.request)
        child.go()
        code = death(child, plan.seconds)
        sent = Counter(world.quiet_stats()["questions"]) - seen
        now = remains.calls(after_death=bool(code))
        settle(tally, sent, kept, now, whole)
        if code:
            deaths += 1
            tally.inside += plan.inside is not None
            tally.kept += now.total()
            tally.early += not sent
        kept = now
    tally.kills += deaths
    assert comparable(child.report()) == comparable(report)
    assert kept == whole
    assert remains.check() == "ok"


@pytest.mark.campaign
def test_however_often_a_run_is_killed_it_ends_as_if_it_never_was(tmp_path: Path) -> None:
    tally = Tally()
    with WorldProcess(latency=LATENCY) as world, children(1) as (child,):
        chosen = configs(tmp_path, world.url)
        while tally.kills < KILLS and time.monotonic() - tally.seconds < SECONDS:
            number = tally.runs = tally.runs + 1
            folder = tmp_path / f"killed-{number}"
            remains = SqliteRemains(folder / "runs.db")
            kill_until_whole(child, world, chosen[CLIENTS[number % 2]], folder, number, remains, tally)
    print("\n" + tally.line("one run at a time, clients in turns"))
    assert tally.kills >= min(KILLS, 20)
    assert tally.inside, "no process died inside its writer"


@pytest.mark.campaign
def test_a_run_on_postgresql_that_is_killed_ends_as_one_on_sqlite_that_never_was(
    tmp_path: Path, postgres_server: PostgresServer
) -> None:
    tally = Tally()
    with WorldProcess(latency=LATENCY) as world, children(1) as (child,):
        chosen = configs(tmp_path, world.url)
        while tally.kills < PAIRED_KILLS and time.monotonic() - tally.seconds < SECONDS / 2:
            number = tally.runs = tally.runs + 1
            with postgres_server.database() as url:
                folder, remains = tmp_path / f"served-{number}", PostgresRemains(url)
                kill_until_whole(child, world, chosen[CLIENTS[number % 2]], folder, number, remains, tally)
    print("\n" + tally.line("one run at a time, on PostgreSQL"))
    assert tally.kills >= min(PAIRED_KILLS, 4)


@pytest.mark.campaign
def test_two_runs_on_one_database_that_are_killed_together_end_as_each_alone(tmp_path: Path) -> None:
    tally = Tally()
    with WorldProcess(latency=LATENCY) as world, children(2) as pair:
        chosen = list(configs(tmp_path, world.url).values())
        while tally.kills < PAIRED_KILLS and time.monotonic() - tally.seconds < SECONDS / 2:
            first = tally.runs + 1
            tally.runs += 2
            draw = random.Random(f"pairs {first}")
            numbers = [first, first + 1]
            wholes = [
                uninterrupted(pair[0], chosen[number % 2], tmp_path / f"alone-{number}", number) for number in numbers
            ]
            folder = tmp_path / f"pair-{first}"
            folder.mkdir()
            remains = SqliteRemains(folder / "runs.db")
            everything = wholes[0][1] | wholes[1][1]
            open_ones, deaths = dict(zip(numbers, pair, strict=True)), 0
            while open_ones:
                plans = {number: Plan() if deaths >= 4 else plan_pair(draw) for number in open_ones}
                deaths += end_some(open_ones, plans, world, chosen, remains, tally, everything)
            tally.kills += deaths
            for number, child, (alone, _) in zip(numbers, pair, wholes, strict=True):
                assert {**child.report(), **SAME} == {**alone, **SAME}, number
            assert remains.check() == "ok"
    print("\n" + tally.line("two runs on one database"))
    assert tally.kills >= min(PAIRED_KILLS, 4)


# whoever asks first pays for both, and whoever ends last knows of the other's look at the sealed rows
SAME = {"run_id": "", "active_seconds": 0, "paths": {}, "notes": [], "spend": {}, "earlier_looks": []}


def plan_pair(draw: random.Random) -> Plan:
    """Half of the deaths of a pair at a moment, the others inside a writer."""
    if draw.random() < 0.5:
        return Plan(seconds=draw.uniform(0.2, 2.0))
    return Plan(inside=(draw.choice(PLACES), draw.randrange(1, 60)))


def end_some(
    open_ones: dict[int, Child],
    plans: dict[int, Plan],
    world: WorldProcess,
    configs: list[Path],
    remains: SqliteRemains,
    tally: Tally,
    everything: Counter[str],
) -> int:
    """Let both run until both have ended somehow; who finished leaves `open_ones`. Returns how many were killed."""
    kept, known = remains.calls(after_death=True), remains.names()
    seen = Counter(world.quiet_stats()["questions"])
    for number, child in open_ones.items():
        arguments = ask(configs[number % 2], remains.url, number, known.get(f"run-{number}"))
        child.prepare(*arguments, folder=remains.file.parent, name=f"run-{number}", death=plans[number].inside)
    for child in open_ones.values():
        child.go()
    began = time.monotonic()
    codes = {}
    for number in sorted(open_ones, key=lambda one: plans[one].seconds):
        codes[number] = death(open_ones[number], max(0.0, plans[number].seconds - (time.monotonic() - began)))
    sent = Counter(world.quiet_stats()["questions"]) - seen
    repeated = {name for name in sent if everything[name] == kept[name]}
    assert not repeated, f"committed calls were sent again: {repeated}"
    now = remains.calls(after_death=True)
    killed = [number for number, code in codes.items() if code]
    tally.inside += sum(plans[number].inside is not None for number in killed)
    tally.kept += now.total() if killed else 0
    tally.early += 0 if sent else len(killed)
    again = sent.total() - (now - kept).total()
    tally.again += again
    tally.most_again = max(tally.most_again, again)
    for number in set(codes) - set(killed):
        del open_ones[number]
    return len(killed)
