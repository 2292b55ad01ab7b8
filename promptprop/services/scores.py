"""What metrics in code say to answers: in the order of the answers, though some metrics wait for something."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping

from promptprop.domain.models import Judgement
from promptprop.ports import Scorer
from promptprop.services.draft import Draft

SWIFT_SECONDS = 0.005  # metrics that take longer for one answer judge when no request is under way

Scored = Callable[[Draft, Mapping[str, Judgement], "float | None"], None]
Words = dict[str, Judgement]


class Scores:
    """Has answers scored in the order in which they are added; `scored` is told of each one.

    Metrics that await something begin at once, many answers at a time. The others hold up the loop, and judge while
    requests run against their deadlines only as long as they are swift.
    """

    def __init__(self, scorer: Scorer, scored: Scored) -> None:
        """Begin with no answers."""
        self._scorer = scorer
        self._scored = scored
        self._waiting: deque[tuple[Draft, asyncio.Task[Words] | None]] = deque()
        self._swift = True

    def add(self, draft: Draft) -> None:
        """Take one more answer."""
        awaited = asyncio.create_task(self._awaited(draft)) if self._scorer.awaiting else None
        self._waiting.append((draft, awaited))

    def score_ready(self, now: Callable[[], float]) -> None:
        """Score the answers whose turn it is, as long as that is swift; `now` is a clock in seconds."""
        while self._swift and self._waiting and (self._waiting[0][1] is None or self._waiting[0][1].done()):
            began = now()
            self._score(*self._waiting.popleft())
            self._swift = now() - began < SWIFT_SECONDS

    async def settle(self, on_tick: Callable[[int, int], None] = lambda _done, _all: None) -> None:
        """Score what is left, while no request is under way; `on_tick(done, all)` is told of progress."""
        total = len(self._waiting)
        while self._waiting:
            awaited = self._waiting[0][1]
            if awaited is not None:
                await asyncio.wait({awaited})
            self._score(*self._waiting.popleft())
            on_tick(total - len(self._waiting), total)
            await asyncio.sleep(0)

    async def aclose(self) -> None:
        """Give up what is left."""
        tasks = [awaited for _, awaited in self._waiting if awaited is not None]
        self._waiting.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _score(self, draft: Draft, awaited: asyncio.Task[Words] | None) -> None:
        known = awaited.result() if awaited is not None else None
        self._scored(draft, *self._scorer.score(draft.trace[-1].output, draft.example, draft.effort, known))

    async def _awaited(self, draft: Draft) -> Words:
        """The words of all metrics that await something."""
        metrics, output = self._scorer.awaiting, draft.trace[-1].output
        words = await asyncio.gather(*(metric.judge_later(output, draft.example) for metric in metrics))
        return {metric.id: word for metric, word in zip(metrics, words, strict=True)}
