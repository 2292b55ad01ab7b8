"""The rubric of a run: drafted once, before the search, from the task and rows that no claim rests on."""

from __future__ import annotations

from typing import cast

from promptprop.domain.errors import UnusableReplies
from promptprop.domain.models import Ask, Json
from promptprop.domain.rubric import Rubric
from promptprop.domain.sampling import spread, stream
from promptprop.ports import Brief, Workbench

ROWS = 12  # shown to the manager
MOST_FEATURES = 6


async def draft_rubric(bench: Workbench, brief: Brief) -> Rubric:
    """Ask the manager. Raises BudgetSpent; UnusableReplies where two replies could not be read, or the call failed."""
    rows = spread(brief.train or brief.select, ROWS, stream(brief.seed, "rubric"))
    shown: list[Json] = [
        {
            "inputs": dict(one.inputs),
            "expected": one.expected,
            "soft_negatives": list(one.soft_negatives),
            "hard_negatives": list(one.hard_negatives),
        }
        for one in bench.examples([row.id for row in rows])
    ]
    (answer,) = await bench.ask([Ask("manager", {"task": brief.task, "rows": shown, "most": MOST_FEATURES})])
    if answer.value is None:
        why = answer.failure.message if answer.failure else "the reply could not be read"
        raise UnusableReplies(
            f"the manager has written no rubric: {why}",
            remedy="give models.manager a model that can follow the reply format, or write `rubric:` yourself",
        )
    return cast("Rubric", answer.value)
