"""One answer in the words of the contract: scores from 0 to 100 by juror, their mean, and what was said. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from promptprop.bootstrap.experiments import query_of
from promptprop.domain.judgements import judgement_id
from promptprop.domain.models import Evaluation, Example, Json, Usage, text_of

SPLITS = {"train": "train", "select": "val", "test": "test", None: "train"}


@dataclass(frozen=True, slots=True)
class Member:
    """A juror: the id of its metric in the run, and what the page calls it."""

    id: str
    name: str


def points(score: float) -> float:
    """A score in [0, 1] as points of 100, without the dust of binary fractions.

    >>> points(0.29), points(1 / 3)
    (29.0, 33.333333)
    """
    return round(100 * score, 6)


@dataclass(frozen=True, slots=True)
class Vote:
    """A juror's word on one answer, in points."""

    member: Member
    score: float
    reasoning: str

    def as_json(self) -> dict[str, Json]:
        """The vote as frames tell it."""
        return {"juryName": self.member.name, "score": self.score, "reasoning": self.reasoning}


def votes_of(evaluation: Evaluation, jury: Sequence[Member]) -> list[Vote]:
    """What each juror that could judge says; empty where the row is missing."""
    if evaluation.missing:
        return []
    found = []
    for member in jury:
        word = evaluation.judgements.get(member.id)
        if word is not None and word.score is not None:
            vote = evaluation.judgements.get(judgement_id(member.id, member.id))
            found.append(Vote(member, points(word.score), vote.feedback if vote is not None else word.feedback))
    return found


def feedback_of(evaluation: Evaluation, votes: Sequence[Vote]) -> str | None:
    """What the jurors said, as one text; why there is no score, where there is none."""
    if evaluation.missing:
        return f"no score: {evaluation.error.message}" if evaluation.error else "no score"
    return "\n".join(f"{one.member.name}: {one.reasoning}" for one in votes if one.reasoning) or None


def row_score(evaluation: Evaluation) -> float:
    """The row's score as points; 0 for a missing row, which no mean counts."""
    return 0.0 if evaluation.score is None else points(evaluation.score)


def usage_json(usage: Usage) -> dict[str, int]:
    """Tokens of one call or of several."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total,
    }


def expected_of(example: Example) -> str:
    """What is expected, as a text; empty where nothing is."""
    return "" if example.expected is None else text_of(example.expected)


def negatives_of(values: Sequence[Json]) -> str | None:
    """Negatives as one text, a line each; None where there are none."""
    return "\n".join(text_of(one.get("literal", one) if isinstance(one, Mapping) else one) for one in values) or None


def row_json(example: Example) -> dict[str, Json]:
    """A row of the dataset."""
    return {
        "id": example.id,
        "split": SPLITS[example.split],
        "query": query_of(example),
        "expectedOutput": expected_of(example),
        "softNegatives": negatives_of(example.soft_negatives),
        "hardNegatives": negatives_of(example.hard_negatives),
    }


def split_counts(splits: Sequence[str | None]) -> dict[str, int]:
    """How many rows each split has.

    >>> split_counts(["train", "select", None])
    {'train': 2, 'val': 1, 'test': 0, 'total': 3}
    """
    names = [SPLITS[split] for split in splits]
    return {**{name: names.count(name) for name in ("train", "val", "test")}, "total": len(names)}


def summary_metrics(scores: Sequence[float], passing: float = 90.0) -> dict[str, float]:
    """Figures of scores from 0 to 100: mean, extremes, spread, and the share that passes; none of no scores.

    >>> summary_metrics([80.0, 100.0])["passRate"]
    50.0
    """
    if not scores:
        return {}
    mean = math.fsum(scores) / len(scores)
    spread = math.sqrt(math.fsum((one - mean) ** 2 for one in scores) / len(scores))
    passed = sum(one >= passing for one in scores) / len(scores)
    return {
        "averageScore": round(mean, 6),
        "minScore": min(scores),
        "maxScore": max(scores),
        "stdDev": round(spread, 6),
        "passRate": round(100 * passed, 6),
        "scoredRows": float(len(scores)),
    }
