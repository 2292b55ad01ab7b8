"""Calls under way: one shared, shielded task a key, which outlives the caller who started it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from promptprop.adapters.models.endpoint import Call
from promptprop.domain.models import Failure, Reply

logger = logging.getLogger("promptprop.models.ledger")


@dataclass(frozen=True, slots=True)
class Landing:
    """What a flight brought back: a reply as it is stored, or a failure."""

    reply: Reply | None
    failure: Failure | None = None


@dataclass(slots=True, eq=False)
class Flight:
    """A task with its number of waiters; `call` is None where nothing is paid for, only pinned."""

    task: asyncio.Task[Landing]
    call: Call | None
    users: int = 1
    deadline: asyncio.TimerHandle | None = None

    async def landed(self) -> Landing:
        """Wait for the end; cancelling the waiter leaves the flight alone."""
        return await asyncio.shield(self.task)


class Flights:
    """All flights of a run by key."""

    def __init__(self, drain_seconds: float) -> None:
        """An abandoned flight whose request is at the provider gets so many seconds to end."""
        self._drain_seconds = drain_seconds
        self._by_key: dict[str, Flight] = {}
        self._tasks: set[asyncio.Task[Landing]] = set()

    def start(self, key: str, work: Coroutine[Any, Any, Landing], call: Call | None = None) -> Flight:
        """Begin a flight with one waiter. Its call is released at its end, even if it never got to run."""
        flight = Flight(asyncio.get_running_loop().create_task(work), call)
        self._by_key[key] = flight
        self._tasks.add(flight.task)

        def land(task: asyncio.Task[Landing]) -> None:
            if call is not None:
                call.release()
            self._tasks.discard(task)
            self._forget(key, flight)
            if flight.deadline is not None:
                flight.deadline.cancel()
            if not task.cancelled() and (error := task.exception()) is not None and not flight.users:
                logger.error("an abandoned call ended with %s", type(error).__name__, extra={"key": key})

        flight.task.add_done_callback(land)
        return flight

    def join(self, key: str) -> Flight | None:
        """The flight of this key, with one more waiter, if there is one."""
        flight = self._by_key.get(key)
        if flight is not None:
            flight.users += 1
            if flight.call is not None:
                flight.call.last = False
            if flight.deadline is not None:
                flight.deadline.cancel()
                flight.deadline = None
        return flight

    def leave(self, key: str, flight: Flight) -> None:
        """One waiter fewer; without any, a request at the provider gets its grace period, all else is cancelled."""
        flight.users -= 1
        if flight.users or flight.task.done():
            return
        if flight.call is not None and not flight.call.at_stake:
            self._cancel(key, flight)
            return
        if flight.call is not None:
            flight.call.last = True
        flight.deadline = asyncio.get_running_loop().call_later(self._drain_seconds, self._cancel, key, flight)

    async def drain(self) -> None:
        """Wait until all flights have ended; those that nobody waits for end within the grace period."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def _cancel(self, key: str, flight: Flight) -> None:
        self._forget(key, flight)  # who asks for the key from now on needs a flight that lands
        flight.task.cancel()

    def _forget(self, key: str, flight: Flight) -> None:
        if self._by_key.get(key) is flight:
            del self._by_key[key]
