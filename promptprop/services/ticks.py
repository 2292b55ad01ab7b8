"""Ticks for those who watch from another process: the newest one of a run is stored now and then."""

from __future__ import annotations

import asyncio
import logging

from promptprop.domain.errors import StorageError
from promptprop.domain.events import StoredEvent
from promptprop.ports import Clock, Progress, Tick

log = logging.getLogger("promptprop.jobs")

TICK_SECONDS = 1.0  # between two that are stored


class StoredTicks:
    """An EventSink that stores the newest tick of its run, once a second at most; no event waits for it."""

    def __init__(self, store: Progress, clock: Clock) -> None:
        """For one run."""
        self._store = store
        self._clock = clock
        self._newest: Tick | None = None
        self._stored_at = float("-inf")
        self._storing: asyncio.Task[None] | None = None

    def accept(self, event: StoredEvent) -> None:
        """Events are stored by the engine."""

    def tick(self, tick: Tick) -> None:
        """Take one tick; it is stored now, or with the first one that comes a second after the last."""
        self._newest = tick
        now = self._clock.monotonic()
        if self._storing is None and now - self._stored_at >= TICK_SECONDS:
            self._stored_at = now
            self._storing = asyncio.ensure_future(self._store_newest())
            self._storing.add_done_callback(self._stored)

    async def close(self) -> None:
        """Store the last one."""
        if self._storing is not None:
            await asyncio.wait({self._storing})
        await self._store_newest()

    async def _store_newest(self) -> None:
        tick, self._newest = self._newest, None
        if tick is not None:
            body = {"phase": tick.phase, "done": tick.done, "total": tick.total, "spend": tick.spend.as_json()}
            try:
                await self._store.keep_progress(tick.run_id, body)
            except StorageError as lost:  # the run itself will meet it
                log.warning("a tick could not be stored: %s", lost.message)

    def _stored(self, _task: asyncio.Task[None]) -> None:
        self._storing = None
