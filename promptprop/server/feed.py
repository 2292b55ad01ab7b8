"""Server-sent events: one look at the database for all who follow, and one copy of each frame.

A feed holds the newest frames of a run for whoever follows it; what is older, or was asked for by a client that comes
back, is read from the table. The sequence number of an event is the id of its frame, so any server can go on where
another one has stopped.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool

from promptprop.adapters.logs import redact_value
from promptprop.domain.errors import PromptPropError
from promptprop.domain.events import StoredEvent, body_of
from promptprop.domain.models import Json
from promptprop.domain.report import known_usd
from promptprop.ports import ENDED
from promptprop.ports.service import RunState
from promptprop.server.times import utc_text

if TYPE_CHECKING:
    from promptprop.adapters.storage.store import SqlStore

log = logging.getLogger("promptprop.server")
INTERVAL = 0.25  # seconds between two looks, while anyone follows
HEARTBEAT = 15.0  # seconds of silence after which a comment is sent
KEPT = 2000  # frames of a run in memory
PAGE = 500  # events read at once
HEARTBEAT_FRAME = b": still here\n\n"


def frame(event: str, data: Json, seq: int | None = None) -> bytes:
    r"""A frame as it goes over the wire: LF alone, one line of JSON.

    >>> frame("end", {"status": "finished"}, 7)
    b'id: 7\nevent: end\ndata: {"status": "finished"}\n\n'
    """
    head = f"id: {seq}\n" if seq is not None else ""
    return f"{head}event: {event}\ndata: {json.dumps(data, ensure_ascii=False, allow_nan=False)}\n\n".encode(
        "utf-8", "replace"
    )


def event_json(stored: StoredEvent) -> dict[str, Json]:
    """An event as the API tells it."""
    body: Json = redact_value(body_of(stored.event)) if stored.event.lifecycle else body_of(stored.event)
    return {
        "seq": stored.seq,
        "at": utc_text(stored.at),
        "kind": stored.event.kind,
        "body": body,
        "active_seconds": stored.meta.get("active_seconds"),
    }


def progress_json(tick: Mapping[str, Json] | None) -> Json:
    """The last word of a run that goes on: phase, done, total, and the spend by role, money as text."""
    if tick is None:
        return None
    roles = {role: _spend_json(spent) for role, spent in tick.get("spend", {}).items()}
    return {**tick, "spend": roles} if roles else dict(tick)


def _spend_json(spent: Mapping[str, Json]) -> Json:
    kept = {name: value for name, value in spent.items() if name != "picousd"}
    return {**kept, "usd": known_usd(spent.get("picousd", 0), spent.get("unpriced", 0))}


def event_frame(stored: StoredEvent) -> bytes:
    """The frame of an event."""
    return frame(stored.event.kind, event_json(stored), stored.seq)


class Feed:
    """What is known of one run, while somebody follows it."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.frames: deque[tuple[int, bytes]] = deque(maxlen=KEPT)
        self.newest = 0
        self.state: RunState | None = None
        self.tick: bytes = b""
        self.followers = 0
        self.changed = asyncio.get_running_loop().create_future()

    def tell(self) -> None:
        """Wake all who wait for news."""
        self.changed.set_result(None)
        self.changed = self.changed.get_loop().create_future()

    def after(self, seq: int) -> list[tuple[int, bytes]] | None:
        """The frames after `seq`; None where some of them are no longer, or not yet, in memory."""
        if seq >= self.newest:
            return []
        if not self.frames or self.frames[0][0] > seq + 1:
            return None
        return [one for one in self.frames if one[0] > seq]

    @property
    def over(self) -> bool:
        """Whether the run has ended and all of its events are known."""
        return self.state is not None and self.state.status in ENDED and self.newest >= self.state.last_seq


class Feeds:
    """Every run that is followed through this process."""

    def __init__(self, store: SqlStore, interval: float = INTERVAL) -> None:
        """`interval` is in seconds."""
        self._store = store
        self._interval = interval
        self._feeds: dict[str, Feed] = {}
        self._watch: asyncio.Task[None] | None = None
        self.closing = False

    @property
    def followers(self) -> int:
        """How many clients follow a run now."""
        return sum(feed.followers for feed in self._feeds.values())

    async def follow(self, run_id: str, after: int = 0) -> AsyncIterator[bytes]:
        """The frames of a run after an event, from the table and then as they come, to its end.

        Comments keep the connection alive. The last frame is `end`; where the server ends first, there is none, and a
        client comes back with the id of its last frame.
        """
        feed = self._feeds.setdefault(run_id, Feed())
        feed.followers += 1
        self._watch_on()
        try:
            seq, tick = after, b""
            yield b"retry: 1000\n\n"
            while not self.closing:
                found = feed.after(seq)
                if found is None:
                    found = await run_in_threadpool(self._read, run_id, seq)
                for number, data in found:
                    yield data
                    seq = number
                if found:
                    continue
                if feed.over and feed.state is not None and seq >= feed.state.last_seq:
                    yield frame("end", {"status": feed.state.status, "stop_reason": feed.state.stop_reason or ""})
                    return
                if feed.tick != tick:
                    tick = feed.tick
                    yield tick
                if not await self._wait(feed, seq, tick):
                    yield HEARTBEAT_FRAME
        finally:
            feed.followers -= 1
            if not feed.followers and self._feeds.get(run_id) is feed:
                del self._feeds[run_id]

    async def close(self) -> None:
        """End every stream, and the watch."""
        self.closing = True
        for feed in list(self._feeds.values()):
            feed.tell()
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch

    async def _wait(self, feed: Feed, seq: int, tick: bytes) -> bool:
        """Whether there is news before a heartbeat is due."""
        until = asyncio.get_running_loop().time() + HEARTBEAT
        while not (self.closing or feed.newest > seq or feed.tick != tick or feed.over):
            left = until - asyncio.get_running_loop().time()
            # `wait_for` may swallow the cancellation of a client that has gone; `wait` leaves the future to the others
            if left <= 0 or not (await asyncio.wait([feed.changed], timeout=left))[0]:
                return False
        return True

    def _watch_on(self) -> None:
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._look())

    async def _look(self) -> None:
        """Look for news of every run that is followed, until nobody follows any."""
        while self._feeds:
            try:
                await self._look_once()
            except PromptPropError as error:  # the database may come back; who follows is kept waiting
                log.warning("events could not be read: %s", error.message)
            await asyncio.sleep(self._interval)

    async def _look_once(self) -> None:
        followed = dict(self._feeds)  # one that is followed from now on is for the next look
        states = await run_in_threadpool(self._store.run_states, list(followed))
        for run_id, feed in followed.items():
            state = states.get(run_id)
            if state is None:
                state = RunState("cancelled", "removed", feed.newest, None)
            fresh = await self._fresh(run_id, feed.newest, state.last_seq)
            running = state.progress is not None and state.status == "running"
            tick = frame("tick", progress_json(state.progress)) if running else b""
            if fresh or tick != feed.tick or state != feed.state:
                feed.frames.extend(fresh)
                feed.newest = fresh[-1][0] if fresh else feed.newest
                feed.state, feed.tick = state, tick
                feed.tell()

    async def _fresh(self, run_id: str, newest: int, last: int) -> list[tuple[int, bytes]]:
        """The frames up to the last event, those that memory cannot hold anyway left out."""
        found: list[tuple[int, bytes]] = []
        seq = newest or max(0, last - KEPT)
        while seq < last:
            page = await run_in_threadpool(self._read, run_id, seq)
            if not page:  # the run was removed meanwhile
                break
            found += page
            seq = page[-1][0]
        return found

    def _read(self, run_id: str, after: int) -> list[tuple[int, bytes]]:
        return [(one.seq, event_frame(one)) for one in self._store.event_page(run_id, after, PAGE)]
