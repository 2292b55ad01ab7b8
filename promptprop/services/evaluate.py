"""`eval`: score one prompt on rows, with repeats. No search and no claim: a mean with its interval."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from promptprop.domain.events import CandidateProposed, CandidateScored, Estimate, Event, SearchEnded
from promptprop.domain.judgements import metric_means
from promptprop.domain.models import Cell, Evaluation, Proposal
from promptprop.domain.statistics import mean_interval
from promptprop.ports import Brief, Shape, Workbench

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
            means = row_means(evaluations, self.repeats)
            known = [mean for mean in means if mean is not None]
            score = mean_interval(known) if known else NOTHING_KNOWN
            yield CandidateScored(0, seed.id, self.split, score, len(means) - len(known), metric_means(evaluations))
        yield SearchEnded("done", 0, workbench.barrier)

    def shape(self, brief: Brief) -> Shape:
        """Exactly this: every row as often as asked."""
        return Shape(0, 0, 0, len(brief.select) * self.repeats * len(brief.seeds), 0, 0, 0)


def row_means(evaluations: Sequence[Evaluation], repeats: int) -> list[float | None]:
    """The mean score of each row over its repeats; None where all of them are missing."""
    means: list[float | None] = []
    for start in range(0, len(evaluations), repeats):
        scores = [one.score for one in evaluations[start : start + repeats] if one.score is not None]
        means.append(sum(scores) / len(scores) if scores else None)
    return means
