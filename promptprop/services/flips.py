"""What a check came to, row by row: which rows the candidate answers worse than the baseline, and which better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from promptprop.domain.models import Evaluation, Example, Json
from promptprop.services.gate_tests import SCORE, value_of
from promptprop.services.judging import by_cell

SAME = 1e-9  # means that differ by less are equal


@dataclass(frozen=True, slots=True)
class Flip:
    """A row whose mean differs: `before` and `after` are means over the answers to it, `answers` of the worst one.

    `said` is what the metrics say of the candidate's worst answer, jurors' reasons among it.
    """

    row: str
    before: float
    after: float
    inputs: Mapping[str, Json]
    expected: Json
    baseline_answer: str
    candidate_answer: str
    said: str

    @property
    def delta(self) -> float:
        """How much better the candidate is on this row; below 0 where it is worse."""
        return self.after - self.before

    def as_json(self) -> dict[str, Json]:
        """For `--json`."""
        return {
            "row": self.row,
            "before": self.before,
            "after": self.after,
            "delta": self.delta,
            "inputs": dict(self.inputs),
            "expected": self.expected,
            "baseline_answer": self.baseline_answer,
            "candidate_answer": self.candidate_answer,
            "said": self.said,
        }


def said_of(evaluation: Evaluation) -> str:
    """What the metrics say of an answer, each under its name."""
    return "; ".join(f"{name}: {word.feedback}" for name, word in evaluation.judgements.items() if word.feedback)


def worse_of(flips: Sequence[Flip]) -> tuple[Flip, ...]:
    """Rows that the candidate answers worse, the worst first as flips come."""
    return tuple(flip for flip in flips if flip.delta < 0)


def better_of(flips: Sequence[Flip]) -> tuple[Flip, ...]:
    """Rows that it answers better, the best first."""
    return tuple(flip for flip in reversed(flips) if flip.delta > 0)


def flips_of(
    evaluations: Sequence[Evaluation],
    examples: Mapping[str, Example],
    baseline_id: str,
    candidate_id: str,
    metric: str = SCORE,
) -> list[Flip]:
    """The rows that differ, the worst first; of a metric, or of the score as a whole."""
    answers = by_cell(one for one in evaluations if value_of(one, metric) is not None)
    flips = []
    for row, example in examples.items():
        before, after = answers.get((baseline_id, row), []), answers.get((candidate_id, row), [])
        if not before or not after:
            continue
        means = _mean(before, metric), _mean(after, metric)
        if abs(means[1] - means[0]) <= SAME:
            continue
        worst = min(after, key=lambda one: value_of(one, metric) or 0.0)
        best = max(before, key=lambda one: value_of(one, metric) or 0.0)
        texts = best.output, worst.output, said_of(worst)
        flips.append(Flip(row, *means, example.inputs, example.expected, *texts))
    return sorted(flips, key=lambda flip: (flip.delta, flip.row))


def _mean(evaluations: Sequence[Evaluation], metric: str) -> float:
    values = [value_of(one, metric) or 0.0 for one in evaluations]
    return sum(values) / len(values)
