"""What people decide while a run goes on: rulings on rewrites, corrected scores, and caps and notes beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from promptprop.domain.budget import Spend
from promptprop.domain.events import Estimate, Event
from promptprop.domain.models import Candidate, Critique, Evaluation, Judgement

Action = Literal["approve", "edit", "refuse"]
Word = Literal["approve", "edit", "refuse", "again"]


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

    `again`: there is no ruling yet; what stands in `besides` is recorded, and the person is asked once more.
    """

    action: Word
    prompts: Mapping[str, str] | None = None
    reason: str = ""
    besides: tuple[Event, ...] = ()


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
