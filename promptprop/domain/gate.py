"""The gate of `check`: may this candidate take the baseline's place? A three-way verdict over a few looks.

Differences are candidate − baseline over the same rows, averaged over K replicates of each. At every look two one-sided
tests are made: that the candidate is worse (FAIL), and that it is not worse by the margin (PASS). Each keeps its level
over all looks by a spending function, with boundaries from the joint distribution of the looks: more replicates of the
same rows are correlated with fewer, so that dividing the level by the number of looks would give power away (Lan &
DeMets 1983, Biometrika 70:659; Jennison & Turnbull 2000, Group Sequential Methods, chapters 2, 7 and 19).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from promptprop.domain.differences import differences_of
from promptprop.domain.distributions import normal_below
from promptprop.domain.sequential import Boundary, crossing

GateVerdict: TypeAlias = Literal["PASS", "FAIL", "INCONCLUSIVE"]
FailWhen: TypeAlias = Literal["worse", "beyond_margin"]


@dataclass(frozen=True, slots=True)
class GateRule:
    """What a gate promises. `margin` is the drop that must not pass, `alpha` the level of each of both tests.

    `replicates` are answers a row at each look, growing. `fail_when`: `worse` fails a candidate that is surely worse at
    all, `beyond_margin` only one that is surely worse by more than the margin.
    """

    margin: float = 0.05
    alpha: float = 0.05
    replicates: tuple[int, ...] = (1, 3, 5)
    fail_when: FailWhen = "worse"

    def __post_init__(self) -> None:
        """Refuse what cannot be promised."""
        if not 0 <= self.margin < 1 or not 0 < self.alpha < 0.5:
            raise ValueError("a margin lies in [0, 1), and alpha between 0 and 0.5")
        if not self.replicates or any(b <= a for a, b in zip((0, *self.replicates), self.replicates, strict=False)):
            raise ValueError("replicates grow from look to look, from 1 on")

    def spent(self, look: int) -> float:
        """The share of the level that may be spent up to a look, counted from 1: as much at each of them.

        So the first look is as quick to end as if the level were divided; later ones then have lower boundaries.
        """
        return look / len(self.replicates)

    @property
    def line(self) -> float:
        """The difference below which a candidate fails, once that is sure."""
        return 0.0 if self.fail_when == "worse" else -self.margin


@dataclass(frozen=True, slots=True)
class Look:
    """What is known at a look: the mean difference over `n` rows, its standard error, and the bounds of both tests.

    `upper` below the rule's line fails; `lower` above −margin passes. `critical` is the boundary as a normal quantile.
    """

    replicates: int
    mean: float
    error: float
    lower: float
    upper: float
    n: int
    clusters: int
    critical: float
    verdict: GateVerdict

    @property
    def information(self) -> float:
        """One over the variance: how much the look knows."""
        return 1 / (self.error * self.error)


def look_at(
    differences: Sequence[float],
    rule: GateRule,
    earlier: Sequence[Look] = (),
    clusters: Sequence[Hashable] | None = None,
    share: float = 1.0,
    *,
    scores: bool = True,
) -> Look:
    """The next look, after the `earlier` ones. `share` of the level is this metric's (Holm's step).

    Differences of `scores` lie in [−1, 1]: their `lower` is also no more than what rows that broke unseen would allow
    (`Differences.least`). That is not tested anew at each look, since the rows stay the same: what they miss, they miss
    at all looks. With fewer than two groups nothing can be said. Raises ValueError without rows.
    """
    number = len(earlier) + 1
    replicates = rule.replicates[number - 1]
    found = differences_of(differences, replicates, clusters)
    mean, error, groups = found.mean, found.error, found.groups
    increment = rule.alpha * share * (rule.spent(number) - (rule.spent(number - 1) if number > 1 else 0.0))
    boundaries = [Boundary(look.information, look.critical) for look in earlier]
    critical = crossing(boundaries, 1 / (error * error), increment)
    if groups < 2:
        return Look(replicates, mean, error, -1.0, 1.0, len(differences), groups, critical, "INCONCLUSIVE")
    tail = normal_below(-critical)
    lower, upper = mean - found.reach(tail, -1), mean + found.reach(tail, 1)
    if scores:
        lower, upper = max(-1.0, min(lower, found.least(rule.alpha * share))), min(1.0, upper)
    verdict: GateVerdict = "FAIL" if upper < rule.line else "PASS" if lower > -rule.margin else "INCONCLUSIVE"
    return Look(replicates, mean, error, lower, upper, len(differences), groups, critical, verdict)
