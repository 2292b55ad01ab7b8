"""What the evidence allows one to say: intervals, paired differences, an exact test, and the verdict.

Nothing here peeks: each function answers for one look at rows that were chosen beforehand. Rows without a score are
left out by the caller, in pairs. numpy is imported where it is used: it is slow to load.
"""

from __future__ import annotations

import math
import random
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from promptprop.domain.distributions import binomial_below, normal_quantile, student_quantile
from promptprop.domain.events import Estimate, Verdict

if TYPE_CHECKING:
    import numpy as np

EXACT_LIMIT = 14
"""Up to so many nonzero differences, all sign flips are counted (2¹⁴ of them); beyond it they are drawn."""

DRAWS = 4000
"""Sign flips drawn where there are too many to count; the p value's own standard error at 0.05 is then 0.0034."""

COUNTED = 500
"""Up to so many differences of one size, the binomial distribution is counted in whole numbers."""

_SAME = 1e-12  # scores that differ by less are equal: what is left over when floats are averaged
_BATCH_BITS = 4_000_000


def mean_interval(scores: Sequence[float], weights: Sequence[float] | None = None, level: float = 0.95) -> Estimate:
    """The mean of scores in [0, 1] with its interval at `level`, within [0, 1].

    Scores that are all 0 or 1 get Wilson's interval (E. B. Wilson 1927, JASA 22:209), others Student's t; weighted ones
    the t interval of the ratio estimator (Cochran 1977, Sampling Techniques, 6.4), or Wilson's at Kish's effective size
    (Σw)²/Σw². Rows of weight 0 are not counted. One score that is neither 0 nor 1 says nothing: [0, 1]. Equal scores
    that are neither give an interval of length 0. Raises ValueError without rows, or for weights below 0.

    >>> e = mean_interval([1, 1, 1, 0])
    >>> e.mean, round(e.low, 3), round(e.high, 3), e.n
    (0.75, 0.301, 0.954, 4)
    """
    _check_level(level)
    if weights is None:
        weights = [1.0] * len(scores)
    if any(not math.isfinite(weight) or weight < 0 for weight in weights):
        raise ValueError("weights must be finite and not below 0")
    pairs = [(float(s), float(w)) for s, w in zip(_finite(scores), weights, strict=True) if w > 0]
    if not pairs:
        raise ValueError("a mean needs at least one row")
    n, total = len(pairs), math.fsum(w for _, w in pairs)
    mean = math.fsum(s * w for s, w in pairs) / total
    if all(score in (0.0, 1.0) for score, _ in pairs):
        size = total**2 / math.fsum(w * w for _, w in pairs)
        return Estimate(mean, *_wilson(mean, size, level), n)
    if n == 1:
        return Estimate(mean, 0.0, 1.0, 1)
    variance = n / (n - 1) * math.fsum((w * (s - mean)) ** 2 for s, w in pairs) / total**2
    half = _t_quantile(n - 1, level) * math.sqrt(variance) if _spread([s for s, _ in pairs]) > _SAME else 0.0
    return Estimate(mean, max(0.0, mean - half), min(1.0, mean + half), n)


def clustered_mean(
    scores: Sequence[float], clusters: Sequence[Hashable] | None = None, level: float = 0.95
) -> Estimate:
    """`mean_interval` where rows of a cluster are alike: as wide as the number of clusters allows.

    The variance is CR1 (Cameron & Miller 2015), with t on G-1 degrees of freedom. Scores that are all 0 or 1 get
    Wilson's interval at the effective number of rows p(1 − p)/V, at most the rows there are (Franco, Little, Louis &
    Slud 2019, J. Survey Statistics and Methodology 7:334), with Korn & Graubard's factor (1998, Survey Methodology
    24:193) for the degrees of freedom; where all of them are equal, each cluster counts as one row. One cluster says
    nothing: [0, 1]. Raises ValueError as `mean_interval`, and for unequal lengths.

    >>> clustered_mean([1, 1, 0, 0], "aabb").low < mean_interval([1, 1, 0, 0]).low
    True
    """
    if clusters is None or len(set(clusters)) == len(scores):
        return mean_interval(scores, level=level)
    _check_level(level)
    n, mean = len(scores), math.fsum(_finite(scores)) / len(scores)
    sums = _cluster_sums([score - mean for score in scores], clusters)
    groups = len(sums)
    if groups < 2:
        return Estimate(mean, 0.0, 1.0, n)
    variance = groups / (groups - 1) * math.fsum(value * value for value in sums) / n**2
    binary, equal = all(score in (0.0, 1.0) for score in scores), _spread(scores) <= _SAME
    if binary and equal:
        return Estimate(mean, *_wilson(mean, groups, level), n)
    quantile = _t_quantile(groups - 1, level)
    if binary:
        size = min(n, mean * (1 - mean) / variance) if variance > _SAME else n
        return Estimate(mean, *_wilson(mean, size * (_normal_quantile(level) / quantile) ** 2, level), n)
    if not equal and all(
        abs(value) <= _SAME * n for value in sums
    ):  # the clusters cancel out: rows count by themselves
        return mean_interval(scores, level=level)
    half = 0.0 if equal else quantile * math.sqrt(variance)
    return Estimate(mean, max(0.0, mean - half), min(1.0, mean + half), n)


def paired_difference(
    before: Sequence[float],
    after: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
) -> Estimate:
    """The mean of `after - before` over the same rows with its interval at `level`, within [-1, 1].

    Student's t on the differences; with clusters, the cluster-robust variance CR1 with t on G-1 degrees of freedom
    (Cameron & Miller 2015, J. Human Resources 50:317, section VI). With fewer than about 20 clusters CR1 is somewhat
    too narrow; a claim also needs the sign-flip test, which keeps its level there if differences are symmetric. One row
    or one cluster says nothing: [-1, 1]. Two or more equal differences give an interval of length 0. Raises ValueError
    without rows or for unequal lengths.

    >>> paired_difference([0, 1, 0, 1], [1, 1, 1, 1]).mean
    0.5
    """
    _check_level(level)
    differences = [a - b for b, a in zip(_finite(before), _finite(after), strict=True)]
    if not differences:
        raise ValueError("a difference needs at least one row")
    n = len(differences)
    mean = math.fsum(differences) / n
    sums = _cluster_sums([difference - mean for difference in differences], clusters)
    groups = len(sums)
    if groups < 2:
        return Estimate(mean, -1.0, 1.0, n)
    if _spread(differences) <= _SAME:
        return Estimate(mean, mean, mean, n)
    if all(abs(value) <= _SAME * n for value in sums):
        # The rows vary, yet the clusters cancel out: CR1 would claim certainty, so that rows count by themselves.
        return paired_difference(before, after, None, level)
    error = math.sqrt(groups / (groups - 1) * math.fsum(value * value for value in sums)) / n
    half = _t_quantile(groups - 1, level) * error
    return Estimate(mean, max(-1.0, mean - half), min(1.0, mean + half), n)


def sign_flip_p(
    differences: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    rng: random.Random | None = None,
) -> float:
    """The two-sided p value of the sign-flip test on the mean difference (Fisher 1935, The Design of Experiments, 21).

    Under the null hypothesis each difference is as likely as its negative; clusters flip together. Exact where all
    nonzero differences are of one size (the binomial test, which is McNemar's exact test for binary scores) and up to
    `EXACT_LIMIT` of them; else `DRAWS` flips drawn from `rng` (seed 0 unless given), with one added to hits and draws
    (Phipson & Smyth 2010, SAGMB 9:39), so that the test keeps its level. No nonzero difference gives 1.

    >>> sign_flip_p([1, 1, 1, 1, 1, 0])
    0.0625
    """
    sums = [value for value in _cluster_sums(_finite(differences), clusters) if abs(value) > _SAME]
    if not sums:
        return 1.0
    sizes = [abs(value) for value in sums]
    if _spread(sizes) <= 1e-9 * max(sizes):
        return _binomial_p(sum(value > 0 for value in sums), len(sums))
    # A flip that gives the observed sum again must count as such, whatever the order of addition did to it.
    observed = abs(math.fsum(sums)) - 1e-9 * math.fsum(sizes)
    if len(sums) <= EXACT_LIMIT:
        reached = [sizes[0]]  # half of all flips: the other half are their negatives
        for size in sizes[1:]:
            reached = [total + sign for total in reached for sign in (size, -size)]
        return sum(abs(total) >= observed for total in reached) / len(reached)
    return _drawn_p(sizes, observed, rng or random.Random(0))  # noqa: S311 - statistics, not secrets


def verdict(delta: Estimate, p: float, unchanged: bool, alpha: float = 0.05) -> Verdict:
    """What may be claimed: *better* or *worse* only if interval and test both say so; else *no proven gain*.

    >>> verdict(Estimate(0.2, 0.05, 0.35, 100), p=0.01, unchanged=False)
    'better'
    """
    if unchanged:
        return "unchanged"
    if delta.low > 0 and p <= alpha:
        return "better"
    if delta.high < 0 and p <= alpha:
        return "worse"
    return "no proven gain"


def noise(first: Sequence[float], second: Sequence[float]) -> float:
    """The standard deviation of one answer's score about its row's own mean, from two answers a row; 0 without rows.

    √(Σd²/2n), Dahlberg's formula (1940, Statistical Methods for Medical and Biological Students).

    >>> noise([1, 0], [1, 1])
    0.5
    """
    squares = [(a - b) ** 2 for a, b in zip(first, second, strict=True)]
    return math.sqrt(math.fsum(squares) / (2 * len(squares))) if squares else 0.0


def _finite(values: Sequence[float]) -> Sequence[float]:
    if not all(math.isfinite(value) for value in values):
        raise ValueError("scores must be finite numbers")
    return values


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies between 0 and 1, not at {level}")


def _spread(values: Sequence[float]) -> float:
    return max(values) - min(values)


def _cluster_sums(values: Sequence[float], clusters: Sequence[Hashable] | None) -> list[float]:
    """The sum of each cluster, in order of first appearance; without clusters each row is its own."""
    if clusters is None:
        return list(values)
    members: dict[Hashable, list[float]] = {}
    for value, cluster in zip(values, clusters, strict=True):
        members.setdefault(cluster, []).append(value)
    return [math.fsum(group) for group in members.values()]


def _t_quantile(freedom: int, level: float) -> float:
    return student_quantile(freedom, (1 - level) / 2)


def _normal_quantile(level: float) -> float:
    return normal_quantile((1 + level) / 2)


def _wilson(mean: float, n: float, level: float) -> tuple[float, float]:
    z = _normal_quantile(level)
    middle = (mean + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(mean * (1 - mean) / n + z * z / (4 * n * n))
    # At 0 and 1 the bound is the mean itself; floats would leave it a hair off.
    return (0.0 if mean == 0 else max(0.0, middle - half)), (1.0 if mean == 1 else min(1.0, middle + half))


def _binomial_p(positive: int, n: int) -> float:
    fewer = min(positive, n - positive)
    if n <= COUNTED:
        return float(min(1.0, 2 * sum(math.comb(n, hits) for hits in range(fewer + 1)) / 2**n))
    return min(1.0, 2 * binomial_below(fewer, n, 0.5))


def _drawn_p(sizes: Sequence[float], observed: float, rng: random.Random) -> float:
    """The share of drawn sign flips whose sum is at least `observed` in size.

    The bits come from Python's own generator, whose stream is the same in every version; numpy only adds them up.
    """
    import numpy as np

    values = np.asarray(sizes, dtype=np.float64)
    width = -(-len(sizes) // 8)
    hits, left = 0, DRAWS
    while left:
        rows = min(left, max(1, _BATCH_BITS // (8 * width)))
        drawn = np.frombuffer(rng.getrandbits(8 * width * rows).to_bytes(width * rows, "big"), dtype=np.uint8)
        signs: np.ndarray = np.unpackbits(drawn.reshape(rows, width), axis=1, count=len(sizes))
        totals = 2.0 * (signs @ values) - values.sum()
        hits += int((np.abs(totals) >= observed).sum())
        left -= rows
    return (hits + 1) / (DRAWS + 1)
