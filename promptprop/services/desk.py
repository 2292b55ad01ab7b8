"""The desk: where people decide. What they say is recorded first, and then in force; a replay finds it on record."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from promptprop.domain.errors import UsageError
from promptprop.domain.events import CapRaised, ErrorsRetried, Event, NoteLeft, RewriteReviewed, ScoreOverridden
from promptprop.domain.models import Json
from promptprop.domain.people import ReviewRequest, Ruling, Wish
from promptprop.ports import Clock, Reviewer
from promptprop.services.replay import Replay


@dataclass(frozen=True, slots=True)
class Interventions:
    """What a person decides on resume: larger caps, whether failed calls are made again, notes and corrected scores."""

    caps: Mapping[str, Json] = field(default_factory=dict)
    retry_errors: bool = False
    notes: tuple[str, ...] = ()
    overrides: tuple[ScoreOverridden, ...] = ()

    def events(self) -> list[Event]:
        """The events that store them."""
        raised: list[Event] = [CapRaised(dict(self.caps))] if self.caps else []
        retried: list[Event] = [ErrorsRetried()] if self.retry_errors else []
        return [*raised, *retried, *self.overrides, *(NoteLeft(text) for text in self.notes)]


class Desk:
    """What people say in one run: rulings on rewrites, and what they do besides."""

    def __init__(
        self,
        replay: Replay,
        record: Callable[[Event, Wish | None], Awaitable[None]],
        clock: Clock,
        reviewer: Reviewer | None = None,
        take_mail: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        """`record` checks and stores an intervention, and puts it in force; `wish` is what asked for it, if one did.

        `take_mail` takes what waits in the inbox, all but rulings on the candidate that it is told.
        """
        self._replay = replay
        self._record = record
        self._clock = clock
        self._reviewer = reviewer
        self._take_mail = take_mail
        self._sealed: frozenset[str] = frozenset()
        self.waited = 0.0

    def seal(self, rows: Iterable[str]) -> None:
        """The scores of these rows are no one's to change."""
        self._sealed = frozenset(rows)

    async def rule(self, request: ReviewRequest) -> Ruling:
        """The recorded ruling on a rewrite, else the reviewer's, else approval: nobody is asked twice.

        Raises UsageError where the reviewer changes a sealed score. While a person thinks, no call is under way, and
        no active second passes.
        """
        known = self._replay.ruling(request.candidate.id)
        if known is not None:
            return Ruling(known.action, dict(known.prompts) or None, known.reason)
        if self._reviewer is None or not self._replay.live:
            return Ruling("approve")
        while (ruling := await self._decided(request)).action == "again":
            if self._take_mail is not None:
                await self._take_mail(request.candidate.id)
        word = RewriteReviewed(request.candidate.id, ruling.action, dict(ruling.prompts or {}), ruling.reason)
        await self._record(word, ruling.wish)
        return ruling

    async def _decided(self, request: ReviewRequest) -> Ruling:
        """One answer of the reviewer, with what they did besides on record."""
        began = self._clock.monotonic()
        try:
            ruling = await self._reviewer.decide(request) if self._reviewer else Ruling("approve")
        finally:
            self.waited += self._clock.monotonic() - began
        for event in ruling.besides:
            await self._record(event, None)
        return ruling

    def check(self, event: Event) -> None:
        """Raise UsageError for an intervention that may not be."""
        if isinstance(event, ScoreOverridden) and event.example_id in self._sealed:
            raise UsageError(
                f"row {event.example_id} is sealed for the proof: its scores are not to be changed",
                remedy="correct the label in the dataset, and start a new run",
            )
