"""Where a run's time goes, taken from inside its process: the phase of calls, the engine, and all since the start."""

from __future__ import annotations

import functools
import os
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

Measures = dict[str, float]


class Stopwatch:
    """Adds up wall and CPU seconds of the asynchronous functions that it wraps, by name."""

    def __init__(self) -> None:
        """Nothing taken yet."""
        self.seconds: Measures = {}

    def wrap(self, name: str, function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """`function`, with its seconds added under `NAME_wall` and `NAME_cpu`."""

        @functools.wraps(function)
        async def timed(*given: Any, **named: Any) -> Any:
            wall, cpu = time.perf_counter(), time.process_time()
            try:
                return await function(*given, **named)
            finally:
                self._add(f"{name}_wall", time.perf_counter() - wall)
                self._add(f"{name}_cpu", time.process_time() - cpu)

        return timed

    def watch_runs(self) -> None:
        """From now on take the time of `phase` (evaluate: calls, scores, commits) and of `engine` (a whole run)."""
        from promptprop.services.engine import Engine
        from promptprop.services.workbench import LiveWorkbench

        LiveWorkbench.evaluate = self.wrap("phase", LiveWorkbench.evaluate)  # type: ignore[method-assign]
        Engine.run = self.wrap("engine", Engine.run)  # type: ignore[method-assign]

    def take(self) -> Measures:
        """What was added up since the last time asked."""
        taken, self.seconds = self.seconds, {}
        return taken

    def _add(self, name: str, seconds: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds


def peak_mib() -> float:
    """The most memory that this process has had resident, in MiB.

    On Linux from `VmHWM`: `ru_maxrss` would include the process that started this one, as it was before `exec`.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1024**2 if sys.platform == "darwin" else most / 1024


def process_seconds() -> Measures:
    """CPU seconds of this process so far, its threads included."""
    spent = os.times()
    return {"process_cpu": spent.user + spent.system}
