"""A search as the page follows it: the story of its run, read from the tables as they grow, to its end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from starlette.concurrency import run_in_threadpool

from promptprop.adapters.storage.store import SqlStore
from promptprop.domain.errors import PromptPropError, RunNotFound
from promptprop.domain.events import CandidateProposed, StoredEvent
from promptprop.domain.models import Evaluation, Proposal
from promptprop.ports import ENDED, RunHead
from promptprop.server.context import Context
from promptprop.server.feed import HEARTBEAT_FRAME, frame
from promptprop.server.frontend.story import RESTING, Cast, Story
from promptprop.server.problems import ProblemItem, placed, problem_items, told

log = logging.getLogger("promptprop.server")
INTERVAL = 0.2  # seconds between two looks
HEARTBEAT = 10.0  # seconds of silence after which a comment is sent
PAGE = 500


@dataclass(slots=True)
class News:
    """What one look has found. The head was read first: of a run that was over then, everything is here."""

    head: RunHead
    events: list[StoredEvent]
    evaluations: list[Evaluation]


@dataclass(slots=True)
class Reader:
    """Reads what is new of a run, each time from where it was before."""

    store: SqlStore
    run_id: str
    proposals: dict[str, Proposal] = field(default_factory=dict)
    seq: int = 0
    last: int = 0

    def look(self) -> News:
        """What is new. Raises RunNotFound where the run was removed, StorageError."""
        head = self.store.run_head(self.run_id)
        events: list[StoredEvent] = []
        while page := self.store.event_page(self.run_id, self.seq, PAGE):
            events += page
            self.seq = page[-1].seq
        if any(isinstance(one.event, CandidateProposed) for one in events):
            self.proposals.update(self.store.candidates(self.run_id))
        evaluations: list[Evaluation] = []
        while rows := self.store.evaluation_page(self.run_id, None, self.last, PAGE):
            evaluations += [row.evaluation for row in rows]
            self.last = rows[-1].id
        return News(head, events, evaluations)


async def search_frames(context: Context, cast: Cast) -> AsyncIterator[bytes]:
    """The frames of a run, to its end. Whoever stops reading ends nothing but these."""
    reader = Reader(context.store, cast.experiment_id)
    story = Story(cast, reader.proposals)
    yield frame(*story.begin())
    spoken = time.monotonic()
    while not context.draining:
        frames = await _frames(reader, story)
        for one in frames:
            yield one
        if story.over:
            return
        if frames:
            spoken = time.monotonic()
        elif time.monotonic() - spoken >= HEARTBEAT:
            spoken = time.monotonic()
            yield HEARTBEAT_FRAME
        await asyncio.sleep(INTERVAL)


async def _frames(reader: Reader, story: Story) -> list[bytes]:
    """What is to be told after one look; nothing while the database is out of reach."""
    try:
        news = await run_in_threadpool(reader.look)
    except RunNotFound:
        return [frame(*story.fail("unknown", "the run was removed"))]
    except PromptPropError as error:
        log.warning("a search could not be read, and is read again: %s", error.message)
        return []
    found = [frame(name, data) for name, data in story.tell(news.events, news.evaluations)]
    if not story.over and news.head.status in ENDED and news.head.stop_reason not in RESTING:
        said = "the run was cancelled" if news.head.status == "cancelled" else "the run could not be begun"
        found.append(frame(*story.fail(story.stage(), said)))
    return found


def error_frame(error: PromptPropError) -> bytes:
    """The frame of what keeps a search from beginning."""
    items = problem_items(error) or [ProblemItem(message=told(error.message), remedy=told(error.remedy) or None)]
    message = "; ".join(f"{placed(one)} ({one.remedy})" if one.remedy else placed(one) for one in items)
    return frame("error", {"stage": "setup", "message": message})
