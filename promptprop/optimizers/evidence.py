"""Evidence: what a parent failed and passed on train, what the critic sees of it, and what children are screened on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from promptprop.domain.budget import Budget
from promptprop.domain.models import Ask, Candidate, Evaluation, Example, Json, Row
from promptprop.domain.selection import FailedRow
from promptprop.optimizers.blame import blame
from promptprop.optimizers.options import BackpropOptions
from promptprop.optimizers.scores import Scores
from promptprop.ports import Brief, Workbench

CONTRAST = 3  # right answers shown beside the failures of a cause
LONGEST_VALUE = 2000  # characters of one input or answer that a role is shown


CAP_SHARE = 0.05  # of a cap on calls: as many failures are enough, within half and all of `evidence_rows`


def evidence_wanted(budget: Budget, options: BackpropOptions) -> int:
    """How many failures to gather: with few calls to spend, fewer are learned from at a time."""
    if budget.calls is None:
        return options.evidence_rows
    return max(options.evidence_rows // 2, min(options.evidence_rows, round(budget.calls * CAP_SHARE)))


@dataclass(slots=True)
class Evidence:
    """A parent's failures and successes on train; `presumed` are rows that only an ancestor has answered."""

    failures: list[FailedRow] = field(default_factory=list)
    successes: list[FailedRow] = field(default_factory=list)
    presumed: set[str] = field(default_factory=set)

    @property
    def met(self) -> int:
        """On how many rows it is known, or presumed, how the parent fares."""
        return len(self.failures) + len(self.successes)


def failed_rows(
    scores: Scores,
    bench: Workbench,
    lineage: Sequence[Candidate],
    rows: Sequence[Row],
    passing: float,
    left_out: Collection[str] = (),
    mended: Collection[str] = (),
) -> Evidence:
    """Sort rows into failures and successes of a parent, in row order; `left_out` rows are in neither.

    `lineage` is the parent and its ancestors, nearest first. A row that the parent has not met is presumed to fare as
    with the nearest ancestor that has: an edit moves few rows, and what children are scored on is answered anew. Of
    `mended` rows, whose cause a fix on this line seems to have removed, nothing is presumed.
    """
    known: dict[str, Evaluation] = {}
    for candidate in reversed(lineage):
        known.update(scores.of(candidate.id, rows))
    own = scores.of(lineage[0].id, rows) if lineage else {}
    unsure = {row for row in mended if row not in own}
    met = [row.id for row in rows if row.id in known and row.id not in left_out and row.id not in unsure]
    evidence = Evidence(presumed={row for row in met if row not in own})
    for example in bench.examples(met):
        seen = _seen(example, known[example.id])
        failed = (known[example.id].score or 0.0) < passing
        (evidence.failures if failed else evidence.successes).append(seen)
    evidence.failures[:] = blame(evidence.failures, evidence.successes, scores, passing)
    return evidence


def _seen(example: Example, evaluation: Evaluation) -> FailedRow:
    feedback = "; ".join(
        f"{metric}: {judgement.feedback}"
        for metric, judgement in evaluation.judgements.items()
        if judgement.feedback and (judgement.score is None or judgement.score < 1.0)
    )
    return FailedRow(
        example.id,
        example.inputs,
        example.expected,
        evaluation.output,
        feedback,
        1.0 - (evaluation.score or 0.0),
        {step.step: step.output for step in evaluation.trace[:-1]},
    )


def shown(row: FailedRow, number: int, *, with_feedback: bool = True) -> dict[str, Json]:
    """A row as roles see it; `id` is for the parser alone and is never shown."""
    line: dict[str, Json] = {
        "n": number,
        "id": row.example_id,
        "inputs": {name: _short(value) for name, value in row.inputs.items()},
        "expected": row.expected,
    }
    if row.answer:
        line["answer"] = _short(row.answer)
    if row.trace:
        line["trace"] = {step: _short(output) for step, output in row.trace.items()}
    if row.blamed:
        line["blamed"] = row.blamed
    return {**line, "feedback": row.feedback} if with_feedback else line


def _short(value: Json) -> Json:
    if isinstance(value, str) and len(value) > LONGEST_VALUE:
        return value[: LONGEST_VALUE // 2] + " […] " + value[-LONGEST_VALUE // 2 :]
    return value


def critic_asks(
    brief: Brief,
    parent: Candidate,
    groups: Sequence[Sequence[FailedRow]],
    successes: Sequence[FailedRow],
    round_: int,
    notes: Sequence[str] = (),
) -> list[Ask]:
    """One question a group of failures, with a few right answers that look alike for contrast."""
    prompts = {step: prompt.text for step, prompt in parent.prompts.items()}
    return [
        Ask(
            "critic",
            {
                "task": brief.task,
                "prompts": prompts,
                "notes": list(notes),
                "failures": [shown(row, number) for number, row in enumerate(group, start=1)],
                "successes": [
                    shown(row, number, with_feedback=False)
                    for number, row in enumerate(_contrast(group, successes), start=1)
                ],
            },
            replicate=round_,
        )
        for group in groups
    ]


def _contrast(group: Sequence[FailedRow], successes: Sequence[FailedRow]) -> list[FailedRow]:
    """Right answers that share the expected or the given answer with the group come first."""
    labels = {str(row.expected) for row in group} | {row.answer.strip() for row in group}
    ordered = sorted(successes, key=lambda row: str(row.expected) not in labels)
    return ordered[:CONTRAST]


def spread_evenly(rows: Sequence[FailedRow], count: int, strata: Mapping[str, str]) -> list[FailedRow]:
    """So many rows (all, where there are fewer), evenly over the strata: no frequent one shall fill a screen."""
    ordered = sorted(rows, key=lambda row: strata.get(row.example_id, ""))
    taken = min(count, len(ordered))
    return [ordered[number * len(ordered) // taken] for number in range(taken)]
