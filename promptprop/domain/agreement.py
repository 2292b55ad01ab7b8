"""How jurors agree with each other, with themselves and with people; and how answers agree with labels. Pure.

Nothing here decides anything: these figures stand in reports, for people to judge the judges by.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

LINE = 0.5  # the score that tells good answers from bad ones, where nothing else is said


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What a panel made of one answer: votes in [0, 1] by juror, None where one had none.

    `answer` names the row and the text, so that equal answers are known; `length` is in characters; `answer_first`
    tells the order in which the jurors saw answer and reference.
    """

    answer: Hashable
    votes: Mapping[str, float | None]
    replicate: int = 0
    length: int = 0
    answer_first: bool = False


@dataclass(frozen=True, slots=True)
class JurorRecord:
    """One juror over all that it was asked.

    `bias` is its mean distance from the others on the same answers, `noise` the standard deviation of that distance.
    `flips` is the share of answers judged more than once that it put on both sides of the line. `length_bias` is the
    rank correlation of its distance from the others with the length of the answer, `order_bias` how much higher it
    votes where the answer comes first, with its standard error. None where there is nothing to tell it by.
    """

    name: str
    asked: int
    missing: int
    mean: float | None
    bias: float | None = None
    noise: float | None = None
    flips: float | None = None
    repeated: int = 0
    length_bias: float | None = None
    order_bias: float | None = None
    order_error: float | None = None


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One label: of those that answers name it (precision), of those that should (recall), and both (F1)."""

    label: str
    expected: int
    answered: int
    right: int

    @property
    def precision(self) -> float:
        """Of the answers that name the label, those that should; 0 where none does."""
        return self.right / self.answered if self.answered else 0.0

    @property
    def recall(self) -> float:
        """Of the rows that expect the label, those that are answered so; 0 where none expects it."""
        return self.right / self.expected if self.expected else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of both; 0 where both are."""
        total = self.expected + self.answered
        return 2 * self.right / total if total else 0.0


@dataclass(frozen=True, slots=True)
class ClassTable:
    """Labels with what becomes of them; `confusions` are the most frequent mistakes, (expected, answered, count)."""

    rows: tuple[ClassRow, ...]
    confusions: tuple[tuple[str, str, int], ...] = ()

    @property
    def macro(self) -> tuple[float, float, float]:
        """Mean precision, recall and F1 over the labels that some row expects."""
        rows = [row for row in self.rows if row.expected]
        count = max(1, len(rows))
        return (
            sum(row.precision for row in rows) / count,
            sum(row.recall for row in rows) / count,
            sum(row.f1 for row in rows) / count,
        )


@dataclass(frozen=True, slots=True)
class Calibration:
    """A juror or a panel against people: counts, agreement on the two sides of a line, and the distance of scores."""

    name: str
    n: int
    kappa: float
    agreement: float
    confusion: Mapping[tuple[bool, bool], int] = field(default_factory=dict)  # (person says good, juror says good)
    error: float = 0.0  # mean of |vote − label|
    bias: float = 0.0  # mean of vote − label
    correlation: float | None = None  # Spearman's


def class_table(pairs: Iterable[tuple[str, str]], most: int = 10) -> ClassTable:
    """What becomes of each label, from (expected, answered) pairs; labels in alphabetical order.

    >>> class_table([("a", "a"), ("a", "b"), ("b", "b")]).macro[2]
    0.6666666666666666
    """
    counted = Counter(pairs)
    labels = sorted({label for pair in counted for label in pair})
    expected, answered = Counter[str](), Counter[str]()
    for (wanted, got), count in counted.items():
        expected[wanted] += count
        answered[got] += count
    rows = tuple(ClassRow(one, expected[one], answered[one], counted[(one, one)]) for one in labels)
    wrong = [(wanted, got, count) for (wanted, got), count in counted.items() if wanted != got]
    return ClassTable(rows, tuple(sorted(wrong, key=lambda item: (-item[2], item[0], item[1]))[:most]))


def cohen_kappa(pairs: Sequence[tuple[Hashable, Hashable]]) -> float:
    """Agreement of two raters beyond chance (Cohen 1960, Educ. Psychol. Meas. 20:37); 1 where all agree on one class.

    >>> cohen_kappa([(1, 1), (1, 1), (0, 0), (0, 1)])
    0.5
    """
    total = len(pairs)
    if not total:
        raise ValueError("agreement needs at least one pair")
    seen = sum(one == other for one, other in pairs) / total
    firsts, seconds = Counter(one for one, _ in pairs), Counter(other for _, other in pairs)
    chance = sum(firsts[label] * seconds[label] for label in firsts) / total**2
    return 1.0 if chance >= 1.0 else (seen - chance) / (1 - chance)


def spearman(ones: Sequence[float], others: Sequence[float]) -> float | None:
    """The correlation of ranks, equal values sharing theirs; None for fewer than three pairs or a constant side.

    >>> spearman([1, 2, 3], [10, 20, 15])
    0.5
    """
    if len(ones) < 3:
        return None
    left, right = _ranks(ones), _ranks(others)
    mean = (len(ones) + 1) / 2
    spread = math.fsum((rank - mean) ** 2 for rank in left) * math.fsum((rank - mean) ** 2 for rank in right)
    if spread <= 0:
        return None
    together = math.fsum((one - mean) * (other - mean) for one, other in zip(left, right, strict=True))
    return max(-1.0, min(1.0, together / math.sqrt(spread)))


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=lambda place: values[place])
    ranks = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end + 1 < len(order) and values[order[end + 1]] == values[order[start]]:
            end += 1
        for place in order[start : end + 1]:
            ranks[place] = (start + end) / 2 + 1
        start = end + 1
    return ranks


def juror_records(verdicts: Sequence[Verdicts], line: float = LINE) -> tuple[JurorRecord, ...]:
    """Every juror's record, in the order in which they first appear."""
    names = dict.fromkeys(name for one in verdicts for name in one.votes)
    return tuple(_record(name, [one for one in verdicts if name in one.votes], line) for name in names)


def _record(name: str, verdicts: Sequence[Verdicts], line: float) -> JurorRecord:
    known = [(one, vote) for one in verdicts if (vote := one.votes[name]) is not None]
    apart = [(one, vote - mean) for one, vote in known if (mean := _mean_of_others(one, name)) is not None]
    distances = [distance for _, distance in apart]
    bias, noise = _mean_and_deviation(distances)
    flipped, repeated = _flips(known, line)
    first = [distance for one, distance in apart if one.answer_first]
    after = [distance for one, distance in apart if not one.answer_first]
    order, error = _difference(first, after)
    return JurorRecord(
        name=name,
        asked=len(verdicts),
        missing=len(verdicts) - len(known),
        mean=sum(vote for _, vote in known) / len(known) if known else None,
        bias=bias,
        noise=noise,
        flips=flipped / repeated if repeated else None,
        repeated=repeated,
        length_bias=spearman([float(one.length) for one, _ in apart], distances),
        order_bias=order,
        order_error=error,
    )


def _mean_of_others(verdict: Verdicts, name: str) -> float | None:
    others = [vote for other, vote in verdict.votes.items() if other != name and vote is not None]
    return sum(others) / len(others) if others else None


def _mean_and_deviation(values: Sequence[float]) -> tuple[float | None, float | None]:
    if not values:
        return None, None
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, None
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def _flips(known: Sequence[tuple[Verdicts, float]], line: float) -> tuple[int, int]:
    """How many answers that were judged in several replicates stand on both sides of the line, and how many were."""
    sides: dict[Hashable, dict[int, bool]] = {}
    for one, vote in known:
        sides.setdefault(one.answer, {})[one.replicate] = vote >= line
    several = [set(found.values()) for found in sides.values() if len(found) > 1]
    return sum(len(found) > 1 for found in several), len(several)


def _difference(ones: Sequence[float], others: Sequence[float]) -> tuple[float | None, float | None]:
    """The difference of two means, with its standard error (Welch); None where a side has fewer than two values."""
    if len(ones) < 2 or len(others) < 2:
        return None, None
    one, spread = _mean_and_deviation(ones)
    other, width = _mean_and_deviation(others)
    if one is None or other is None or spread is None or width is None:
        return None, None
    return one - other, math.sqrt(spread**2 / len(ones) + width**2 / len(others))


def calibration(name: str, pairs: Sequence[tuple[float, float]], line: float = LINE) -> Calibration:
    """A juror against people, from (label, vote) pairs in [0, 1]. Raises ValueError without pairs."""
    sides = [(label >= line, vote >= line) for label, vote in pairs]
    kappa = cohen_kappa(sides)
    gaps = [vote - label for label, vote in pairs]
    return Calibration(
        name=name,
        n=len(pairs),
        kappa=kappa,
        agreement=sum(one == other for one, other in sides) / len(sides),
        confusion=dict(Counter(sides)),
        error=math.fsum(map(abs, gaps)) / len(gaps),
        bias=math.fsum(gaps) / len(gaps),
        correlation=spearman([label for label, _ in pairs], [vote for _, vote in pairs]),
    )
