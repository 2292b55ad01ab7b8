"""Worker processes of a server: started, started anew when one dies, and drained with it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

log = logging.getLogger("promptprop.jobs")

STOP_SECONDS = 10.0  # for a worker to drain, before it is killed
FIRST_PAUSE = 0.5  # seconds before a worker that died is started anew; doubled each time
LONGEST_PAUSE = 10.0
STAGGER_SECONDS = 1.0  # between the starts of two workers: each takes a second of a processor, which the server needs
SETTLED_SECONDS = 60.0  # a worker that lived so long is no longer one that dies again and again


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """A worker's place: the process that has it now (None between two), and how often one died there."""

    number: int
    pid: int | None = None
    deaths: int = 0


@dataclass(slots=True)
class Supervisor:
    """Keeps `count` workers alive from `start` to `stop`, on one event loop.

    `command` is what a worker is started with; `--slot N` is added to it. Each worker reads from a pipe that ends with
    this process, however that ends, and ends itself then.
    """

    count: int
    command: Sequence[str]
    environment: Mapping[str, str] | None = None
    stop_seconds: float = STOP_SECONDS
    first_pause: float = FIRST_PAUSE
    stagger: float = STAGGER_SECONDS
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _keepers: list[asyncio.Task[None]] = field(default_factory=list)
    _places: dict[int, WorkerProcess] = field(default_factory=dict)
    _processes: dict[int, asyncio.subprocess.Process] = field(default_factory=dict)

    async def start(self) -> None:
        """Start all workers, one after another; returns at once."""
        self._places = {number: WorkerProcess(number) for number in range(self.count)}
        self._keepers = [asyncio.create_task(self._keep(number)) for number in range(self.count)]

    @property
    def workers(self) -> tuple[WorkerProcess, ...]:
        """All places, in their order."""
        return tuple(self._places[number] for number in sorted(self._places))

    async def stop(self) -> None:
        """Ask all workers to drain, wait for them, and kill those that take too long. May be called twice."""
        self._stopping.set()
        for process in list(self._processes.values()):
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        if not self._keepers:
            return
        _, late = await asyncio.wait(self._keepers, timeout=self.stop_seconds)
        if late:
            log.warning("workers that did not drain within %g seconds and are killed: %d", self.stop_seconds, len(late))
            for process in list(self._processes.values()):
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            await asyncio.wait(late)
        for keeper in self._keepers:
            keeper.result()

    async def _keep(self, number: int) -> None:
        """Have a process in this place until the end; each that dies is followed by another, after a pause."""
        pause = self.first_pause
        await self._wait(number * self.stagger)
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                ended = await self._live_through(number)
            except OSError as error:
                ended = str(error)
            if self._stopping.is_set():
                return
            if time.monotonic() - began > SETTLED_SECONDS:
                pause = self.first_pause
            place = self._places[number]
            self._places[number] = replace(place, pid=None, deaths=place.deaths + 1)
            log.error("worker %d ended (%s); another one is started in %g s", number, ended, pause)
            await self._wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _wait(self, seconds: float) -> None:
        """Wait so long, or until the end."""
        if seconds > 0:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _live_through(self, number: int) -> str:
        """Start a process and wait for its end; says how it ended."""
        process = await asyncio.create_subprocess_exec(
            *self.command,
            "--slot",
            str(number),
            stdin=asyncio.subprocess.PIPE,
            stdout=sys.stderr.fileno(),
            env=None if self.environment is None else dict(self.environment),
            start_new_session=True,  # Ctrl-C in a terminal is for the server, which tells its workers
        )
        self._processes[number] = process
        self._places[number] = replace(self._places[number], pid=process.pid)
        log.info("worker %d is process %d", number, process.pid)
        try:
            if self._stopping.is_set():
                process.terminate()
            code = await process.wait()
        finally:
            del self._processes[number]
        return f"signal {-code}" if code < 0 else f"exit code {code}"


def die_with_parent() -> None:
    """End this process at once when its parent ends, however that ends: standard input is a pipe that then closes.

    On Linux the kernel is asked for the same, for the case that no Python code runs any more.
    """
    import threading

    parent = os.getppid()

    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                continue
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
    if sys.platform == "linux":
        import ctypes
        import signal

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(1)
