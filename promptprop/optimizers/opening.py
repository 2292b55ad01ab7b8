"""The opening of a search: is there anything to gain, and how noisy is the task?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from promptprop.domain.events import HeadroomMeasured
from promptprop.domain.models import Cell, Evaluation
from promptprop.domain.sampling import blocks
from promptprop.domain.statistics import noise
from promptprop.optimizers.options import BackpropOptions
from promptprop.optimizers.scores import Scores, mean_of
from promptprop.ports import Brief, Workbench

CAP_SHARE = 0.05  # of a cap on calls that headroom may take for its first answers
LEAST = 6  # rows, whatever the cap
SAME = 1e-9  # scores that differ by less are equal


async def measure_headroom(
    bench: Workbench, scores: Scores, brief: Brief, options: BackpropOptions
) -> HeadroomMeasured:
    """Score the first seed on the rows that races begin with, some of them twice; rows without a score are left out."""
    track = [row for block in blocks(brief.select, options.race_block, brief.seed, "race") for row in block]
    once, twice = options.headroom_rows, options.headroom_again
    if bench.budget.calls is not None:
        share = max(1.0, once / max(LEAST, bench.budget.calls * CAP_SHARE))
        once, twice = round(once / share), round(twice / share)
    sample = track[:once]
    cells = [Cell(brief.seeds[0], row.id) for row in sample]
    repeated = cells[:twice]
    evaluations = await bench.evaluate(
        [*cells, *(Cell(cell.candidate, cell.example_id, replicate=1) for cell in repeated)]
    )
    first, again = evaluations[: len(cells)], evaluations[len(cells) :]
    scores.take(first)
    return _finding(first, again, options.passing)


def _finding(first: Sequence[Evaluation], again: Sequence[Evaluation], passing: float) -> HeadroomMeasured:
    pairs = [
        (one.score, two.score)
        for one, two in zip(first, again, strict=False)
        if one.score is not None and two.score is not None
    ]
    known = [one.score for one in first if one.score is not None]
    failing = sum(score < passing for score in known) + sum(two < passing <= one for one, two in pairs)
    silent = not any(evaluation.output.strip() for evaluation in (*first, *again))
    finding: Literal["room", "perfect", "hopeless"] = (
        "hopeless" if silent or not known else "room" if failing else "perfect"
    )
    return HeadroomMeasured(
        score=mean_of(known),
        noise=noise([one for one, _ in pairs], [two for _, two in pairs]),
        flipped=sum(1 for one, two in pairs if abs(one - two) > SAME),
        failing=failing,
        finding=finding,
    )
