"""`check` as a pipeline runs it: what it takes beyond its model, and without a network, start-up included."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from lean_server import LeanServer
from workload import FLIGHT, SYSTEM, write_run

ROWS = 200
LATENCY = 0.05  # seconds of the server
REPEATS = 5
SCRIPT = Path(sys.executable).with_name("promptprop")
BLOCK = """\
import socket


def _refused(*_arguments, **_options):
    raise OSError("this process has no network")


socket.socket.connect = socket.socket.connect_ex = _refused
socket.getaddrinfo = socket.create_connection = _refused
"""


def seconds(folder: Path, *arguments: str, blocked: bool = False) -> float:
    """Wall seconds of the console script, its start included; it must end well."""
    environment = {**os.environ}
    if blocked:
        (folder / "block").mkdir(exist_ok=True)
        (folder / "block" / "sitecustomize.py").write_text(BLOCK)
        environment["PYTHONPATH"] = os.pathsep.join([str(folder / "block"), os.environ.get("PYTHONPATH", "")])
    began = time.perf_counter()
    ended = subprocess.run(
        [str(SCRIPT), *arguments, "-q"], cwd=folder, env=environment, capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    wall = time.perf_counter() - began
    assert ended.returncode == 0, f"{ended.stdout[-1000:]}\n{ended.stderr[-3000:]}"
    return wall


def fresh(folder: Path, number: int) -> list[str]:
    """A database of its own for each repetition, so that nothing is on record and the tables are made anew."""
    return ["--db", f"sqlite:///{folder / f'{number}-{time.time_ns()}.db'}"]


@pytest.mark.bench
def test_a_check_takes_little_more_than_its_models_do(tmp_path: Path, note: Callable[..., None]) -> None:
    with LeanServer(LATENCY) as server:
        config = write_run(tmp_path, server.url, ROWS, "http")
        (tmp_path / "old.md").write_text(f"### system\n{SYSTEM}\n\n### user\nOnce more. {{{{ text }}}}")
        for what, calls, arguments in (
            ("both prompts asked", 2 * ROWS, ["--baseline", "old.md"]),
            ("stored baseline, candidate asked", ROWS, ["--rerun"]),
        ):
            if "--rerun" in arguments:
                seconds(tmp_path, "baseline", "accept", str(config), "--repeats", "1", *fresh(tmp_path, 0))
            before = server.served()
            taken = sorted(
                seconds(tmp_path, "check", str(config), *arguments, *fresh(tmp_path, n)) for n in range(REPEATS)
            )
            assert server.served() - before == REPEATS * calls
            own = -(-calls // FLIGHT) * LATENCY
            beyond = taken[REPEATS // 2] - own
            note(
                f"`check` of {ROWS} rows, {what}",
                f"{beyond:.2f} s beyond the model",
                f"{taken[REPEATS // 2]:.2f} s with start-up (at most {taken[-1]:.2f} s), of which the model has "
                f"{own:.2f} s: {calls} calls of {1000 * LATENCY:.0f} ms, {FLIGHT} in flight",
                figures={"seconds": taken[REPEATS // 2], "beyond": beyond, "own": own},
            )


@pytest.mark.bench
def test_a_check_without_a_network_is_quick(tmp_path: Path, note: Callable[..., None]) -> None:
    with LeanServer() as server:
        config = write_run(tmp_path, server.url, ROWS, "http")
        contents = json.loads(config.read_text())
        config.write_text(json.dumps({**contents, "gate": {"margin": 0, "replicates": [1, 3, 5]}}))
        seconds(tmp_path, "baseline", "accept", str(config))
        messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "Once more. {{ text }}"}]
        config.write_text(config.read_text().replace(json.dumps(contents["prompt"]["messages"]), json.dumps(messages)))
        command = ["check", str(config), "--inconclusive", "pass"]
        seconds(tmp_path, *command, "--record")
    taken = sorted(seconds(tmp_path, *command, "--offline", *fresh(tmp_path, n), blocked=True) for n in range(REPEATS))
    note(
        f"`check --offline` of {ROWS} rows, network blocked",
        f"{taken[REPEATS // 2]:.2f} s",
        f"with start-up and a fresh database, at most {taken[-1]:.2f} s; {5 * ROWS:,} recorded calls in three looks",
        figures={"seconds": taken[REPEATS // 2]},
    )
