"""What a run's stored evaluations tell of its judges: jurors' records, the effect of features, classes. Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from promptprop.domain.agreement import ClassTable, JurorRecord, Verdicts, class_table, juror_records, spearman
from promptprop.domain.judgements import features_in, votes_in
from promptprop.domain.models import Evaluation, Json, text_of
from promptprop.domain.rubric import Rubric

LONGEST_LABEL = 60  # characters up to which an answer is a label
MOST_LABELS = 60


@dataclass(frozen=True, slots=True)
class FeatureRecord:
    """What a feature came to: its mean for the seed and the winner, and its rank correlation with the panel."""

    id: str
    says: str
    weight: float
    grounding: str
    seed: float | None
    winner: float | None
    correlation: float | None


def newest(evaluations: Iterable[Evaluation]) -> list[Evaluation]:
    """Each cell once, as it was stored last, in the order in which cells were first stored."""
    found: dict[tuple[str, str, int], Evaluation] = {}
    for one in evaluations:
        found[one.candidate_id, one.example_id, one.replicate] = one
    return list(found.values())


def by_cell(evaluations: Iterable[Evaluation]) -> dict[tuple[str, str], list[Evaluation]]:
    """The answers of each candidate to each row, in their order."""
    found: dict[tuple[str, str], list[Evaluation]] = {}
    for one in evaluations:
        found.setdefault((one.candidate_id, one.example_id), []).append(one)
    return found


def by_row(evaluations: Iterable[Evaluation]) -> dict[str, list[Evaluation]]:
    """The answers of one candidate to each row, in their order."""
    return {row: answers for (_, row), answers in by_cell(evaluations).items()}


def jury_of(evaluations: Sequence[Evaluation], answer_first: Mapping[str, bool]) -> tuple[JurorRecord, ...]:
    """Each juror's record; empty for a run without a jury. An answer that several candidates gave counts once.

    `answer_first` tells in which rows jurors saw the answer before what is expected.
    """
    once: dict[tuple[str, str, int], Verdicts] = {}
    for one in evaluations:
        votes = {juror: vote for (_, juror), vote in votes_in(one.judgements).items()}
        if votes:
            first = answer_first.get(one.example_id, False)
            verdict = Verdicts((one.example_id, one.output), votes, one.replicate, len(one.output), first)
            once[one.example_id, one.output, one.replicate] = verdict
    return juror_records(list(once.values()))


def features_of(
    rubric: Rubric, evaluations: Sequence[Evaluation], seed_id: str, winner_id: str
) -> tuple[FeatureRecord, ...]:
    """What each feature of a rubric came to."""
    scores: dict[str, list[tuple[str, float, float | None]]] = {one.id: [] for one in rubric.features}
    for evaluation in evaluations:
        for feature, (score, panel) in _by_feature(evaluation).items():
            if feature in scores:
                scores[feature].append((evaluation.candidate_id, score, panel))
    return tuple(
        FeatureRecord(
            id=one.id,
            says=one.says,
            weight=one.weight,
            grounding=one.grounding,
            seed=_mean([score for name, score, _ in scores[one.id] if name == seed_id]),
            winner=_mean([score for name, score, _ in scores[one.id] if name == winner_id]),
            correlation=_correlation([(score, panel) for _, score, panel in scores[one.id] if panel is not None]),
        )
        for one in rubric.features
    )


def _by_feature(evaluation: Evaluation) -> dict[str, tuple[float, float | None]]:
    """The mean of each feature's scores over the jurors, with the panel's score."""
    found: dict[str, list[float]] = {}
    panel: float | None = None
    for metric, feature, score in features_in(evaluation.judgements):
        found.setdefault(feature, []).append(score)
        panel = evaluation.judgements[metric].score
    return {feature: (sum(scores) / len(scores), panel) for feature, scores in found.items()}


def _mean(scores: Sequence[float]) -> float | None:
    return sum(scores) / len(scores) if scores else None


def _correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    return spearman([one for one, _ in pairs], [other for _, other in pairs])


def classes_of(evaluations: Sequence[Evaluation], expected: Mapping[str, Json]) -> ClassTable | None:
    """What becomes of each label, over these answers; None where what is expected are no labels.

    A row with several acceptable answers counts as the one that was given, or else as the first.
    """
    pairs = []
    for one in evaluations:
        wanted = expected.get(one.example_id)
        if wanted is None or one.error is not None:
            continue
        labels = [text_of(label) for label in (wanted if isinstance(wanted, list | tuple) else [wanted])]
        answer = one.output.strip()
        if not labels or max(map(len, labels)) > LONGEST_LABEL:
            return None
        right = next((label for label in labels if label.casefold() == answer.casefold()), None)
        pairs.append((right or labels[0], right or _shortened(answer)))
    if not pairs or len({wanted for wanted, _ in pairs}) > MOST_LABELS:
        return None
    return class_table(pairs)


def _shortened(answer: str) -> str:
    one_line = " ".join(answer.split())
    return one_line if one_line and len(one_line) <= LONGEST_LABEL else "(no label)"
