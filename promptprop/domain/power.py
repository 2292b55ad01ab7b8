"""What a gate can see, told before anything is spent: its chances under a drop, and the smallest drop that it detects.

A drop is taken to be spread in proportion to how well rows are answered: a row that is right with the chance p is
then right with the chance (1 − r) p, where r is the drop over the mean score. What scores vary by is estimated from
answers to the same rows, several to each; where there are none, it is assumed, and said to be.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from promptprop.domain.differences import PSEUDO_ROWS, freedom_of, inflation_of, passing_mean
from promptprop.domain.gate import GateRule
from promptprop.domain.sequential import NOWHERE, Boundary, Chances, chances, crossing

ASSUMED_WITHIN = 0.1
"""The variance of one answer's score about its row's mean, where nothing is known: two answers to a row then differ in
one row of five, if scores are 0 and 1."""

ASSUMED_MEAN = 0.8
LEAST_SQUARES = 1e-3  # of all rows' differences, where none was seen to vary
STEPS = 40  # of the bisection for the smallest drop


@dataclass(frozen=True, slots=True)
class Noise:
    """What the scores of a prompt vary by: `within` a row from answer to answer, `between` the rows' true means.

    `shared` is the covariance of the true means of two rows of one cluster. `binary` tells that all scores are 0 or 1,
    and `assumed` that nothing was measured.
    """

    mean: float = ASSUMED_MEAN
    within: float = ASSUMED_WITHIN
    between: float = 0.0
    shared: float = 0.0
    binary: bool = False
    assumed: bool = True

    def after(self, drop: float) -> float:
        """The variance within rows of a prompt whose scores are lower by `drop`, in proportion to the rows' means."""
        if not self.binary or self.mean <= 0:
            return self.within
        kept = max(0.0, 1 - drop / self.mean)
        squares = self.mean * self.mean + self.between  # the mean of p² over rows
        return max(0.0, kept * self.mean - kept * kept * squares)


def noise_of(scores: Sequence[Sequence[float]], clusters: Sequence[Hashable] | None = None) -> Noise:
    """Noise from several scores of each row (rows with fewer than two are left out); assumed where no row has two.

    Analysis of variance, one way with unequal groups (Searle, Casella & McCulloch 1992, Variance Components, 3.6).
    """
    kept = [place for place, row in enumerate(scores) if len(row) >= 2]
    if len(kept) < 2:
        return Noise()
    rows = [scores[place] for place in kept]
    means = [math.fsum(row) / len(row) for row in rows]
    mean = math.fsum(means) / len(means)
    squares = math.fsum((score - middle) ** 2 for row, middle in zip(rows, means, strict=True) for score in row)
    within = squares / sum(len(row) - 1 for row in rows)
    of_means = math.fsum((middle - mean) ** 2 for middle in means) / (len(means) - 1)
    between = max(0.0, of_means - within * math.fsum(1 / len(row) for row in rows) / len(rows))
    binary = all(score in (0.0, 1.0) for row in rows for score in row)
    shared = _shared(means, mean, [clusters[place] for place in kept]) if clusters is not None else 0.0
    return Noise(mean, within, between, min(shared, between), binary, assumed=False)


def _shared(means: Sequence[float], mean: float, clusters: Sequence[Hashable]) -> float:
    """The covariance of the means of two rows of one cluster, over all such pairs; at least 0."""
    sums: dict[Hashable, tuple[float, float, int]] = {}
    for middle, cluster in zip(means, clusters, strict=True):
        total, squares, count = sums.get(cluster, (0.0, 0.0, 0))
        sums[cluster] = (total + middle - mean, squares + (middle - mean) ** 2, count + 1)
    pairs = sum(count * (count - 1) for _, _, count in sums.values())
    products = math.fsum(total * total - squares for total, squares, _ in sums.values())
    return max(0.0, products / pairs) if pairs else 0.0


def chances_of(
    noise: Noise, rule: GateRule, rows: int, drop: float, clusters: Sequence[int] = (), stored: int = 0
) -> Chances:
    """What a gate over so many rows comes to where the candidate is worse by `drop`; `clusters` are sizes, if any.

    The baseline has `stored` answers to each row at every look; 0 where it is asked as often as the candidate.
    A standard error from few groups is itself uncertain, which takes away as much as a factor of 1 + z²/2f of the
    information would, for f degrees of freedom and the boundary z (the normal approximation of noncentral t: Johnson,
    Kotz & Balakrishnan 1995, Continuous Univariate Distributions 2, 31.6). Skew is left out. Raises ValueError without
    rows.
    """
    if rows < 1:
        raise ValueError("a gate needs at least one row")
    rate = drop / noise.mean if noise.mean > 0 else 0.0
    pairs = sum(size * (size - 1) for size in clusters) / rows
    spread = rate * rate * (noise.between + pairs * noise.shared)
    counted = rows + PSEUDO_ROWS
    alone = len(clusters or range(rows)) == 1
    freedom = freedom_of(clusters) if clusters else float(max(1, rows - 1))
    inflation = inflation_of(clusters) if clusters and not alone else 1.0
    informations, criticals = [], []
    looks: list[Boundary] = []
    for number, replicates in enumerate(rule.replicates, 1):
        variance = noise.within / (stored or replicates) + noise.after(drop) / replicates + spread
        true = max(LEAST_SQUARES, variance * rows)
        seen = inflation * true + (1 / replicates if noise.binary or noise.assumed else variance)
        share = rule.spent(number) - (rule.spent(number - 1) if number > 1 else 0.0)
        critical = crossing(looks, counted * counted / seen, rule.alpha * share)
        looks.append(Boundary(counted * counted / seen, critical))
        informations.append(counted * counted / true / (1 + critical * critical / (2 * freedom)))
        criticals.append(NOWHERE if alone else critical * math.sqrt(seen / true))
    least = passing_mean(rows, rule.margin, rule.alpha)
    return chances(informations, criticals, -drop * rows / counted, rule.margin, rule.line, least)


def smallest_drop(
    noise: Noise, rule: GateRule, rows: int, power: float, clusters: Sequence[int] = (), stored: int = 0
) -> float | None:
    """The smallest drop that fails with the chance `power`; None where even the largest one does not."""
    low, high = 0.0, noise.mean
    if chances_of(noise, rule, rows, high, clusters, stored).fails < power:
        return None
    for _ in range(STEPS):
        middle = (low + high) / 2
        if chances_of(noise, rule, rows, middle, clusters, stored).fails < power:
            low = middle
        else:
            high = middle
        if high - low < 1e-4:
            break
    return high
