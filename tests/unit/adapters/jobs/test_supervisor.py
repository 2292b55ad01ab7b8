from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from promptprop.adapters.jobs.supervisor import Supervisor

PATIENCE = 20.0
# writes its process id into FOLDER/SLOT; drains on SIGTERM, which leaves FOLDER/drained-SLOT
OBEDIENT = """
import os, pathlib, signal, sys, time
folder, slot = pathlib.Path(sys.argv[1]), sys.argv[3]
def drain(*_):
    (folder / f"drained-{slot}").touch()
    os._exit(0)
signal.signal(signal.SIGTERM, drain)
(folder / f"{slot}-{os.getpid()}").touch()
while True: time.sleep(0.05)
"""
STUBBORN = OBEDIENT.replace("signal.signal(signal.SIGTERM, drain)", "signal.signal(signal.SIGTERM, signal.SIG_IGN)")
BOUND = """
import asyncio, sys
from promptprop.adapters.jobs.supervisor import Supervisor
child = "import sys, time; from promptprop.adapters.jobs.supervisor import die_with_parent; die_with_parent(); print(__import__('os').getpid(), file=sys.stderr, flush=True); time.sleep(60)"
async def main():
    await Supervisor(1, [sys.executable, "-c", child]).start()
    await asyncio.sleep(60)
asyncio.run(main())
"""  # noqa: E501


@pytest.fixture
async def supervise(tmp_path: Path) -> AsyncIterator[Callable[[int, str], Supervisor]]:
    made: list[Supervisor] = []

    def make(count: int, program: str) -> Supervisor:
        command = [sys.executable, "-c", program, str(tmp_path)]
        made.append(Supervisor(count, command, stop_seconds=10.0, first_pause=0.01, stagger=0.01))
        return made[-1]

    yield make
    for one in made:
        await one.stop()


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        await asyncio.sleep(0.01)


def begun(folder: Path, slot: int) -> list[int]:
    return sorted(int(file.name.partition("-")[2]) for file in folder.glob(f"{slot}-*"))


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_each_worker_is_told_its_slot(supervise: Callable[[int, str], Supervisor], tmp_path: Path) -> None:
    supervisor = supervise(2, OBEDIENT)
    await supervisor.start()
    await until(lambda: bool(begun(tmp_path, 0)) and bool(begun(tmp_path, 1)))
    assert [(one.number, one.pid, one.deaths) for one in supervisor.workers] == [
        (0, begun(tmp_path, 0)[0], 0),
        (1, begun(tmp_path, 1)[0], 0),
    ]


async def test_a_worker_that_dies_is_followed_by_another(
    supervise: Callable[[int, str], Supervisor], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    supervisor = supervise(1, OBEDIENT)
    await supervisor.start()
    await until(lambda: len(begun(tmp_path, 0)) == 1)
    os.kill(begun(tmp_path, 0)[0], signal.SIGKILL)
    await until(lambda: len(begun(tmp_path, 0)) == 2)
    assert supervisor.workers[0].deaths == 1
    assert "worker 0 ended (signal 9)" in caplog.text


async def test_a_worker_that_cannot_start_is_tried_again_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    supervisor = Supervisor(1, [str(tmp_path / "absent")], first_pause=0.01)
    await supervisor.start()
    await until(lambda: supervisor.workers[0].deaths > 1)
    await supervisor.stop()
    assert "No such file" in caplog.text


async def test_workers_drain_and_leave_no_process_behind(
    supervise: Callable[[int, str], Supervisor], tmp_path: Path
) -> None:
    supervisor = supervise(2, OBEDIENT)
    await supervisor.start()
    await until(lambda: bool(begun(tmp_path, 0)) and bool(begun(tmp_path, 1)))
    pids = [begun(tmp_path, 0)[0], begun(tmp_path, 1)[0]]
    await supervisor.stop()
    await supervisor.stop()
    assert (tmp_path / "drained-0").exists()
    assert (tmp_path / "drained-1").exists()
    assert not any(alive(pid) for pid in pids)


async def test_a_worker_that_does_not_drain_in_time_is_killed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    supervisor = Supervisor(1, [sys.executable, "-c", STUBBORN, str(tmp_path)], stop_seconds=0.1)
    await supervisor.start()
    await until(lambda: bool(begun(tmp_path, 0)))
    await supervisor.stop()
    assert not alive(begun(tmp_path, 0)[0])
    assert "did not drain" in caplog.text


async def test_no_worker_is_started_by_a_supervisor_of_none() -> None:
    supervisor = Supervisor(0, ["absent"])
    await supervisor.start()
    assert supervisor.workers == ()
    await supervisor.stop()


def test_a_worker_ends_when_its_parent_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", BOUND], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert parent.stderr is not None
    child = int(parent.stderr.readline())
    assert alive(child)
    parent.kill()
    parent.wait()
    asyncio.run(until(lambda: not alive(child)))
    parent.stderr.close()
