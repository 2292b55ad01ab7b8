"""Ctrl-C and SIGTERM: the first asks for an end in good order, the second ends at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from promptprop.domain.errors import Interrupted

T = TypeVar("T")
SIGNALS = (signal.SIGINT, signal.SIGTERM)
SAID = "stopping after the calls in flight — Ctrl-C again to stop now"


class Terminated(Interrupted):
    """SIGTERM rather than Ctrl-C."""

    exit_code = 143


@dataclass(slots=True)
class Interrupts:
    """Which signals have come, who is told of the first, and the command that goes on after a second one."""

    tell: Callable[[str], None]
    caught: list[int] = field(default_factory=list)
    way_on: str = ""

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` to its end. Raises Interrupted or Terminated where a signal came and `work` did not handle it."""
        return asyncio.run(self._watched(work))

    def named(self, error: Interrupted) -> Interrupted:
        """The error with the exit code of the signal that caused it."""
        if self.caught[:1] != [signal.SIGTERM] or isinstance(error, Terminated):
            return error
        return Terminated(error.message, remedy=error.remedy)

    async def _watched(self, work: Coroutine[Any, Any, T]) -> T:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(work)
        for number in SIGNALS:
            loop.add_signal_handler(number, self._receive, number, task)
        try:
            return await task
        except asyncio.CancelledError:
            remedy = "nothing was begun; run it again"
            raise self.named(Interrupted("interrupted before the run began", remedy=remedy)) from None
        finally:
            for number in SIGNALS:
                loop.remove_signal_handler(number)

    def _receive(self, number: int, task: asyncio.Future[Any]) -> None:
        if self.caught:
            stop_now(number, self.way_on)
        self.caught.append(number)
        self.tell(SAID)
        task.cancel()


def stop_now(number: int, way_on: str = "") -> None:
    """End the process without another word but how to go on; what was committed is safe."""
    said = f"stopped; go on with: {way_on}" if way_on else "stopped"
    terminal = sys.__stderr__ or sys.stderr  # a live display stands between, and it will draw no more
    with contextlib.suppress(OSError, ValueError):
        terminal.write(f"\n\x1b[?25h{said}\n" if terminal.isatty() else f"{said}\n")
        terminal.flush()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    os._exit(143 if number == signal.SIGTERM else 130)
