"""What people decide while a run goes on: rulings on rewrites, corrected scores, and caps and notes beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Literal, get_args

from promptprop.domain.budget import Budget, Spend
from promptprop.domain.errors import UsageError
from promptprop.domain.events import (
    CapRaised,
    ErrorsRetried,
    Estimate,
    Event,
    NoteLeft,
    RewriteReviewed,
    ScoreOverridden,
    event_of,
)
from promptprop.domain.models import Candidate, Critique, Evaluation, Json, Judgement

Action = Literal["approve", "edit", "refuse"]
Word = Literal["approve", "edit", "refuse", "again"]
Ending = Literal["interrupted", "paused", "cancelled"]
ENDINGS: tuple[Ending, ...] = get_args(Ending)[1:]  # what people can ask for

INTERVENTIONS = (CapRaised, ErrorsRetried, RewriteReviewed, ScoreOverridden, NoteLeft)
LONGEST_NOTE = 20_000  # characters: critic and rewriter read every note


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks of a run while it goes on: an intervention by kind and body, or an ending."""

    id: int
    run_id: str
    kind: str
    body: Mapping[str, Json]
    author: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ReviewRequest:
    """A rewrite that is about to be adopted, and what is known of it. Differences are those to its parent.

    `rows` are those whose scores may be corrected.
    """

    round: int
    candidate: Candidate
    parent: Candidate
    critiques: tuple[Critique, ...]
    screened: Estimate
    raced: Estimate
    spend: Spend
    rows: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Ruling:
    """A person's word on a rewrite. `prompts` are the edited texts by step; `besides` are interventions before it.

    `wish` is where the word came from, if it was left in the inbox.
    `again`: there is no ruling yet; what stands in `besides` is recorded, and the person is asked once more.
    """

    action: Word
    prompts: Mapping[str, str] | None = None
    reason: str = ""
    besides: tuple[Event, ...] = ()
    wish: Wish | None = None


@dataclass(frozen=True, slots=True)
class Correction:
    """A score that a person put in the place of a measured one, and why."""

    candidate_id: str
    example_id: str
    score: float
    reason: str

    def applied(self, evaluation: Evaluation) -> Evaluation:
        """The evaluation with the person's score; their reason stands beside the metrics' feedback."""
        judgements = {**evaluation.judgements, "person": Judgement(self.score, self.reason)}
        return replace(evaluation, score=self.score, judgements=judgements, error=None)


def intervention_of(kind: str, body: Mapping[str, Json]) -> Event:
    """The intervention that a wish asks for. Raises UsageError for one that can never be.

    >>> intervention_of("note_left", {"text": "mind the tone"})
    NoteLeft(text='mind the tone')
    """
    known = {event.kind: event for event in INTERVENTIONS}
    if kind not in known:
        raise UsageError(f"{kind!r} is nothing to ask of a run", remedy=f"use one of {', '.join((*known, *ENDINGS))}")
    names = [one.name for one in fields(known[kind])]
    if set(body) != set(names):
        raise UsageError(f"{kind} takes {', '.join(names) or 'nothing'}, got {', '.join(body) or 'nothing'}")
    event = event_of(kind, body)
    if problem := _problem(event):
        raise UsageError(f"{kind} cannot be: {problem}")
    return event


def _problem(event: Event) -> str:
    """What is wrong with the fields of an intervention; nothing where all is well."""
    texts = [getattr(event, one.name) for one in fields(event) if one.type == "str"]
    if not all(isinstance(text, str) and len(text) <= LONGEST_NOTE for text in texts):
        return f"its texts are strings of at most {LONGEST_NOTE:,} characters"
    if isinstance(event, NoteLeft) and not event.text.strip():
        return "the note is empty"
    if isinstance(event, ScoreOverridden):
        if isinstance(event.score, bool) or not isinstance(event.score, int | float) or not 0 <= event.score <= 1:
            return "a score is a number from 0 to 1"
        return "" if event.reason.strip() else "a score is changed for a reason"
    if isinstance(event, RewriteReviewed):
        if event.action not in get_args(Action):
            return f"the action is one of {', '.join(get_args(Action))}"
        if not isinstance(event.prompts, Mapping) or not all(isinstance(one, str) for one in event.prompts.values()):
            return "prompts are texts by step"
        return "" if bool(event.prompts) == (event.action == "edit") else "prompts come with an edit, and only there"
    return _cap_problem(event.caps) if isinstance(event, CapRaised) else ""


def _cap_problem(caps: Json) -> str:
    names = [one.name for one in fields(Budget)]
    if not isinstance(caps, Mapping) or not caps or set(caps) - set(names):
        return f"caps are some of {', '.join(names)}"
    for name, value in caps.items():
        try:
            amount = Decimal(str(value))
        except InvalidOperation:
            amount = Decimal("NaN")
        whole = name in ("calls", "tokens")
        right = isinstance(value, int) if whole else isinstance(value, int | float | (str if name == "usd" else int))
        if isinstance(value, bool) or not right or not amount.is_finite() or amount < 0 or amount >= 2**53:
            return f"{name} is a{' whole' if whole else ''} number from 0 on"
    return ""
