"""The seam of reading results: what a run measured, by the page and by the cell, however much of it there is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from promptprop.domain.events import ScoreOverridden
from promptprop.domain.models import Evaluation
from promptprop.ports.service import EvaluationRow


@dataclass(frozen=True, slots=True)
class CellScore:
    """The score of one answer, None where it is missing."""

    candidate_id: str
    example_id: str
    score: float | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which evaluations are read: of one candidate, of one row, only those without a score. None means any."""

    candidate_id: str | None = None
    example_id: str | None = None
    missing: bool = False


class Results(Protocol):
    """Evaluations as they stand: of a cell that was retried, only the one that was stored last."""

    def newest_evaluations(
        self, run_id: str, after_id: int, limit: int, wanted: Wanted | None = None
    ) -> list[EvaluationRow]:
        """Evaluations in the order stored, those with an id > `after_id`."""
        ...

    def cell_evaluations(self, run_id: str, candidate_ids: Sequence[str], example_id: str) -> list[Evaluation]:
        """The answers of these candidates to one row, by replicate."""
        ...

    def cell_scores(self, run_id: str, candidate_ids: Sequence[str], example_ids: Sequence[str]) -> list[CellScore]:
        """The scores of these candidates on these rows, one for each answer."""
        ...

    def score_overrides(self, run_id: str) -> list[ScoreOverridden]:
        """The scores that people have corrected, in the order of the events."""
        ...
