"""Tests that look more than once: boundaries that keep their level, and what chances a plan of looks has.

All rests on one fact: the estimates of successive looks have independent increments on the scale of information
(Jennison & Turnbull 2000, Group Sequential Methods, chapter 3). With S = information × estimate, S at a look minus S at
the one before is normal with variance equal to the information gained, and mean equal to that times the true effect.
The recursion over the density of S between the boundaries is Armitage, McPherson & Rowe's (1969, JRSS A 132:235).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from promptprop.domain.distributions import normal_quantile, normals_below

if TYPE_CHECKING:
    import numpy as np

POINTS = 321  # of Simpson's rule over S; odd
REACH = 8.0  # standard deviations beyond which nothing is expected
LEAST_GAIN = 0.01  # of the information: looks that know nearly the same are told apart by so much
PRECISION = 1e-5  # of a boundary
NOWHERE = 12.0  # a quantile that nothing passes


@dataclass(frozen=True, slots=True)
class Boundary:
    """A look that has been made: its information, and the normal quantile that its statistic had to pass."""

    information: float
    critical: float


def crossing(earlier: Sequence[Boundary], information: float, chance: float) -> float:
    """The quantile z such that, with no effect, P(no earlier look crossed, and this one is above z) is `chance`.

    Only ratios of information matter; they are taken to three digits.

    >>> round(crossing([], 1.0, 0.05), 3)
    1.645
    >>> round(crossing([Boundary(1.0, 12.0)], 2.0, 0.05), 3)
    1.645
    """
    if chance <= 0:
        return NOWHERE
    looks = tuple((round(look.information / information, 3), round(look.critical, 3)) for look in earlier)
    return _crossing(looks, chance)


@lru_cache(maxsize=20_000)
def _crossing(earlier: tuple[tuple[float, float], ...], chance: float) -> float:
    import numpy as np

    if not earlier:
        return -normal_quantile(chance)
    paths = _Paths()
    for information, critical in earlier:
        paths.look(information)
        paths.keep(-REACH * math.sqrt(paths.information), critical * math.sqrt(paths.information))
    paths.look(1.0)
    spread, root = math.sqrt(paths.gained), math.sqrt(paths.information)
    low, high, z = -NOWHERE, NOWHERE, -normal_quantile(chance)
    while high - low > PRECISION:  # Newton's steps; where one leaves the bracket, half of the bracket instead
        away = (paths.nodes - z * root) / spread
        above = float((paths.mass * normals_below(away)).sum())
        low, high = (z, high) if above > chance else (low, z)
        slope = float((paths.mass * np.exp(-0.5 * away * away)).sum()) * root / (spread * math.sqrt(2 * math.pi))
        step = (above - chance) / slope if slope > 0 else math.inf
        if abs(step) < PRECISION / 10:
            return z + step
        z = z + step if low < z + step < high else (low + high) / 2
    return (low + high) / 2


@dataclass(frozen=True, slots=True)
class Chances:
    """What a plan of looks comes to under one true effect: chances of each end, and of ending at each look."""

    fails: float
    passes: float
    open: float
    ends: tuple[float, ...]


def chances(
    informations: Sequence[float],
    criticals: Sequence[float],
    effect: float,
    margin: float,
    line: float = 0.0,
    least: float = -math.inf,
) -> Chances:
    """The chances of a gate whose looks have these informations and boundaries, where the true difference is `effect`.

    A look fails where its estimate is below `line` by more than the boundary, else passes where it is above −margin by
    as much, and above `least`.
    """
    paths = _Paths(effect)
    failed = passed = 0.0
    ends = []
    for information, critical in zip(informations, criticals, strict=True):
        paths.look(information)
        reach = critical * math.sqrt(paths.information)
        lower = line * paths.information - reach
        upper = max(lower, -margin * paths.information + reach, least * paths.information)
        spread = math.sqrt(paths.gained)
        fails = float((paths.mass * normals_below((lower - paths.nodes - paths.drift) / spread)).sum())
        passes = float((paths.mass * normals_below((paths.nodes + paths.drift - upper) / spread)).sum())
        failed, passed = failed + fails, passed + passes
        ends.append(fails + passes)
        paths.keep(lower, upper)
    left = max(0.0, 1.0 - failed - passed)
    ends[-1] += left
    return Chances(failed, passed, left, tuple(ends))


class _Paths:
    """S of the paths that no boundary has stopped: nodes, and the mass at each of them."""

    def __init__(self, effect: float = 0.0) -> None:
        """Before the first look, S is 0."""
        import numpy as np

        self.nodes: np.ndarray = np.zeros(1)
        self.mass: np.ndarray = np.ones(1)
        self.information = self.gained = 0.0
        self._effect = effect

    @property
    def drift(self) -> float:
        """How far S moves on average to the look that is being made."""
        return self._effect * self.gained

    def look(self, information: float) -> None:
        """Go on to a look; nodes and mass stay those before it."""
        before = self.information
        self.information = max(information, before * (1 + LEAST_GAIN))
        self.gained = self.information - before

    def keep(self, lower: float, upper: float) -> None:
        """Keep the paths whose S is between two bounds at this look."""
        import numpy as np

        spread = math.sqrt(self.information)
        centre = self._effect * self.information
        low, high = max(lower, centre - REACH * spread), min(upper, centre + REACH * spread)
        if high <= low:
            self.nodes, self.mass = np.zeros(1), np.zeros(1)
            return
        fresh, step = np.linspace(low, high, POINTS, retstep=True)
        moves = (fresh[:, None] - self.nodes[None, :] - self.drift) / math.sqrt(self.gained)
        density = np.exp(-0.5 * moves * moves) @ self.mass / math.sqrt(2 * math.pi * self.gained)
        weights = np.full(POINTS, 2.0)
        weights[1::2] = 4.0
        weights[[0, -1]] = 1.0
        self.nodes, self.mass = fresh, density * weights * (step / 3)
