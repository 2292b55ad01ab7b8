"""What differences say: errors and degrees of freedom as others reckon them, and what few rows may hide."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from promptprop.domain.differences import (
    PSEUDO_ROWS,
    differences_of,
    fewest_rows,
    freedom_of,
    inflation_of,
    passing_mean,
)

SIZES = st.lists(st.integers(1, 30), min_size=2, max_size=12)
ROWS = st.lists(st.floats(-1, 1), min_size=2, max_size=60)


def grouped(sizes: list[int], seed: int = 3) -> tuple[list[float], list[int]]:
    rng = random.Random(seed)
    clusters = [group for group, size in enumerate(sizes) for _ in range(size)]
    return [rng.uniform(-1, 1) for _ in clusters], clusters


def test_the_error_is_that_of_adjusted_paired_proportions() -> None:
    """Agresti & Min 2005: half an observation added to each of the four cells of the table."""
    plus, minus, n = 9, 3, 60
    found = differences_of([1.0] * plus + [-1.0] * minus + [0.0] * (n - plus - minus), 1)
    rows, up, down = n + 2, plus + 0.5, minus + 0.5
    assert found.mean == pytest.approx((up - down) / rows)
    assert found.error == pytest.approx(((up + down) - (up - down) ** 2 / rows) ** 0.5 / rows, rel=0.02)
    assert (found.groups, found.freedom) == (n, n - 1)


def test_with_many_rows_the_bounds_are_those_of_the_paired_t_test() -> None:
    rng = np.random.default_rng(4)
    differences = rng.normal(0.01, 0.2, 4000)
    found = differences_of(differences.tolist(), 1)
    theirs = stats.ttest_1samp(differences, 0).confidence_interval(0.9)
    assert found.mean + found.reach(0.05, 1) == pytest.approx(theirs.high, abs=2e-5)
    assert found.mean - found.reach(0.05, -1) == pytest.approx(theirs.low, abs=2e-5)


def test_the_variance_over_clusters_is_the_jackknife_of_leaving_each_out() -> None:
    sizes = [3, 10, 1, 25, 7]
    differences, clusters = grouped(sizes)
    values, groups = np.array(differences), np.array(clusters)
    left = np.array([values[groups != group].mean() for group in range(len(sizes))])
    jackknife = (len(sizes) - 1) / len(sizes) * ((left - values.mean()) ** 2).sum()
    rows, added = len(differences), float((values**2).mean())
    found = differences_of(differences, 1, clusters)
    squares = (found.error * (rows + PSEUDO_ROWS)) ** 2 - added
    assert squares / rows**2 == pytest.approx(jackknife, rel=0.05)  # they centre at the plain mean


@settings(max_examples=60, deadline=None)
@given(SIZES)
def test_degrees_of_freedom_and_inflation_are_those_of_the_quadratic_form(sizes: list[int]) -> None:
    """V = Σ wS² of sums with known covariance: mean = tr(WC), variance = 2 tr(WCWC), freedom = 2 mean²/variance."""
    share = np.array(sizes) / sum(sizes)
    covariance = np.diag(share) - np.outer(share, share)
    form = np.diag((1 - share) ** -2.0) @ covariance
    assert freedom_of(sizes) == pytest.approx(np.trace(form) ** 2 / np.trace(form @ form))
    assert inflation_of(sizes) == pytest.approx(np.trace(form) * (len(sizes) - 1) / len(sizes))


@given(st.integers(2, 40), st.integers(1, 9))
def test_clusters_of_one_size_have_one_degree_of_freedom_less_than_there_are(groups: int, size: int) -> None:
    assert freedom_of([size] * groups) == groups - 1
    assert inflation_of([size] * groups) == 1
    nearly = [size * 1000] * groups
    assert freedom_of([*nearly[1:], size * 1000 + 1]) == pytest.approx(groups - 1, rel=0.01)


@settings(max_examples=80, deadline=None)
@given(ROWS, st.integers(1, 10))
def test_rows_by_themselves_are_clusters_of_one(differences: list[float], replicates: int) -> None:
    alone = differences_of(differences, replicates)
    each = differences_of(differences, replicates, list(range(len(differences))))
    assert each.error == pytest.approx(alone.error)
    assert (each.mean, each.freedom, each.groups) == (alone.mean, alone.freedom, alone.groups)


@settings(max_examples=80, deadline=None)
@given(ROWS, st.sampled_from([0.001, 0.01, 0.05]))
def test_bounds_turn_with_their_rows_and_widen_with_the_level(differences: list[float], tail: float) -> None:
    found, turned = differences_of(differences, 3), differences_of([-value for value in differences], 3)
    assert turned.reach(tail, 1) == pytest.approx(found.reach(tail, -1))
    assert found.reach(tail, 1) < found.reach(tail / 2, 1)
    assert found.error > 0


def test_skew_moves_only_the_bound_that_it_points_to() -> None:
    lost = differences_of([-1.0] * 3 + [0.01] * 97, 1)
    assert lost.skew < 0
    assert lost.reach(0.05, -1) > 1.1 * lost.reach(0.05, 1)
    even = differences_of([-1.0, 1.0] * 3 + [0.0] * 94, 1)
    assert even.reach(0.05, 1) == pytest.approx(even.reach(0.05, -1))


@given(st.integers(0, 20), st.integers(21, 300), st.sampled_from([0.01, 0.05]))
def test_what_broken_rows_allow_is_the_limit_of_clopper_and_pearson(lost: int, rows: int, alpha: float) -> None:
    found = differences_of([-1.0] * lost + [0.0] * (rows - lost), 5)
    limit = stats.binomtest(lost, rows).proportion_ci(1 - 2 * alpha).high if lost else 1 - alpha ** (1 / rows)
    assert found.least(alpha) == pytest.approx(-limit, abs=1e-6)


def test_rows_that_were_won_allow_for_as_many_more_that_broke() -> None:
    won = differences_of([1.0] * 10 + [0.0] * 30, 1)
    assert won.least(0.05) == pytest.approx(0.25 - (1 - 0.05 ** (1 / 40)))
    assert differences_of([-1.0] * 5, 1).least(0.05) == -1


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 200), st.floats(0.005, 0.4), st.floats(-1, 1))
def test_the_mean_above_which_nothing_broken_stands_in_the_way_is_found(rows: int, margin: float, mean: float) -> None:
    found = differences_of([mean] * rows, 1)
    threshold = passing_mean(rows, margin, 0.05)
    if not math.isclose(found.mean, threshold, abs_tol=1e-6):
        assert (found.least(0.05) > -margin) == (found.mean > threshold)


@pytest.mark.parametrize("margin", [0.01, 0.02, 0.05, 0.1])
def test_the_fewest_rows_are_those_that_would_show_a_broken_one(margin: float) -> None:
    rows = fewest_rows(margin, 0.05)
    assert (1 - margin) ** rows <= 0.05 < (1 - margin) ** (rows - 1)
    assert fewest_rows(0.0, 0.05) == 0


def test_one_group_says_nothing_and_no_row_is_refused() -> None:
    assert differences_of([0.5, -0.5], 1, ["a", "a"]).groups == 1
    with pytest.raises(ValueError, match="at least one row"):
        differences_of([], 1)
