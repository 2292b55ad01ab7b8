"""`eval`: score one prompt on rows, with repeats. No search and no claim: a mean with its interval."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from promptprop.domain.events import CandidateProposed, CandidateScored, Estimate, Event, SearchEnded
from promptprop.domain.judgements import metric_means
from promptprop.domain.models import Cell, Evaluation, Proposal, Row
from promptprop.domain.statistics import clustered_mean
from promptprop.ports import Brief, Shape, Workbench
from promptprop.services.gate_tests import clusters_of

NOTHING_KNOWN = Estimate(0.0, 0.0, 1.0, 0)  # where no row at all has a score


@dataclass(frozen=True, slots=True)
class Scoring:
    """Scores every seed of the brief on its select rows; rows of other splits are not touched."""

    split: str = "all"
    repeats: int = 1

    async def run(self, brief: Brief, workbench: Workbench) -> AsyncGenerator[Event, None]:
        """One event per prompt. Raises BudgetSpent, TooManyErrors."""
        for seed in brief.seeds:
            await workbench.keep(Proposal(seed))
            yield CandidateProposed(0, seed.id, (), "seed", seed.hypothesis.text, seed.length)
            cells = [Cell(seed, row.id, replicate) for row in brief.select for replicate in range(self.repeats)]
            evaluations = await workbench.evaluate(cells)
            score, missing = score_of(evaluations, brief.select)
            yield CandidateScored(0, seed.id, self.split, score, missing, metric_means(evaluations))
        yield SearchEnded("done", 0, workbench.barrier)

    def shape(self, brief: Brief) -> Shape:
        """Exactly this: every row as often as asked."""
        return Shape(0, 0, 0, len(brief.select) * self.repeats * len(brief.seeds), 0, 0, 0)


def row_means(evaluations: Sequence[Evaluation]) -> dict[str, float | None]:
    """The mean score of each row over its answers; None where all of them are missing."""
    by_row: dict[str, list[float]] = {}
    for one in evaluations:
        scores = by_row.setdefault(one.example_id, [])
        if one.score is not None:
            scores.append(one.score)
    return {row: sum(scores) / len(scores) if scores else None for row, scores in by_row.items()}


def score_of(evaluations: Sequence[Evaluation], rows: Sequence[Row] = ()) -> tuple[Estimate, int]:
    """The score of evaluations, and how many rows have none. Rows count once, however often they were answered.

    The interval allows for what the clusters of `rows` share; without them, each row stands by itself.
    """
    means = row_means(evaluations)
    known = {row: mean for row, mean in means.items() if mean is not None}
    if not known:
        return NOTHING_KNOWN, len(means)
    clusters = clusters_of([row for row in rows if row.id in known]) if rows else None
    ordered = [known[row.id] for row in rows if row.id in known] if rows else list(known.values())
    return clustered_mean(ordered, clusters), len(means) - len(known)
