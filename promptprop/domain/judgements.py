"""How judgements are named: `ID` is a metric's, `ID/JUROR` a vote of its panel, `ID/JUROR/FEATURE` a part of it.

Names of jurors hold slashes of their own, since a juror is called after its model unless it is given a name. A name is
therefore cut where what stands before a slash has been judged, too, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import permutations

from promptprop.domain.models import Evaluation, Judgement

SEPARATOR = "/"


def judgement_id(metric: str, *below: str) -> str:
    """The name of a vote, or of a part of one.

    >>> judgement_id("panel", "strict", "tone")
    'panel/strict/tone'
    """
    return SEPARATOR.join((metric, *below))


def parts_of(name: str, judged: Collection[str]) -> tuple[str, ...]:
    """Metric, juror and feature behind a name, as many as there are; `judged` are all names of the same answer.

    >>> parts_of("panel/openai/gpt-5/tone", ["panel", "panel/openai/gpt-5", "panel/openai/gpt-5/tone"])
    ('panel', 'openai/gpt-5', 'tone')
    """
    parts, start = [], 0
    for place, mark in enumerate(name):
        if mark == SEPARATOR and name[:place] in judged:
            parts.append(name[start:place])
            start = place + 1
    return (*parts, name[start:])


def votes_in(judgements: Mapping[str, Judgement]) -> dict[tuple[str, str], float | None]:
    """The votes on an answer by metric and juror, None where a juror had none."""
    found = ((parts_of(name, judgements), word.score) for name, word in judgements.items())
    return {(parts[0], parts[1]): score for parts, score in found if len(parts) == 2}


def panels_in(judgements: Mapping[str, Judgement]) -> dict[str, dict[str, float]]:
    """The votes that jurors had on an answer, each panel's apart: by metric, and by the name of the vote.

    >>> panels_in({"a": Judgement(0.5), "a/x": Judgement(0.5), "a/y": Judgement(None), "b": Judgement(None)})
    {'a': {'a/x': 0.5}}
    """
    panels: dict[str, dict[str, float]] = {}
    for (metric, juror), vote in votes_in(judgements).items():
        if vote is not None:
            panels.setdefault(metric, {})[judgement_id(metric, juror)] = vote
    return panels


def features_in(judgements: Mapping[str, Judgement]) -> Iterator[tuple[str, str, float]]:
    """The parts of votes that have a score: metric, feature and score."""
    for name, word in judgements.items():
        parts = parts_of(name, judgements)
        if len(parts) == 3 and word.score is not None:
            yield parts[0], parts[2], word.score


def metric_means(evaluations: Iterable[Evaluation]) -> dict[str, float]:
    """The mean of each metric and juror over the evaluations that it could judge; features are told elsewhere."""
    judged: dict[str, list[float]] = {}
    for evaluation in evaluations:
        for name, word in evaluation.judgements.items():
            if word.score is not None and len(parts_of(name, evaluation.judgements)) < 3:
                judged.setdefault(name, []).append(word.score)
    return {name: sum(scores) / len(scores) for name, scores in sorted(judged.items())}


def mistakable(names: Iterable[str]) -> tuple[str, str] | None:
    """Two names of which the second would be read as standing below the first; None where there are none.

    >>> mistakable(["openai/gpt-5", "openai"]), mistakable(["openai/gpt-5", "openai/gpt-5-mini"])
    (('openai', 'openai/gpt-5'), None)
    """
    pairs = permutations(names, 2)
    return next(((one, other) for one, other in pairs if other.startswith(f"{one}{SEPARATOR}")), None)
