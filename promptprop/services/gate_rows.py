"""Rows of a check that are no flips: those that it had to leave out, and critical ones that did not pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from promptprop.domain.models import Evaluation, Example, Json
from promptprop.services.flips import said_of
from promptprop.services.gate_tests import SCORE, value_of
from promptprop.services.judging import by_cell

NO_SCORE = "the metrics could not judge the answer"


@dataclass(frozen=True, slots=True)
class Missing:
    """A row that was left out, since one side has no value for it: `side` is baseline, candidate or both."""

    row: str
    side: str
    why: str

    def as_json(self) -> dict[str, Json]:
        """For `--json`."""
        return {"row": self.row, "side": self.side, "why": self.why}


@dataclass(frozen=True, slots=True)
class CriticalRow:
    """A critical row that did not pass: so many of so many answers scored 1; `answer` is the worst of them."""

    row: str
    passed: int
    answers: int
    inputs: Mapping[str, Json]
    expected: Json
    answer: str
    said: str

    def as_json(self) -> dict[str, Json]:
        """For `--json`."""
        return {
            "row": self.row,
            "passed": self.passed,
            "answers": self.answers,
            "inputs": dict(self.inputs),
            "expected": self.expected,
            "answer": self.answer,
            "said": self.said,
        }


def missing_of(
    evaluations: Sequence[Evaluation],
    rows: Sequence[str],
    sides: Mapping[str, str],
    metrics: Sequence[str] = (),
) -> list[Missing]:
    """The rows without a value on a side that was asked, with the reason. `sides` name the candidates by id."""
    cells = by_cell(evaluations)
    found = []
    for row in rows:
        reasons = {}
        for candidate_id, side in sides.items():
            answers = cells.get((candidate_id, row), [])
            if answers and any(all(value_of(one, name) is None for one in answers) for name in metrics or (SCORE,)):
                reasons[side] = next((why for one in answers if (why := _why(one))), NO_SCORE)
        if reasons:
            found.append(
                Missing(row, "both" if len(reasons) > 1 else next(iter(reasons)), next(iter(reasons.values())))
            )
    return found


def _why(one: Evaluation) -> str:
    """What an answer without a value says of the reason."""
    if one.error:
        return one.error.message
    silent = {name: word.feedback for name, word in one.judgements.items() if word.score is None}
    return next((f"{name}: {said}" for name, said in silent.items() if said), "")


def critical_of(
    evaluations: Sequence[Evaluation], failed: Sequence[str], examples: Mapping[str, Example], candidate_id: str
) -> list[CriticalRow]:
    """The critical rows that failed, with what the candidate answered."""
    cells = by_cell(evaluations)
    found = []
    for row in failed:
        answers = cells.get((candidate_id, row), [])
        if not answers:
            continue
        worst = min(answers, key=lambda one: one.score or 0.0)
        answer = worst.output if worst.error is None else f"nothing: {worst.error.message}"
        passed = sum(one.score == 1.0 for one in answers)
        example = examples[row]
        found.append(CriticalRow(row, passed, len(answers), example.inputs, example.expected, answer, said_of(worst)))
    return found
