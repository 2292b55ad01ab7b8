"""Blame, for free: at which step of a chain a failure began, where what is on record already says so.

First the form: an output that cannot be read as JSON, where those of right answers all can, is at fault. Then other
candidates: where one got the row right, the first step that wrote something else than it did there is at fault, and
the last step where none did. What neither says is left to the critic, who sees the whole trace.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from promptprop.domain.models import Evaluation
from promptprop.domain.selection import FailedRow
from promptprop.optimizers.scores import Scores

LEAST = 3  # right answers whose outputs tell what form a step's output has


def blame(
    failures: Sequence[FailedRow], successes: Sequence[FailedRow], scores: Scores, passing: float
) -> list[FailedRow]:
    """The failures, each with the step that is at fault where that is known; those of one step are as they were."""
    structured = _structured(successes)
    return [replace(row, blamed=_blamed(row, structured, scores, passing)) if row.trace else row for row in failures]


def _blamed(row: FailedRow, structured: frozenset[str], scores: Scores, passing: float) -> str:
    for step, output in row.trace.items():
        if step in structured and not _is_json(output):
            return step
    right = [one for one in scores.met_by(row.example_id) if one.trace and (one.score or 0.0) >= passing]
    found = {_first_difference(row, one) for one in right}
    return found.pop() if len(found) == 1 else ""


def _first_difference(row: FailedRow, right: Evaluation) -> str:
    """The first step that wrote something else than where the row was answered right; the last where none did."""
    for step in right.trace[:-1]:
        if step.step in row.trace and row.trace[step.step].strip() != step.output.strip():
            return step.step
    return right.trace[-1].step


def _structured(successes: Sequence[FailedRow]) -> frozenset[str]:
    """The steps whose outputs were JSON in each of several right answers."""
    outputs: dict[str, list[str]] = {}
    for row in successes:
        for step, output in row.trace.items():
            outputs.setdefault(step, []).append(output)
    return frozenset(step for step, all_ in outputs.items() if len(all_) >= LEAST and all(map(_is_json, all_)))


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except ValueError:
        return False
