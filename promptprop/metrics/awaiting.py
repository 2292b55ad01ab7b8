"""Where async metrics run: one event loop in a thread of its own, for as long as the process lives.

A session or a pool that a metric opens belongs to the loop that it was opened in. So all calls meet the same loop,
whichever run they are for; and a metric that blocks in spite of its `async` holds up other metrics, but no run.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

Begin: TypeAlias = Callable[[], Coroutine[Any, Any, Any]]
Outcome: TypeAlias = "tuple[Any, BaseException | None]"


class Overdue(TimeoutError):
    """A coroutine took longer than it may."""


class Turns:
    """Runs coroutines in the loop of async metrics: so many at once, each for so many seconds at most.

    Both bounds are kept by the caller's side, since they must hold where a coroutine blocks the loop that it runs in.
    """

    def __init__(self, at_once: int, seconds: float) -> None:
        """`seconds` are counted from when a coroutine has its turn."""
        self._at_once = at_once
        self._seconds = seconds
        self._gates: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

    async def run(self, begin: Begin) -> Outcome:
        """The result, or what was raised in its place; `Overdue` after the time, when the coroutine is cancelled."""
        gate = self._gates.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(self._at_once))
        async with gate:
            future = asyncio.wrap_future(_begun(begin))
            try:
                done, _ = await asyncio.wait({future}, timeout=self._seconds)
                return future.result() if done else (None, Overdue())
            finally:
                future.cancel()  # not awaited: a coroutine can refuse to be cancelled

    def wait(self, begin: Begin) -> Outcome:
        """The same for one coroutine by itself, while the caller's thread waits."""
        future = _begun(begin)
        try:
            return future.result(self._seconds)
        except concurrent.futures.TimeoutError:
            return None, Overdue()
        finally:
            future.cancel()


def _begun(begin: Begin) -> concurrent.futures.Future[Outcome]:
    return asyncio.run_coroutine_threadsafe(_outcome(begin), _HOME.loop())


async def _outcome(begin: Begin) -> Outcome:
    """What comes of a coroutine as a value: raised, an exit would end the loop, and a cancellation that of the run."""
    try:
        return await begin(), None
    except BaseException as error:  # noqa: BLE001 - see above
        return None, error


class _Home:
    """The loop with its thread, made when they are first needed, and again in a process that was forked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._thread is None or not self._thread.is_alive():
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="async metrics", daemon=True)
                self._thread.start()
            return self._loop


_HOME = _Home()
