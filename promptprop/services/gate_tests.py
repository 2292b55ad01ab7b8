"""What a gate tests at each look: the metrics that decide, and guards on what else must not get worse."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from promptprop.domain.gate import GateRule, Look, look_at
from promptprop.domain.models import PICO, Evaluation, Json, Row

SCORE = "score"  # stands for the score as a whole, where no metric is named

Answers = Mapping[str, Sequence[Evaluation]]  # by row
Value = Callable[[Evaluation], "float | None"]

EFFORTS: dict[str, Value] = {
    "cost": lambda one: None if one.picousd is None else one.picousd / PICO,
    "latency": lambda one: one.latency,
    "length": lambda one: float(len(one.output)),
}
"""What may grow by a share at most: money, seconds and characters of an answer."""


@dataclass(frozen=True, slots=True)
class Guard:
    """Something that must not get worse by more than `limit`: cost, latency or length by that share, else a metric."""

    id: str
    limit: float

    @property
    def relative(self) -> bool:
        """Whether the limit is a share of what the baseline takes."""
        return self.id in EFFORTS

    def value(self, evaluation: Evaluation) -> float | None:
        """What it looks at in one answer; None where that is not known."""
        if self.relative:
            return None if evaluation.error is not None else EFFORTS[self.id](evaluation)
        return value_of(evaluation, self.id)

    def room(self, before: Sequence[float], after: Sequence[float]) -> list[float]:
        """How far each row is from the limit, below 0 where it is beyond; efforts as shares of the baseline's mean.

        A ratio of means is beyond its limit where the mean of (1 + limit) × before − after is below 0, which is a mean
        of differences again (Fieller 1954, JRSS B 16:175).
        """
        if not self.relative:
            return [new - old + self.limit for old, new in zip(before, after, strict=True)]
        scale = sum(before) / len(before) or sum(after) / len(after)  # from nothing to something is all of it
        if scale <= 0:
            return [self.limit] * len(after)  # nothing before and nothing now: no change
        return [((1 + self.limit) * old - new) / scale for old, new in zip(before, after, strict=True)]

    def change(self, room: float) -> float:
        """What has changed where so much room is left: a share that efforts grew by, or what a metric gained."""
        return self.limit - room if self.relative else room - self.limit


@dataclass(slots=True)
class GateTest:
    """One test's looks, at each share of the level that Holm's procedure may give it: 1/n of it, …, 1/2, the whole.

    With `guard` it can only fail.
    """

    id: str
    tests: int
    guard: Guard | None = None
    looks: dict[int, list[Look]] = field(default_factory=dict)
    mean: float = 0.0
    worse: bool = False

    def look(self, before: Answers, after: Answers, rows: Sequence[Row], rule: GateRule) -> None:
        """Take one more look; rows without a value on either side are left out on both."""
        value: Value = self.guard.value if self.guard else lambda one: value_of(one, self.id)
        kept, old, new = paired(before, after, rows, value)
        if not kept:
            return
        differences = self.guard.room(old, new) if self.guard else [b - a for a, b in zip(old, new, strict=True)]
        self.mean = sum(differences) / len(differences)
        tested = replace(rule, fail_when="worse") if self.guard else rule
        clusters = clusters_of(kept)
        for part in range(1, self.tests + 1):
            earlier = self.looks.setdefault(part, [])
            earlier.append(look_at(differences, tested, earlier, clusters, 1 / part, scores=self.guard is None))

    @property
    def whole(self) -> Look | None:
        """The last look at the whole level; None where no row could be judged."""
        return self.looks[1][-1] if self.looks else None

    def fails(self, part: int) -> bool:
        """Whether it is surely worse at 1/part of the level."""
        return bool(self.looks) and self.looks[part][-1].verdict == "FAIL"

    def passes(self, margin: float) -> bool:
        """Whether it surely is not worse by the margin. A guard need not prove that."""
        if self.guard:
            return True
        whole = self.whole
        return whole is not None and whole.lower > -margin

    def as_json(self) -> dict[str, Json]:
        """The last look, as an event tells it: `lower` at the whole level, `upper` at the smallest share of it."""
        whole = self.whole
        if whole is None:
            return {"rows": 0, "worse": False, **self._limits()}
        shared = self.looks[self.tests][-1]
        mean, lower, upper = whole.mean, whole.lower, shared.upper
        if self.guard:
            mean, (lower, upper) = self.guard.change(self.mean), sorted(map(self.guard.change, (lower, upper)))
        return {
            "mean": mean,
            "lower": lower,
            "upper": upper,
            "critical": shared.critical,
            "rows": whole.n,
            "clusters": whole.clusters,
            "worse": self.worse,
            **self._limits(),
        }

    def _limits(self) -> dict[str, Json]:
        return {"guard": True, "relative": self.guard.relative, "limit": self.guard.limit} if self.guard else {}


def decide(tests: Sequence[GateTest], margin: float) -> str:
    """What the last looks come to, and which tests are `worse`: Holm (1979, Scandinavian Journal of Statistics 6:65).

    One that is surely worse at its share of the level fails all. To pass needs no share, since each metric has to
    (an intersection-union test: Berger 1982, Technometrics 24:295). A metric that could judge no row decides nothing.
    """
    left = list(tests)
    while left:
        found = [test for test in left if test.fails(len(left))]
        for test in found:
            test.worse = True
        if not found:
            break
        left = [test for test in left if not test.worse]
    if len(left) < len(tests):
        return "FAIL"
    return "PASS" if all(test.passes(margin) for test in tests) else "INCONCLUSIVE"


def paired(
    before: Answers, after: Answers, rows: Sequence[Row], value: Value
) -> tuple[list[Row], list[float], list[float]]:
    """The rows for which both have a value, with the means of each over its answers."""
    kept, old, new = [], [], []
    for row in rows:
        one, other = _mean(before.get(row.id, ()), value), _mean(after.get(row.id, ()), value)
        if one is not None and other is not None:
            kept.append(row)
            old.append(one)
            new.append(other)
    return kept, old, new


def _mean(evaluations: Sequence[Evaluation], value: Value) -> float | None:
    values = [found for one in evaluations if (found := value(one)) is not None]
    return sum(values) / len(values) if values else None


def value_of(evaluation: Evaluation, metric: str) -> float | None:
    """An evaluation's value of a metric, or its score as a whole; None where there is none."""
    if evaluation.error is not None:
        return None
    if metric == SCORE:
        return evaluation.score
    word = evaluation.judgements.get(metric)
    return word.score if word is not None else None


def clusters_of(rows: Sequence[Row]) -> list[str] | None:
    """The clusters of rows; None where each row is its own."""
    clusters = [row.cluster for row in rows]
    return clusters if len(set(clusters)) < len(clusters) else None
