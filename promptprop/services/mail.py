"""The inbox of one run, emptied by whoever runs it: each wish is recorded and in force, or refused with the reason."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from promptprop.domain.errors import InputError, PromptPropError, StorageError, UsageError
from promptprop.domain.events import Event, RewriteReviewed, StoredEvent
from promptprop.domain.people import ENDINGS, Ending, Wish, intervention_of
from promptprop.ports import Clock, Inbox

EVERY = 0.5  # seconds between two looks: a look costs little, but a replay or a small run decides thousands of times
WATCHED = 0.5  # seconds until a pause or a cancellation is seen

log = logging.getLogger("promptprop.engine")


class Mail:
    """What people leave for a run. Without an inbox nobody leaves anything."""

    def __init__(
        self,
        inbox: Inbox | None,
        run_id: str,
        clock: Clock,
        record: Callable[[Event, Wish | None], Awaitable[None]],
        stored: Sequence[StoredEvent] = (),
    ) -> None:
        """`record` stores an intervention, puts it in force and settles its wish; `stored` are the run's events.

        A process may have died between recording a wish and settling it. The event names its wish: none counts twice.
        """
        self._inbox = inbox
        self._run_id = run_id
        self._clock = clock
        self._record = record
        self._recorded = {event.meta["wish"] for event in stored if "wish" in event.meta}
        self._next = clock.monotonic()

    async def take(self) -> None:
        """Take what waits, in its order; at most every so often. Raises CancelledError where the run is to end."""
        if self._inbox is not None and self._clock.monotonic() >= self._next:
            await self.take_all_but("")

    async def take_all_but(self, candidate_id: str) -> None:
        """The same at once, but for rulings on this candidate: its reviewer takes those."""
        if self._inbox is None:
            return
        self._next = self._clock.monotonic() + EVERY
        for wish in self._inbox.wishes(self._run_id):
            if wish.kind in ENDINGS:
                raise asyncio.CancelledError
            if wish.kind != RewriteReviewed.kind or wish.body.get("candidate_id") != candidate_id:
                await self._take(wish)

    async def _take(self, wish: Wish) -> None:
        if wish.id in self._recorded:
            await self.settle(wish)
            return
        try:
            event = intervention_of(wish.kind, wish.body)
            if isinstance(event, RewriteReviewed):
                raise UsageError(f"no rewrite {event.candidate_id!r} waits for a ruling")
            await self._record(event, wish)
        except (UsageError, InputError) as refused:
            await self.settle(wish, refused.message)

    async def settle(self, wish: Wish | None, refused: str | None = None) -> None:
        """A wish is fulfilled, or refused for this reason."""
        if self._inbox is not None and wish is not None:
            await self._inbox.settle_wish(wish.id, refused)

    def ending(self) -> Ending:
        """How the run ends that is being cancelled."""
        if self._inbox is None:
            return "interrupted"
        try:
            return self._inbox.ending(self._run_id)
        except StorageError:
            log.exception("whether anybody asked for this end could not be read", extra={"run_id": self._run_id})
            return "interrupted"

    async def watch(self, task: asyncio.Task[Any] | None) -> None:
        """Cancel the task once somebody wants the run to end: what a decision takes may take long."""
        while self._inbox is not None and task is not None:
            await asyncio.sleep(WATCHED)
            if self.ending() != "interrupted":
                task.cancel()
                return

    async def close(self, refused: str | None = None) -> None:
        """The run has ended, so that wishes for its end are fulfilled; with a reason, all that wait are refused."""
        if self._inbox is None:
            return
        try:
            for wish in self._inbox.wishes(self._run_id):
                if refused is not None or wish.kind in ENDINGS:
                    await self.settle(wish, refused)
        except PromptPropError:  # how the run ended is stored, and counts
            log.exception("the inbox could not be closed", extra={"run_id": self._run_id})
