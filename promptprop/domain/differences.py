"""What paired differences of rows say of their mean: its standard error, how well that is known, and what may hide.

Differences are those of means over `replicates` answers of each side. Rows of one cluster are not independent; a
cluster counts as one group, and without clusters each row does.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from promptprop.domain.distributions import binomial_below, binomial_limit, student_quantile

PSEUDO_ROWS = 2
"""Rows without a difference that are added, and to the squares those of one more row that differs: for one answer of 0
or 1 to each row, the adjusted interval for paired proportions of Agresti & Min (2005, Statistics in Medicine 24:729).
It keeps its level where few rows differ, and knows no certainty where none does."""

SAME = 1e-12  # means that differ by less are equal


@dataclass(frozen=True, slots=True)
class Differences:
    """The mean over `rows` rows and its standard error, from `groups` groups with so many degrees of `freedom`.

    `skew` is the third moment of the groups' sums over the 3/2 power of the second: their skewness over √groups.
    `total` is the plain sum of the differences.
    """

    rows: int
    groups: int
    mean: float
    error: float
    freedom: float
    skew: float
    total: float

    def reach(self, tail: float, sign: int) -> float:
        """How far from the mean the one-sided bound at this level lies, above it (`sign` 1) or below it (−1).

        Student's t, farther by the first Edgeworth term of the studentised mean where the groups are skewed towards
        the bound: then a few of them that the sample may lack weigh much (Johnson 1978, JASA 73:536; Hall 1992, JRSS B
        54:221). Only skew beyond its own standard error counts, √(6/groups) for the normal, so that symmetric
        differences pay nothing for it.
        """
        t = student_quantile(self.freedom, tail)
        skew = max(0.0, sign * self.skew - math.sqrt(6) / self.groups)
        return (t + skew * (2 * t * t + 1) / 6) * self.error

    def least(self, alpha: float) -> float:
        """The smallest mean that does not contradict the rows, if it came from rows that are wholly broken.

        Of rows that each break with one chance, so many as were lost net (or fewer) are found with the chance `alpha`
        where that chance is Clopper & Pearson's upper limit (1934, Biometrika 26:404). t and its corrections know
        skew from the rows alone, and a sample in which nothing broke shows none: 58 rows miss one in twenty with a
        chance above 5 %.
        """
        lost = math.floor(max(0.0, -self.total) + 1e-9)
        if lost >= self.rows:
            return -1.0
        return max(0.0, self.total / self.rows) - binomial_limit(lost, self.rows, alpha)


def differences_of(
    differences: Sequence[float], replicates: int, clusters: Sequence[Hashable] | None = None
) -> Differences:
    """What differences of means over `replicates` answers say.

    The variance is the jackknife's over groups (CR3: Bell & McCaffrey 2002, Survey Methodology 28:169), which is that
    of the plain t test where groups are of one size, and does not trust a group that has most of the rows. With one
    group the error says nothing. Raises ValueError without rows.
    """
    n = len(differences)
    if n == 0:
        raise ValueError("a difference needs at least one row")
    rows, total = n + PSEUDO_ROWS, math.fsum(differences)
    mean = total / rows
    sums: dict[Hashable, float] = {}
    sizes: dict[Hashable, int] = {}
    for place, difference in enumerate(differences):
        group: Hashable = place if clusters is None else clusters[place]
        sums[group] = sums.get(group, 0.0) + difference - mean
        sizes[group] = sizes.get(group, 0) + 1
    groups = len(sums)
    if groups < 2:
        return Differences(n, groups, mean, 1.0, 1.0, 0.0, total)
    unequal = [difference for difference in differences if abs(difference) > SAME]
    added = math.fsum(value * value for value in unequal) / len(unequal) if unequal else 1 / replicates
    plain = added + math.fsum(value * value for value in sums.values())
    if clusters is None:  # as below, with all sizes 1
        squares = added + (plain - added) * n / (n - 1)
    else:
        trust = (groups - 1) / groups
        squares = added + trust * math.fsum((sums[one] / (1 - size / n)) ** 2 for one, size in sizes.items())
    skew = math.fsum(value**3 for value in sums.values()) / plain**1.5
    return Differences(n, groups, mean, math.sqrt(squares) / rows, freedom_of(list(sizes.values())), skew, total)


@lru_cache(maxsize=1000)
def passing_mean(rows: int, margin: float, alpha: float) -> float:
    """The mean, as `differences_of` reckons it, above which `Differences.least` is above −margin."""
    lost = -1
    while lost + 1 < rows and binomial_below(lost + 1, rows, margin) <= alpha:
        lost += 1
    total = -(lost + 1) if lost >= 0 else rows * max(0.0, 1 - margin - alpha ** (1 / rows))
    return total / (rows + PSEUDO_ROWS)


def fewest_rows(margin: float, alpha: float) -> int:
    """The rows it takes for a candidate that answers as well as the baseline to be surely not worse by the margin.

    >>> fewest_rows(0.05, 0.05)
    59
    """
    return math.ceil(math.log(alpha) / math.log(1 - margin)) if margin > 0 else 0


def freedom_of(sizes: Sequence[int]) -> float:
    """Satterthwaite's degrees of freedom of the jackknife's variance over groups of these sizes, for equal rows.

    Groups − 1 where all are of one size, fewer where some have most of the rows (Bell & McCaffrey 2002).

    >>> freedom_of([5, 5, 5, 5]), round(freedom_of([100] + [2] * 50), 1)
    (3.0, 2.2)
    """
    if len(set(sizes)) == 1:
        return float(max(1, len(sizes) - 1))
    n = sum(sizes)
    shares = [size / n for size in sizes]
    weights = [1 / (1 - share) ** 2 for share in shares]
    pairs = list(zip(shares, weights, strict=True))
    expected = math.fsum(weight * share * (1 - share) for share, weight in pairs)
    own = math.fsum((weight * share * (1 - share)) ** 2 for share, weight in pairs)
    crossed = math.fsum(weight * share * share for share, weight in pairs) ** 2
    itself = math.fsum(weight * weight * share**4 for share, weight in pairs)
    return expected * expected / (own + crossed - itself)


def inflation_of(sizes: Sequence[int]) -> float:
    """What the jackknife's variance is on average, over the true one, for equal rows in groups of these sizes."""
    if len(set(sizes)) == 1:
        return 1.0
    n, groups = sum(sizes), len(sizes)
    return (groups - 1) / groups * math.fsum(size / (n - size) for size in sizes)
