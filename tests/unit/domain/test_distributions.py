"""Distribution functions, each held against SciPy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from promptprop.domain.distributions import (
    beta_below,
    binomial_below,
    binomial_limit,
    normal_below,
    normal_quantile,
    normals_below,
    student_quantile,
)

CHANCES = st.floats(1e-9, 1 - 1e-9)


@given(st.floats(-38, 38))
def test_the_normal_distribution_is_scipys(x: float) -> None:
    assert normal_below(x) == pytest.approx(special.ndtr(x), rel=1e-12)


@given(CHANCES)
def test_its_quantiles_are_scipys(chance: float) -> None:
    assert normal_quantile(chance) == pytest.approx(special.ndtri(chance), rel=1e-9, abs=1e-12)


def test_many_values_keep_their_shape_and_the_ends_are_infinite() -> None:
    values = np.array([[-3.0, 0.0], [1.5, 40.0]])
    assert normals_below(values) == pytest.approx(special.ndtr(values), rel=1e-12)
    assert normals_below(values).shape == (2, 2)
    assert (normal_quantile(0), normal_quantile(1)) == (-math.inf, math.inf)
    with pytest.raises(ValueError, match="between 0 and 1"):
        normal_quantile(1.5)


@settings(max_examples=300)
@given(st.floats(0, 1), st.floats(0.05, 3000), st.floats(0.05, 3000))
def test_the_beta_distribution_is_scipys(x: float, a: float, b: float) -> None:
    assert beta_below(x, a, b) == pytest.approx(special.betainc(a, b, x), rel=1e-8, abs=1e-11)


def test_a_beta_distribution_of_very_many_rows_still_converges() -> None:
    for x in (0.0499, 0.05, 0.0503, 0.5):
        assert beta_below(x, 5_000, 95_000) == pytest.approx(special.betainc(5_000, 95_000, x), rel=1e-7, abs=1e-11)
    with pytest.raises(ValueError, match="above 0"):
        beta_below(0.5, 0, 1)


@settings(max_examples=300)
@given(st.floats(1, 5000), CHANCES)
def test_students_quantiles_are_scipys(freedom: float, tail: float) -> None:
    assert student_quantile(freedom, tail) == pytest.approx(-special.stdtrit(freedom, tail), rel=1e-7, abs=2e-6)


def test_a_quantile_needs_freedom_and_a_chance() -> None:
    for freedom, tail in ((0, 0.1), (5, 0), (5, 1), (math.nan, 0.1)):
        with pytest.raises(ValueError, match="no quantile"):
            student_quantile(freedom, tail)
    assert student_quantile(3, 0.5) == 0


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(-1, n), st.just(n))), st.floats(0, 1))
def test_the_binomial_distribution_is_scipys(counts: tuple[int, int], rate: float) -> None:
    successes, trials = counts
    expected = 0.0 if successes < 0 else special.bdtr(successes, trials, rate)
    assert binomial_below(successes, trials, rate) == pytest.approx(expected, rel=1e-8, abs=1e-11)


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(1e-6, 0.5))
def test_clopper_and_pearsons_limit_is_scipys(counts: tuple[int, int], chance: float) -> None:
    successes, trials = counts
    expected = 1.0 if successes == trials else special.bdtri(successes, trials, chance)
    assert binomial_limit(successes, trials, chance) == pytest.approx(expected, rel=1e-8, abs=1e-10)
