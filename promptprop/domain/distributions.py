"""The few distribution functions that tests and gates need, as accurate as a double allows.

A library has them, too, and takes four tenths of a second to load them: a third of what a whole check takes. Tests hold
each function against it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_STANDARD = NormalDist()
_ROOT = math.sqrt(0.5)
_TINY = 1e-300
_CLOSE = 1e-15
_STEPS = 100_000  # of the continued fraction: it takes some √(a + b)


def normal_below(x: float) -> float:
    """The chance that a standard normal variable is below `x`."""
    return 0.5 * math.erfc(-x * _ROOT)


def normals_below(values: np.ndarray) -> np.ndarray:
    """`normal_below` of each value, shape kept."""
    import numpy as np

    found = np.fromiter((math.erfc(-x * _ROOT) for x in values.ravel().tolist()), float, values.size)
    return 0.5 * found.reshape(values.shape)


def normal_quantile(chance: float) -> float:
    """The value below which a standard normal variable is with this chance; infinite for 0 and 1.

    Wichura's algorithm AS 241 (1988, Applied Statistics 37:477), by the standard library. Raises ValueError outside of
    [0, 1].
    """
    if chance <= 0 or chance >= 1:
        if chance in (0, 1):
            return math.inf if chance else -math.inf
        raise ValueError(f"a chance lies between 0 and 1, not at {chance}")
    return _STANDARD.inv_cdf(chance)


def beta_below(x: float, a: float, b: float) -> float:
    """The chance that a beta(a, b) variable is below `x`: the regularised incomplete beta function.

    By its continued fraction (Abramowitz & Stegun 26.5.8, evaluated as Lentz 1976, Applied Optics 15:668), on the side
    of the mean on which it converges fast. Raises ValueError unless a and b are above 0.
    """
    if not (a > 0 and b > 0):
        raise ValueError(f"a beta distribution needs two numbers above 0, not {a} and {b}")
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1.0 - beta_below(1.0 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    return min(1.0, front * _fraction(x, a, b) / a)


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of the incomplete beta function."""
    above, below = 1.0, 1.0 / _away(1.0 - (a + b) * x / (a + 1))
    value = below
    for step in range(1, _STEPS):
        twice = a + 2 * step
        for term in (
            step * (b - step) * x / ((twice - 1) * twice),
            -(a + step) * (a + b + step) * x / (twice * (twice + 1)),
        ):
            below = 1.0 / _away(1.0 + term * below)
            above = _away(1.0 + term / above)
            value *= below * above
        if abs(below * above - 1.0) < _CLOSE:
            return value
    return value


def _away(value: float) -> float:
    """Never quite 0."""
    return value if abs(value) > _TINY else _TINY


@lru_cache(maxsize=10_000)
def student_quantile(freedom: float, tail: float) -> float:
    """The value that Student's t with these degrees of freedom exceeds with the chance `tail`, in (0, 1).

    Raises ValueError unless there is freedom and a chance.
    """
    if not (freedom > 0 and 0 < tail < 1):
        raise ValueError(f"no quantile at {tail} with {freedom} degrees of freedom")
    if tail > 0.5:
        return -student_quantile(freedom, 1 - tail)
    if tail == 0.5:
        return 0.0

    def beyond(t: float) -> float:
        return 0.5 * beta_below(freedom / (freedom + t * t), freedom / 2, 0.5)

    low, high = 0.0, 1.0
    while beyond(high) > tail:
        low, high = high, high * 2
        if high > 1e150:
            return high
    return _between(lambda t: beyond(t) > tail, low, high)


def binomial_below(successes: int, trials: int, rate: float) -> float:
    """The chance of so many successes or fewer."""
    if successes < 0 or successes >= trials:
        return 0.0 if successes < 0 else 1.0
    return beta_below(1 - rate, trials - successes, successes + 1)


@lru_cache(maxsize=10_000)
def binomial_limit(successes: int, trials: int, chance: float) -> float:
    """The rate at which so many successes or fewer have this chance: Clopper & Pearson's upper limit (1934)."""
    if successes >= trials:
        return 1.0
    return _between(lambda rate: binomial_below(successes, trials, rate) > chance, 0.0, 1.0)


def _between(too_low: Callable[[float], bool], low: float, high: float) -> float:
    """Where a falling function crosses: bisection, to the last digit."""
    while True:
        middle = (low + high) / 2
        if not low < middle < high:
            return middle
        if too_low(middle):
            low = middle
        else:
            high = middle
