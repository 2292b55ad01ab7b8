"""Runs and their jobs: queued together, ended together, and put right where a crash has left one without the other.

The run's row says what people see, the queue says what workers do. A row says `queued` before there is a job, so that
a crash between the two leaves a run that `settle` queues, and no job that nobody knows of.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from datetime import timedelta
from typing import Literal, Protocol

from promptprop.domain.errors import RunLocked, RunNotFound
from promptprop.domain.events import RunFinished, RunStopped, StoredEvent
from promptprop.domain.people import ENDINGS
from promptprop.ports import LIVE_RUNS, Clock, Inbox, JobQueue, JobState, Queued, RunHead, RunListing, Store

log = logging.getLogger("promptprop.jobs")

Wanted = Literal["paused", "cancelled"]
RESUMABLE = ("created", "stopped", "cancelled")
RIPE_SECONDS = 10.0  # a row that was changed a moment ago is in somebody's hands
PAGE = 200
LAST_WORDS, PAUSE_SECONDS = 40, 0.05  # looks at a job that is about to be over, and seconds between them


class Runs(Store, RunListing, Inbox, Protocol):
    """What dispatching needs of the store."""


class Dispatch:
    """Queues, pauses and cancels runs. Any process may: workers and servers share nothing but store and queue."""

    def __init__(
        self, store: Runs, queue: JobQueue, clock: Clock, lock: Callable[[str], AbstractContextManager[None]]
    ) -> None:
        """`lock` holds a run, or raises RunLocked at once."""
        self._store = store
        self._queue = queue
        self._clock = clock
        self._lock = lock

    async def submit(
        self,
        run_id: str,
        priority: int = 0,
        *,
        most_live: int | None = None,
        before: Sequence[str] = RESUMABLE,
    ) -> Queued:
        """Queue a run that was not begun or has stopped: its owner may have `most_live` queued and running ones.

        A run that is queued or running in a worker stays as it is: `elsewhere`. One that says so without a worker, as
        after a kill, is put right first. Raises RunLocked where another process, such as a command, works on it.
        """
        head = self._store.run_head(run_id)
        if head.status in LIVE_RUNS and not await self._is_live(run_id):
            await self._close(head, "interrupted")
        queued = await self._store.queue_run(run_id, before, most_live)
        if queued == "queued":
            await self._store.withdraw_endings(run_id)
            await self._await_last_words(run_id)
            await self._queue.submit(run_id, priority)
        return queued

    async def end(self, run_id: str, ending: Wanted, author: str = "") -> bool:
        """Pause or cancel a run; tells whether it is over already, else whoever has it ends it within seconds.

        A run that was not begun, or that waits, is over at once; so is one that had stopped, if it is cancelled. A run
        that is over stays as it is. Commands and workers see it within a second; calls under way are recorded first.
        """
        head = self._store.run_head(run_id)
        over = ("finished", "cancelled") if ending == "cancelled" else ("finished", "cancelled", "stopped")
        if head.status in over:
            return True
        job = await self._queue.state(run_id)
        await self._store.leave_wish(run_id, ending, {}, author)
        await self._queue.cancel(run_id)
        after = await self._queue.state(run_id)
        if job and job.live and not (job.status == "queued" and after and after.starts == job.starts):
            return False  # a worker has met it
        try:
            await self._close(head, ending)
        except RunLocked:
            return False
        return True

    async def settle(self) -> int:
        """Put right all rows of runs that say something else than their jobs; returns how many those were.

        For workers and servers, as they start and now and then.
        """
        ripe = self._clock.now() - timedelta(seconds=RIPE_SECONDS)
        changed = 0
        for status in LIVE_RUNS:
            heads: list[RunHead] = []
            while page := self._store.run_page(PAGE, heads[-1].cursor if heads else None, status=status):
                heads += page
            stale = [head for head in heads if head.updated_at < ripe]
            jobs = await self._queue.states([head.id for head in stale])
            for head in stale:
                changed += await self._settle(head, jobs.get(head.id))
        return changed

    async def returned(self, run_ids: Sequence[str]) -> None:
        """The jobs of these runs, which had been taken up, wait in the queue again.

        A run that a worker has taken up meanwhile says so itself and is left alone.
        """
        for run_id in run_ids:
            with suppress(RunLocked):
                async with self._held(run_id):
                    job = await self._queue.state(run_id)
                    if job is not None and job.status == "queued":
                        await self._store.change_status(run_id, ("running", "stopped"), "queued")

    async def close_run(self, run_id: str, reason: str, detail: str = "") -> None:
        """Store that a run which no process works on has stopped, as an event and in its row. Raises RunLocked."""
        await self._close(self._store.run_head(run_id), reason, detail)

    async def _settle(self, head: RunHead, job: JobState | None) -> bool:
        if job is None:
            if head.status == "queued":
                await self._queue.submit(head.id)
                return True
            return False  # a command's run: it is that process's, or `submit` lets go of it
        if job.live:
            if job.status == "queued" and head.status == "running":
                return await self._store.change_status(head.id, ("running",), "queued")
            return False
        ending = self._store.ending(head.id)
        try:
            if job.status == "failed":
                await self._close(head, "failed", job.error)
            elif head.status == "queued" and ending == "interrupted":  # queued while a worker had its last words
                await self._queue.submit(head.id)
            else:
                await self._close(head, ending)
        except (RunLocked, RunNotFound):
            return False  # its worker is about to end it, a command has taken it up, or it was removed
        log.warning("the run %s says %s, and its job is %s: put right", head.id[:8], head.status, job.status)
        return True

    async def _await_last_words(self, run_id: str) -> None:
        """A run says that it has stopped a moment before its job is over, and while that lives there is no other."""
        for _ in range(LAST_WORDS):
            job = await self._queue.state(run_id)
            if job is None or job.status != "running":
                return
            await asyncio.sleep(PAUSE_SECONDS)

    async def _is_live(self, run_id: str) -> bool:
        job = await self._queue.state(run_id)
        return job is not None and job.live

    async def _close(self, head: RunHead, reason: str, detail: str = "") -> None:
        """Stop a run in the place of a process that works on it no more. Raises RunLocked where one does."""
        async with self._held(head.id):
            newest, stopped = self._store.last_seq(head.id), RunStopped(reason, detail)
            told = [one.event for one in self._store.event_page(head.id, newest - 1, 1)] if newest else []
            if told != [stopped] and not any(isinstance(one, RunFinished) for one in told):
                await self._store.append(StoredEvent(head.id, newest + 1, self._clock.now(), stopped, {}))
            status = "cancelled" if reason == "cancelled" else "stopped"
            await self._store.change_status(head.id, (*LIVE_RUNS, "created", "stopped"), status, reason)
            for wish in self._store.wishes(head.id):
                if wish.kind in ENDINGS:
                    await self._store.settle_wish(wish.id)

    @asynccontextmanager
    async def _held(self, run_id: str) -> AsyncIterator[None]:
        """Keep all others off a run. Raises RunLocked where a process works on it."""
        lock = self._lock(run_id)
        await asyncio.to_thread(lock.__enter__)
        try:
            yield
        finally:
            await asyncio.to_thread(lock.__exit__, None, None, None)
