"""A library that blocks, in a thread of its own: each thing that it wants done is done by the run, one at a time.

So the run stays what it is for every optimizer: one task that awaits one thing after the other, in an order that a
resumed run meets again.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import Future
from typing import Any

from promptprop.domain.events import Event

Wish = Callable[[], Awaitable[Any]]


class Abandoned(BaseException):
    """The run goes on without the thread: what the library calls next ends it. No `Exception`, so that none eats it."""


class Line:
    """The line between a thread and the run. `do` and `tell` are for the thread, `events` is for the run."""

    def __init__(self) -> None:
        """Begin with nothing said."""
        self._loop = asyncio.get_running_loop()
        self._wishes: asyncio.Queue[tuple[Event | Wish | None, Future[Any]]] = asyncio.Queue()
        self._gone = threading.Event()
        self._error: Exception | None = None

    def do(self, wish: Wish) -> Any:
        """Have the run await something; its result, or the exception that it raised."""
        return self._put(wish)

    def tell(self, event: Event) -> None:
        """Have the run yield an event; returns once it is stored."""
        self._put(event)

    def _put(self, said: Event | Wish | None) -> Any:
        if self._gone.is_set():
            raise Abandoned
        answer: Future[Any] = Future()
        self._loop.call_soon_threadsafe(self._wishes.put_nowait, (said, answer))
        return answer.result() if said is not None else None

    async def events(self, work: Callable[[], None]) -> AsyncGenerator[Event, None]:
        """Run `work` in a thread, do what it wishes, and yield what it tells. Raises what `work` raises."""
        thread = threading.Thread(target=self._run, args=(work,), name="optimizer", daemon=True)
        thread.start()
        answer: Future[Any] | None = None
        try:
            while True:
                said, answer = await self._wishes.get()
                if said is None:
                    break
                if not callable(said):
                    yield said
                    answer.set_result(None)
                    continue
                try:
                    result = await said()
                except Exception as error:  # noqa: BLE001 - the thread raises it
                    answer.set_exception(error)
                else:
                    answer.set_result(result)
        finally:
            self._gone.set()
            # what it is at is short, since each call of a model goes through this line; a wish may still come in late
            while thread.is_alive():
                self._release(answer)
                await asyncio.sleep(0.002)
        if self._error is not None:
            raise self._error

    def _release(self, answer: Future[Any] | None) -> None:
        """Let the thread out of what it waits for."""
        waiting = [answer] if answer is not None else []
        while not self._wishes.empty():
            waiting.append(self._wishes.get_nowait()[1])
        for one in waiting:
            if not one.done():
                one.set_exception(Abandoned())

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Abandoned:
            return
        except Exception as error:  # noqa: BLE001 - the run raises it
            self._error = error
        if not self._gone.is_set():
            self._put(None)
