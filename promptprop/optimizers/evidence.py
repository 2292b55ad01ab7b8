"""Evidence: what a parent failed and passed on train, what the critic sees of it, and what children are screened on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from promptprop.domain.models import Ask, Candidate, Evaluation, Example, Json, Row
from promptprop.domain.selection import FailedRow
from promptprop.optimizers.scores import Scores
from promptprop.ports import Brief, Workbench

CONTRAST = 3  # right answers shown beside the failures of a cluster
LONGEST_VALUE = 2000  # characters of one input or answer that a role is shown


@dataclass(slots=True)
class Evidence:
    """A parent's failures and successes on the train rows that it has met."""

    failures: list[FailedRow] = field(default_factory=list)
    successes: list[FailedRow] = field(default_factory=list)
    met: int = 0


def failed_rows(
    scores: Scores, bench: Workbench, parent: Candidate, rows: Sequence[Row], passing: float, left_out: set[str]
) -> Evidence:
    """Sort what the parent has met into failures and successes, in row order; `left_out` rows are in neither."""
    known = scores.of(parent.id, rows)
    met = [row.id for row in rows if row.id in known and row.id not in left_out]
    evidence = Evidence(met=len(met))
    for example in bench.examples(met):
        seen = _seen(example, known[example.id])
        failed = (known[example.id].score or 0.0) < passing
        (evidence.failures if failed else evidence.successes).append(seen)
    return evidence


def _seen(example: Example, evaluation: Evaluation) -> FailedRow:
    feedback = "; ".join(
        f"{metric}: {judgement.feedback}"
        for metric, judgement in evaluation.judgements.items()
        if judgement.feedback and (judgement.score is None or judgement.score < 1.0)
    )
    return FailedRow(
        example.id, example.inputs, example.expected, evaluation.output, feedback, 1.0 - (evaluation.score or 0.0)
    )


def shown(row: FailedRow, number: int, *, with_feedback: bool = True) -> dict[str, Json]:
    """A row as roles see it; `id` is for the parser alone and is never shown."""
    line: dict[str, Json] = {
        "n": number,
        "id": row.example_id,
        "inputs": {name: _short(value) for name, value in row.inputs.items()},
        "expected": row.expected,
        "answer": _short(row.answer),
    }
    return {**line, "feedback": row.feedback} if with_feedback else line


def _short(value: Json) -> Json:
    if isinstance(value, str) and len(value) > LONGEST_VALUE:
        return value[: LONGEST_VALUE // 2] + " […] " + value[-LONGEST_VALUE // 2 :]
    return value


def critic_asks(
    brief: Brief,
    parent: Candidate,
    clusters: Sequence[Sequence[FailedRow]],
    successes: Sequence[FailedRow],
    round_: int,
) -> list[Ask]:
    """One question a cluster, with a few right answers that look alike for contrast."""
    prompts = {step: prompt.text for step, prompt in parent.prompts.items()}
    return [
        Ask(
            "critic",
            {
                "task": brief.task,
                "prompts": prompts,
                "failures": [shown(row, number) for number, row in enumerate(cluster, start=1)],
                "successes": [
                    shown(row, number, with_feedback=False)
                    for number, row in enumerate(_contrast(cluster, successes), start=1)
                ],
            },
            replicate=round_,
        )
        for cluster in clusters
    ]


def _contrast(cluster: Sequence[FailedRow], successes: Sequence[FailedRow]) -> list[FailedRow]:
    """Right answers that share the expected or the given answer with the cluster come first."""
    labels = {str(row.expected) for row in cluster} | {row.answer.strip() for row in cluster}
    ordered = sorted(successes, key=lambda row: str(row.expected) not in labels)
    return ordered[:CONTRAST]


def rows_to_screen(evidence: Evidence, cluster: Sequence[FailedRow], train: Sequence[Row], count: int) -> list[Row]:
    """Up to `count` rows that the parent failed, two thirds from the child's own cluster, and as many it passed."""
    by_id: Mapping[str, Row] = {row.id: row for row in train}
    own = [row.example_id for row in cluster][: -(-2 * count // 3)] if cluster else []
    others = [by_id[row.example_id] for row in evidence.failures if row.example_id not in own]
    passed = [by_id[row.example_id] for row in evidence.successes]
    return [*(by_id[row] for row in own), *_evenly(others, count - len(own)), *_evenly(passed, count)]


def _evenly(rows: Sequence[Row], count: int) -> list[Row]:
    """So many rows (all, where there are fewer), evenly over the strata: no frequent cause shall fill a screen."""
    ordered = sorted(rows, key=lambda row: row.stratum)
    taken = min(count, len(ordered))
    return [ordered[number * len(ordered) // taken] for number in range(taken)]
