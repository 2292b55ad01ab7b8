"""Where a run stands against its record: replay compares decisions, and meets interventions at their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from promptprop.domain.errors import ReplayDiverged
from promptprop.domain.events import (
    CapRaised,
    ErrorsRetried,
    Event,
    NoteLeft,
    RewriteReviewed,
    ScoreOverridden,
    SearchEnded,
    StoredEvent,
    body_of,
)
from promptprop.domain.models import Json, canonical
from promptprop.domain.people import Correction


class Replay:
    """The record of a run, met decision by decision.

    A position counts the decisions met so far. An intervention stored after the n-th decision belongs to position n,
    and takes effect as soon as that position is reached: caps at the next barrier, a retry of errors at once. So the
    run decides as before up to it. All behind it is decided anew under the new caps, higher or lower: what is recorded
    there still answers, since it is paid and caps refuse only what is not, and nothing more is paid than they admit.
    A later replay meets them at the same place, and so refuses the same calls.
    """

    def __init__(self, stored: Sequence[StoredEvent]) -> None:
        """Sort the record into decisions and interventions by position."""
        self._decisions: list[StoredEvent] = []
        self._caps: dict[int, dict[str, Json]] = {}
        self._retries: list[int] = []
        self._rulings: dict[tuple[int, str], RewriteReviewed] = {}
        self._notes: list[tuple[int, str]] = []
        self._corrections: list[tuple[int, Correction]] = []
        self.position = 0
        for event in stored:
            self.add_intervention(event.event)
            if not event.event.lifecycle:
                self._decisions.append(event)

    def add_intervention(self, event: Event) -> None:
        """Take an intervention that belongs to the end of the record."""
        position = len(self._decisions)
        if isinstance(event, CapRaised):
            self._caps[position] = {**self._caps.get(position, {}), **event.caps}
        elif isinstance(event, ErrorsRetried):
            self._retries.append(position)
        elif isinstance(event, RewriteReviewed):
            self._rulings[position, event.candidate_id] = event
        elif isinstance(event, NoteLeft):
            self._notes.append((position, event.text))
        elif isinstance(event, ScoreOverridden):
            correction = Correction(event.candidate_id, event.example_id, event.score, event.reason)
            self._corrections.append((position, correction))

    def ruling(self, candidate_id: str) -> RewriteReviewed | None:
        """The ruling on a candidate that is on record for this place."""
        return self._rulings.get((self.position, candidate_id))

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes that are in force here."""
        return tuple(text for position, text in self._notes if position <= self.position)

    @property
    def corrections(self) -> tuple[Correction, ...]:
        """Corrected scores that are in force here; of two for one cell the later one."""
        due = [one for position, one in self._corrections if position <= self.position]
        return tuple({(one.candidate_id, one.example_id): one for one in due}.values())

    @property
    def live(self) -> bool:
        """True when every recorded decision has been met."""
        return self.position >= len(self._decisions)

    @property
    def generation(self) -> int:
        """How many retries of errors are in force here."""
        return sum(1 for position in self._retries if position <= self.position)

    def meet(self, event: Event) -> StoredEvent | None:
        """The recorded twin of this decision, or None where it is new. Raises ReplayDiverged at a difference."""
        if self.live:
            self.position += 1
            return None
        recorded = self._decisions[self.position]
        difference = _difference(recorded.event, event)
        if difference:
            raise ReplayDiverged(
                f"the replay of run {recorded.run_id} differs from its record at event {recorded.seq}: {difference}",
                remedy="the run was made by other code or data; start a fresh run: the ledger makes it cheap",
            )
        self.position += 1
        return recorded

    def take_caps(self) -> Mapping[str, Json] | None:
        """The caps that a person gave up to here and that were not taken yet; of two of a kind the later one."""
        due = sorted(position for position in self._caps if position <= self.position)
        if not due:
            return None
        merged: dict[str, Json] = {}
        for position in due:
            merged.update(self._caps.pop(position))
        return merged

    def deadline_met(self, barrier: int) -> bool | None:
        """While replaying: whether the deadline ended the search at this barrier. None where only the clock knows."""
        if self.live:
            return None
        for recorded in self._decisions[self.position :]:
            if isinstance(recorded.event, SearchEnded):
                return recorded.event.reason == "seconds" and recorded.event.barrier == barrier
        # The record breaks off before the search ended: it goes on at least to its last decision.
        return False


def _difference(recorded: Event, event: Event) -> str:
    if recorded.kind != event.kind:
        return f"the record says {recorded.kind}, the replay {event.kind}"
    before, after = body_of(recorded), body_of(event)
    for name, value in before.items():
        if canonical(value) != canonical(after.get(name)):
            return f"{event.kind}.{name} was {canonical(value)[:200]}, is {canonical(after.get(name))[:200]}"
    return ""
