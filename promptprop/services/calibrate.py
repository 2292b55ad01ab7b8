"""`judge calibrate`: jurors score answers that people have labelled, and are held against the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from promptprop.domain.agreement import Calibration, JurorRecord, Verdicts, calibration, juror_records
from promptprop.domain.errors import BudgetSpent
from promptprop.domain.judgements import votes_in
from promptprop.domain.models import (
    Candidate,
    Cell,
    Evaluation,
    Example,
    Judgement,
    Prompt,
    StepTrace,
)
from promptprop.ports import Scorer
from promptprop.services.consult import consult, unjudged
from promptprop.services.draft import Draft
from promptprop.services.inquiry import Inquiry

GIVEN = Candidate({"main": Prompt.of("the answer as it was given")})


@dataclass(frozen=True, slots=True)
class Labelled:
    """An answer to a row, with what a person says that it is worth, in [0, 1]."""

    example: Example
    answer: str
    label: float


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """Each jury against people: the panel first, then its jurors; `records` tell how jurors stand to each other."""

    metric: str
    panel: Calibration | None
    jurors: tuple[Calibration, ...]
    records: tuple[JurorRecord, ...]
    unjudged: int = 0

    def under(self, floor: float) -> tuple[str, ...]:
        """The jurors whose κ is under the floor."""
        return tuple(one.name for one in self.jurors if one.kappa < floor)


async def judged_answers(
    inquiry: Inquiry, scorer: Scorer, labelled: Sequence[Labelled], replicates: int
) -> list[Evaluation]:
    """What the juries make of the answers, replicate by replicate. Raises BudgetSpent, ModelError."""
    drafts = []
    for replicate in range(replicates):
        for one in labelled:
            draft = Draft(Cell(GIVEN, one.example.id, replicate), one.example, None)
            draft.trace = (StepTrace("main", one.answer, ""),)
            drafts.append(draft)

    def judged(draft: Draft, judgements: Mapping[str, Judgement]) -> None:
        found = draft.judged(judgements, scorer.combine(judgements))
        draft.evaluation = found if found.score is not None else found.with_error(unjudged(judgements))

    refused = await consult(drafts, scorer, inquiry.endpoints, inquiry.answers, judged)
    if refused:
        raise BudgetSpent(refused)
    return [draft.evaluation for draft in drafts if draft.evaluation is not None]


def held_against(
    metric: str, labelled: Sequence[Labelled], evaluations: Sequence[Evaluation], line: float
) -> CalibrationReport:
    """A jury's judgements of the first replicate against the labels; flips over all replicates."""
    labels = {one.example.id: one.label for one in labelled}
    panel: list[tuple[float, float]] = []
    jurors: dict[str, list[tuple[float, float]]] = {}
    verdicts = []
    missing = 0
    for one in evaluations:
        votes = {juror: vote for (panel_id, juror), vote in votes_in(one.judgements).items() if panel_id == metric}
        verdicts.append(Verdicts((one.example_id, one.output), votes, one.replicate, len(one.output)))
        if one.replicate:
            continue
        word = one.judgements.get(metric)
        missing += word is None or word.score is None
        if word is not None and word.score is not None:
            panel.append((labels[one.example_id], word.score))
        for name, vote in votes.items():
            if vote is not None:
                jurors.setdefault(name, []).append((labels[one.example_id], vote))
    return CalibrationReport(
        metric=metric,
        panel=calibration("panel", panel, line) if panel else None,
        jurors=tuple(calibration(name, pairs, line) for name, pairs in jurors.items()),
        records=juror_records(verdicts, line),
        unjudged=missing,
    )
