"""What to learn from and what to keep: clusters of failures, parents, races and the odds of hypotheses. Pure.

The probabilities here are search heuristics: they are looked at again and again and carry no error guarantee. Only the
sealed test makes a claim.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from promptprop.domain.models import Json, text_of

WORD = re.compile(r"[^\W\d_]{3,}", re.UNICODE)
SHORT = 60  # characters up to which an answer is a label rather than a text


@dataclass(frozen=True, slots=True)
class FailedRow:
    """A failure to learn from: what went in, what was expected, what came out, and what the metrics said.

    In a chain `trace` holds what each step but the last wrote, and `blamed` the step that checks found at fault.
    """

    example_id: str
    inputs: Mapping[str, Json]
    expected: Json
    answer: str
    feedback: str
    shortfall: float = 1.0
    trace: Mapping[str, str] = field(default_factory=dict)
    blamed: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """A candidate's mean on the select rows that it has met, with the standard error."""

    candidate_id: str
    mean: float
    error: float
    rows: int
    length: int

    @property
    def lower(self) -> float:
        """One standard error below the mean: what orders the archive."""
        return self.mean - self.error


def standing_of(candidate_id: str, scores: Sequence[float], length: int) -> Standing:
    """A candidate's standing; the error is shrunk towards that of a coin so that two lucky rows do not lead.

    >>> standing_of("a", [1.0, 1.0], 10).lower < standing_of("b", [1.0] * 20, 10).lower
    True
    """
    count = len(scores)
    if not count:
        return Standing(candidate_id, 0.0, 1.0, 0, length)
    mean = sum(scores) / count
    spread = sum((score - mean) ** 2 for score in scores) + 0.25 * 2
    return Standing(candidate_id, mean, math.sqrt(spread / (count + 1) / count), count, length)


def cluster_failures(failures: Sequence[FailedRow], largest: int) -> list[list[FailedRow]]:
    """Failures grouped by what they seem to share, the heaviest group first; groups hold at most `largest` rows.

    First by the confusion (expected and given answer) where both are labels, else by the words of the feedback; then
    large groups are parted by the rare words that their inputs share.
    """
    groups: dict[str, list[FailedRow]] = {}
    for failure in failures:
        groups.setdefault(f"{failure.blamed} {_confusion(failure)}", []).append(failure)
    rarity = _rarity(failures)
    parted = [part for group in groups.values() for part in _part(group, largest, rarity)]
    return sorted(parted, key=lambda group: (-sum(row.shortfall for row in group), group[0].example_id))


def _confusion(failure: FailedRow) -> str:
    expected, answer = text_of(failure.expected), failure.answer.strip()
    if isinstance(failure.expected, str) and len(expected) <= SHORT and len(answer) <= SHORT:
        return f"{expected.casefold()} → {answer.casefold()}"
    if isinstance(failure.expected, str) and len(expected) <= SHORT:
        return f"{expected.casefold()} → …"
    # the names of fields or metrics in the feedback stand before a colon
    return " ".join(sorted(set(re.findall(r"([\w./-]+):", failure.feedback)))[:4])


def _rarity(failures: Sequence[FailedRow]) -> dict[str, float]:
    seen = Counter(word for failure in failures for word in _words(failure))
    total = len(failures) + 1
    return {word: math.log(total / count) if count > 1 else 0.0 for word, count in seen.items()}


def _words(failure: FailedRow) -> frozenset[str]:
    text = " ".join(text_of(value) for value in failure.inputs.values())
    return frozenset(word.casefold() for word in WORD.findall(text))


def _part(group: list[FailedRow], largest: int, rarity: Mapping[str, float]) -> list[list[FailedRow]]:
    """Grow each part around the row that shares most rare words with the rest."""
    words = {row.example_id: _words(row) for row in group}

    # fsum: sets are walked in an order of their own in each process, and a resumed run must cluster as before
    def shared(one: FailedRow, other: FailedRow) -> float:
        return math.fsum(rarity.get(word, 0.0) for word in words[one.example_id] & words[other.example_id])

    def central(row: FailedRow, times: Mapping[str, int]) -> float:
        return math.fsum(rarity.get(word, 0.0) * (times[word] - 1) for word in words[row.example_id])

    left = sorted(group, key=lambda row: row.example_id)
    parts = []
    while len(left) > largest:
        times = Counter(word for row in left for word in words[row.example_id])
        centre = max(left, key=lambda row: central(row, times))
        nearest = sorted(left, key=lambda row: (row is not centre, -shared(centre, row), row.example_id))
        parts.append(nearest[:largest])
        taken = {row.example_id for row in nearest[:largest]}
        left = [row for row in left if row.example_id not in taken]
    return [*parts, left] if left else parts


def choose_parent(
    rng: random.Random, best: str, scores: Mapping[str, Mapping[str, float]], explore: float
) -> tuple[str, str]:
    """A parent and why: mostly the best so far, with chance `explore` a Pareto winner on some rows.

    `scores` holds row scores by candidate. Pareto winners are drawn by the number of rows that they win.
    """
    winners = pareto_wins(scores, best)
    if winners and rng.random() < explore:
        names = sorted(winners)
        return rng.choices(names, [winners[name] for name in names])[0], "wins rows that the best one loses"
    return best, "the best so far"


def pareto_wins(scores: Mapping[str, Mapping[str, float]], best: str) -> dict[str, int]:
    """How many rows each other candidate wins against `best`, of those that both have met.

    >>> pareto_wins({"a": {"r": 0.0, "s": 1.0}, "b": {"r": 1.0}}, "a")
    {'b': 1}
    """
    reference = scores.get(best, {})
    wins = {
        name: sum(1 for row, score in rows.items() if row in reference and score > reference[row] + 1e-9)
        for name, rows in scores.items()
        if name != best
    }
    return {name: count for name, count in wins.items() if count}


def variance_of(scores: Sequence[float]) -> float:
    """The variance of scores about their mean, at least 0.0001: what one row's score may move by, squared.

    >>> variance_of([0.0, 1.0]), variance_of([])
    (0.25, 0.0001)
    """
    mean = sum(scores) / len(scores) if scores else 0.0
    return max(1e-4, sum((score - mean) ** 2 for score in scores) / len(scores)) if scores else 1e-4


@dataclass(frozen=True, slots=True)
class Belief:
    """What the search takes a difference of mean scores to be: a normal distribution. A heuristic, and no claim."""

    mean: float
    error: float

    def chance_above(self, least: float = 0.0) -> float:
        """The chance that the difference is above `least`.

        >>> Belief(0.0, 0.1).chance_above()
        0.5
        """
        return 0.5 * math.erfc((least - self.mean) / self.error / math.sqrt(2))


def panel_error(votes: Sequence[Mapping[str, float]]) -> float:
    """The standard error of a panel's score, by how its jurors differ beyond what sets each apart on average.

    `votes` holds those of one panel on one answer each, by names that no other panel's jurors have, since two panels
    ask for different things; one vote alone tells nothing. That jurors are strict or kind does not count, since it is
    the same for every candidate. 0 where nothing is known.

    >>> panel_error([{"a": 0.25, "b": 0.5}, {"a": 0.5, "b": 0.75}])
    0.0
    """
    several = [one for one in votes if len(one) > 1]
    apart: dict[str, list[float]] = {}
    for one in several:
        mean = sum(one.values()) / len(one)
        for name, vote in one.items():
            apart.setdefault(name, []).append(vote - mean)
    usual = {name: sum(off) / len(off) for name, off in apart.items()}
    variances = []
    for one in several:
        mean, count = sum(one.values()) / len(one), len(one)
        left = sum((vote - mean - usual[name]) ** 2 for name, vote in one.items()) / (count - 1)
        variances.append(left / count)
    return math.sqrt(sum(variances) / len(variances)) if variances else 0.0


def update(belief: Belief, before: Sequence[float], after: Sequence[float], judge_error: float = 0.0) -> Belief:
    """The belief after these rows' scores of both candidates: precision-weighted, as for two normal means.

    The rows' own error has two pseudo-rows of the scores' variance, so that a few equal rows prove nothing; and it is
    never less than what the judges' own error makes of two scores.

    >>> update(Belief(0.0, 0.1), [], [])
    Belief(mean=0.0, error=0.1)
    """
    differences = [late - early for early, late in zip(before, after, strict=True)]
    count = len(differences)
    if not count:
        return belief
    mean = sum(differences) / count
    spread = sum((difference - mean) ** 2 for difference in differences) + variance_of([*before, *after]) * 2
    spread = max(spread, 2 * judge_error**2 * count)
    told, held = (count + 1) * count / spread, 1 / belief.error**2
    return Belief((mean * told + belief.mean * held) / (told + held), 1 / math.sqrt(told + held))


def draw_kinds(rng: random.Random, record: Mapping[str, tuple[int, int]], count: int) -> list[str]:
    """`count` kinds of hypothesis, drawn by how often each was promoted; `record` holds (promoted, tried) by kind.

    The odds are the posterior mean under a Beta(1, 1) prior, so that an untried kind stays at one half.
    """
    kinds = sorted(record)
    odds = [(record[kind][0] + 1) / (record[kind][1] + 2) for kind in kinds]
    return rng.choices(kinds, odds, k=count) if kinds else []
