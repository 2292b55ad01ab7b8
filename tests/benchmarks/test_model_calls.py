"""1000 calls, 64 in flight, against a server that takes 50 ms: what each way of making them costs, in one run.

PromptProp is measured with everything: ledger, budget, a database with `synchronous=FULL`, scores, evaluations
committed. Every contender has a process of its own, a warm-up round, and then rounds in turns, so that a busy moment of
the machine hits all alike. CPU is that of the client's process alone, all its threads included. Peers that are not
installed are named as such.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from commands import LOCAL, command_seconds
from contenders import NAMES, installed
from lean_server import LeanServer
from stopwatch import Measures
from workload import FLIGHT, write_run

HERE = Path(__file__).parent
ROWS = int(os.environ.get("PROMPTPROP_BENCH_ROWS", "1000"))
ROUNDS = int(os.environ.get("PROMPTPROP_BENCH_ROUNDS", "5"))
LATENCY = 0.05
ABSENT = ("dspy", "inspect_ai", "promptfoo")  # peers whose engines are not measured: they are not among our tools
TITLES = {
    "aiohttp": "raw aiohttp: the floor",
    "httpx": "raw httpx",
    "openai": "openai SDK",
    "litellm": "raw litellm.acompletion",
    "gepa": "gepa, DefaultAdapter.evaluate",
    "promptprop-http": "promptprop, http client, all in",
    "promptprop-litellm": "promptprop, litellm client, all in",
}


class Contender:
    """A process that makes a round of calls when asked to."""

    def __init__(self, name: str, url: str, folder: Path) -> None:
        """Start it; returns after its warm-up."""
        folder.mkdir()
        command = [sys.executable, str(HERE / "contenders.py"), name, "--url", url, "--rows", str(ROWS)]
        self.rounds: list[Measures] = []
        with (folder / "errors.txt").open("w") as errors:
            self._process = subprocess.Popen(
                [*command, "--folder", str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, **LOCAL},
            )
        self._errors = folder / "errors.txt"
        assert self._line() == "ready", self._errors.read_text()[-2000:]

    def race(self) -> None:
        """One round."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        said = self._line()
        assert said, self._errors.read_text()[-2000:]
        self.rounds.append(json.loads(said))

    def median(self, name: str) -> float:
        """The median of a measure over the rounds."""
        return statistics.median(one[name] for one in self.rounds)

    def close(self) -> None:
        """End it."""
        self._process.communicate(timeout=60)

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@pytest.mark.bench
def test_calls_a_second_and_cpu_a_call_of_every_way_to_make_them(tmp_path: Path, note: Callable[..., None]) -> None:
    present = [name for name in NAMES if installed(name)]
    with LeanServer(LATENCY) as server, ExitStack() as stack:
        contenders: dict[str, Contender] = {}
        for name in present:
            contenders[name] = Contender(name, server.url, tmp_path / name)
            stack.callback(contenders[name].close)
        for _ in range(ROUNDS):
            for contender in contenders.values():
                contender.race()
        asked = len(present) * (ROUNDS + 1) * ROWS
        assert asked <= server.served() <= asked + len(present)  # a vendor's client may send a dropped request again
    floor = contenders["aiohttp"]
    note(f"{ROWS:,} calls, {FLIGHT} in flight, {LATENCY * 1000:.0f} ms", "calls/s", f"medians of {ROUNDS}, in turns")
    for name, contender in contenders.items():
        wall, cpu = contender.median("wall"), contender.median("cpu")
        ratio, cpu_ratio = floor.median("wall") / wall, cpu / floor.median("cpu")
        figures = {"calls_per_second": ROWS / wall, "cpu_ms_per_call": 1000 * cpu / ROWS, "ratio": ratio}
        calls = (f"{ratio:.2f}", f"{1000 * cpu / ROWS:.2f}", f"{cpu_ratio:.1f}")
        compared = compare(contender, contenders) if name.startswith("promptprop") else ""
        note(TITLES[name], f"{ROWS / wall:,.0f}", compared, calls=calls, figures=figures)
    for name in (*ABSENT, *(name for name in NAMES if name not in present)):
        note(name, "–", "not installed")


def compare(contender: Contender, contenders: dict[str, Contender]) -> str:
    """What one of our contenders adds to raw litellm, and the longest and shortest of its rounds."""
    walls = sorted(one["wall"] for one in contender.rounds)
    spread = f"{walls[0]:.2f}–{walls[-1]:.2f} s"
    raw = contenders.get("litellm")
    if raw is None:
        return spread
    return f"{spread}; {contender.median('wall') / raw.median('wall') - 1:+.1%} on raw litellm's time"


@pytest.mark.bench
@pytest.mark.parametrize("client", ["http", "litellm"])
def test_the_whole_command_that_makes_these_calls(tmp_path: Path, note: Callable[..., None], client: str) -> None:
    walls, cpus, phases = [], [], []
    with LeanServer(LATENCY) as server:
        config = write_run(tmp_path, server.url, ROWS, client)
        for number in range(min(3, ROUNDS)):
            measures = tmp_path / f"{number}.json"
            arguments = ["eval", str(config), "--db", f"sqlite:///{tmp_path / f'{number}.db'}", "--json", "-q"]
            wall = command_seconds(measures, arguments)
            taken = json.loads(measures.read_text(encoding="utf-8"))
            walls.append(wall)
            cpus.append(taken["process_cpu"])
            phases.append(taken["phase_wall"])
        assert server.served() == len(walls) * ROWS
    wall, cpu = statistics.median(walls), statistics.median(cpus)
    note(
        f"`promptprop eval` on {ROWS:,} rows, {client} client",
        f"{wall:.2f} s",
        f"whole command, {cpu:.2f} s CPU; {statistics.median(phases):.2f} s of it the calls, scores and commits",
        figures={"seconds": wall, "cpu_seconds": cpu, "phase_seconds": statistics.median(phases)},
    )
