from __future__ import annotations

import math
import random
import subprocess
import sys
from itertools import product

import numpy as np
import pytest
import scipy.stats
import statsmodels.api
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from promptprop.domain.events import Estimate
from promptprop.domain.statistics import (
    DRAWS,
    EXACT_LIMIT,
    clustered_mean,
    mean_interval,
    noise,
    paired_difference,
    sign_flip_p,
    verdict,
)

unit = st.floats(0, 1)
score_lists = st.lists(unit, min_size=1, max_size=40)
pairs_of_scores = st.lists(st.tuples(unit, unit), min_size=1, max_size=40)
binary_lists = st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=60)
GENTLE = settings(max_examples=100, deadline=None, database=None, derandomize=True)


def test_importing_the_module_loads_neither_scipy_nor_numpy() -> None:
    code = "import sys, promptprop.domain.statistics; print({'scipy', 'numpy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


# --- the mean -------------------------------------------------------------------------------------------------------


@GENTLE
@given(binary_lists, st.sampled_from([0.8, 0.95, 0.99]))
def test_binary_scores_get_wilsons_interval(scores: list[float], level: float) -> None:
    estimate = mean_interval(scores, level=level)
    low, high = proportion_confint(sum(scores), len(scores), alpha=1 - level, method="wilson")
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=1e-12)


def test_graded_scores_get_students_interval() -> None:
    scores = [0.1, 0.4, 0.35, 0.8, 1.0, 0.55]
    expected = scipy.stats.ttest_1samp(scores, 0).confidence_interval(0.95)
    estimate = mean_interval(scores)
    assert (estimate.mean, estimate.n) == (pytest.approx(np.mean(scores)), 6)
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high))


def test_equal_weights_change_nothing() -> None:
    for scores in ([0.1, 0.5, 0.9, 0.3], [1.0, 0.0, 1.0]):
        plain, weighed = mean_interval(scores), mean_interval(scores, [2.5] * len(scores))
        assert (weighed.mean, weighed.low, weighed.high) == pytest.approx((plain.mean, plain.low, plain.high))


def test_weighted_scores_agree_with_a_robust_weighted_regression() -> None:
    scores, weights = [0.1, 0.4, 0.35, 0.8, 1.0, 0.55], [1, 2, 1, 3, 0.5, 1]
    fit = statsmodels.api.WLS(scores, np.ones(6), weights=weights).fit(cov_type="HC1", use_t=True)
    low, high = fit.conf_int()[0]
    estimate = mean_interval(scores, weights)
    assert (estimate.mean, estimate.low, estimate.high) == pytest.approx((fit.params[0], low, high))


def test_rows_of_weight_zero_are_not_there() -> None:
    assert mean_interval([0.2, 0.4, 0.9], [1, 1, 0]) == mean_interval([0.2, 0.4])


def test_uneven_weights_widen_the_interval_of_binary_scores() -> None:
    scores = [1.0, 0.0] * 10
    assert mean_interval(scores, [1, 1] * 9 + [9, 9]).half_width > mean_interval(scores).half_width


def test_one_graded_score_says_nothing_and_equal_ones_have_no_width() -> None:
    assert mean_interval([0.3]) == Estimate(0.3, 0.0, 1.0, 1)
    assert mean_interval([0.3, 0.3]) == Estimate(0.3, 0.3, 0.3, 2)


def test_a_perfect_score_is_still_uncertain() -> None:
    estimate = mean_interval([1.0] * 10)
    assert estimate.high == 1
    assert estimate.low == pytest.approx(0.7225, abs=1e-4)


@GENTLE
@given(score_lists)
def test_intervals_lie_in_bounds_around_the_mean(scores: list[float]) -> None:
    estimate = mean_interval(scores)
    assert -1e-12 <= estimate.low <= estimate.mean + 1e-12
    assert estimate.mean - 1e-12 <= estimate.high <= 1 + 1e-12


@pytest.mark.parametrize(
    ("scores", "weights"), [([], None), ([1.0], [0.0]), ([1.0], [-1.0]), ([math.nan], None), ([1.0, 0.5], [1.0])]
)
def test_a_mean_of_nothing_or_of_nonsense_is_refused(scores: list[float], weights: list[float] | None) -> None:
    with pytest.raises(ValueError, match=r"mean|weights|finite|shorter"):
        mean_interval(scores, weights)


# --- the difference -------------------------------------------------------------------------------------------------


def test_the_difference_gets_the_paired_t_interval() -> None:
    before, after = [0.1, 0.5, 0.4, 0.9, 0.3], [0.4, 0.5, 0.6, 0.8, 0.7]
    expected = scipy.stats.ttest_rel(after, before).confidence_interval(0.9)
    estimate = paired_difference(before, after, level=0.9)
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high))


def test_clusters_give_the_cluster_robust_interval() -> None:
    rng = np.random.default_rng(3)
    clusters = rng.integers(0, 9, 60)
    before, after = rng.random(60) / 2, np.clip(rng.random(60) / 2 + rng.random(9)[clusters] / 2, 0, 1)
    fit = statsmodels.api.OLS(after - before, np.ones(60)).fit(
        cov_type="cluster", cov_kwds={"groups": clusters, "df_correction": True}, use_t=True
    )
    low, high = fit.conf_int()[0]
    estimate = paired_difference(list(before), list(after), list(clusters))
    assert (estimate.mean, estimate.low, estimate.high) == pytest.approx((fit.params[0], low, high))


@GENTLE
@given(pairs_of_scores)
def test_clusters_of_one_row_change_nothing(pairs: list[tuple[float, float]]) -> None:
    before, after = [b for b, _ in pairs], [a for _, a in pairs]
    assert paired_difference(before, after, range(len(pairs))) == paired_difference(before, after)


@GENTLE
@given(pairs_of_scores)
def test_turning_the_comparison_round_mirrors_it(pairs: list[tuple[float, float]]) -> None:
    before, after = [b for b, _ in pairs], [a for _, a in pairs]
    there, back = paired_difference(before, after), paired_difference(after, before)
    assert (there.mean, there.low, there.high) == pytest.approx((-back.mean, -back.high, -back.low), abs=1e-9)


def test_one_row_or_one_cluster_says_nothing() -> None:
    assert paired_difference([0.0], [1.0]) == Estimate(1.0, -1.0, 1.0, 1)
    assert paired_difference([0.0, 0.5, 0.2], [1.0, 0.5, 0.1], ["a", "a", "a"]).low == -1


def test_equal_differences_have_no_width() -> None:
    assert paired_difference([0.0, 0.0], [0.0, 0.0]) == Estimate(0.0, 0.0, 0.0, 2)
    estimate = paired_difference([0.1, 0.2, 0.3], [0.4, 0.5, 0.6])
    assert estimate.half_width == 0
    assert estimate.mean == pytest.approx(0.3)


def test_clusters_that_cancel_out_claim_no_certainty() -> None:
    before, after = [0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 1.0, 0.0]
    assert paired_difference(before, after, ["a", "a", "b", "b"]) == paired_difference(before, after)
    assert paired_difference(before, after).half_width > 0.5


def test_a_difference_of_nothing_or_of_unequal_lengths_is_refused() -> None:
    for before, after in (([], []), ([1.0], [1.0, 0.0]), ([math.inf], [1.0])):
        with pytest.raises(ValueError, match=r"row|zip|finite"):
            paired_difference(before, after)
    with pytest.raises(ValueError, match="level"):
        paired_difference([0.0], [1.0], level=95)


# --- the test -------------------------------------------------------------------------------------------------------


@GENTLE
@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), max_size=80))
def test_binary_differences_get_mcnemars_exact_p(differences: list[float]) -> None:
    gains, losses = differences.count(1.0), differences.count(-1.0)
    expected = mcnemar([[0, gains], [losses, 0]], exact=True).pvalue if gains + losses else 1.0
    assert sign_flip_p(differences) == pytest.approx(expected)


@GENTLE
@given(st.lists(st.floats(-1, 1).filter(lambda d: d == 0 or abs(d) > 1e-6), min_size=1, max_size=9))
def test_few_differences_are_counted_out_in_full(differences: list[float]) -> None:
    total, slack = abs(math.fsum(differences)), 1e-9 * sum(map(abs, differences))
    flips = list(product((1, -1), repeat=len(differences)))
    reached = [abs(sum(s * d for s, d in zip(signs, differences, strict=True))) >= total - slack for signs in flips]
    assert sign_flip_p(differences) == pytest.approx(sum(reached) / len(flips))


def test_exact_counting_agrees_with_scipy() -> None:
    differences = [0.3, -0.1, 0.25, 0.4, 0.05, -0.2, 0.5]
    expected = scipy.stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    )
    assert sign_flip_p(differences) == pytest.approx(expected.pvalue)


def test_many_differences_are_drawn_and_come_close_to_the_t_test() -> None:
    rng = random.Random(5)
    differences = [rng.uniform(-0.4, 0.5) for _ in range(60)]
    p = sign_flip_p(differences, rng=random.Random(1))
    assert p == pytest.approx(scipy.stats.ttest_1samp(differences, 0).pvalue, abs=0.03)
    assert p == sign_flip_p(differences, rng=random.Random(1))
    assert p != sign_flip_p(differences, rng=random.Random(2))
    assert sign_flip_p(differences) == sign_flip_p(differences)


def test_drawing_takes_over_smoothly_from_counting() -> None:
    rng = random.Random(11)
    differences = [rng.uniform(-0.3, 0.6) for _ in range(EXACT_LIMIT)]
    exact = sign_flip_p(differences)
    drawn = sign_flip_p([*differences, 1e-7])  # one more, too small to matter
    assert drawn == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / DRAWS) + 1 / DRAWS)


def test_a_drawn_p_is_never_zero() -> None:
    assert sign_flip_p([0.5 + i / 1000 for i in range(100)]) == pytest.approx(1 / (DRAWS + 1))


def test_clusters_flip_together() -> None:
    differences = [1.0] * 12
    assert sign_flip_p(differences) == pytest.approx(2 / 2**12)
    assert sign_flip_p(differences, ["a"] * 4 + ["b"] * 4 + ["c"] * 4) == pytest.approx(2 / 2**3)
    assert sign_flip_p([1.0, -1.0, 0.5, -0.5], ["a", "a", "b", "b"]) == 1


def test_no_difference_at_all_proves_nothing() -> None:
    assert sign_flip_p([]) == 1
    assert sign_flip_p([0.0] * 30) == 1


# --- the verdict ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "p", "unchanged", "expected"),
    [
        (0.01, 0.3, 0.05, False, "better"),
        (0.01, 0.3, 0.051, False, "no proven gain"),
        (0.0, 0.3, 0.01, False, "no proven gain"),
        (-0.1, 0.3, 0.001, False, "no proven gain"),
        (-0.3, -0.01, 0.01, False, "worse"),
        (-0.3, -0.01, 0.2, False, "no proven gain"),
        (0.01, 0.3, 0.01, True, "unchanged"),
    ],
)
def test_the_verdict_needs_interval_and_test(low: float, high: float, p: float, unchanged: bool, expected: str) -> None:
    assert verdict(Estimate((low + high) / 2, low, high, 50), p, unchanged) == expected


def test_two_lucky_rows_prove_nothing() -> None:
    delta = paired_difference([0.0, 0.0], [1.0, 1.0])
    assert delta.low == 1
    assert verdict(delta, sign_flip_p([1.0, 1.0]), unchanged=False) == "no proven gain"


def test_noise_measures_what_two_answers_disagree_on() -> None:
    assert noise([1, 0, 1, 0], [1, 1, 0, 0]) == 0.5
    assert noise([], []) == 0


# --- simulation: do the promises hold? ------------------------------------------------------------------------------
# Bounds are wide: with 300 trials a true 95 % shows as 95 ± 2.5 (two standard errors), and 2.5 % as 2.5 ± 1.8.

TRIALS = 300


def test_wilsons_interval_covers_the_truth_near_its_level() -> None:
    rng = random.Random(1)
    covered = 0
    for _ in range(TRIALS):
        truth = rng.uniform(0.05, 0.95)
        estimate = mean_interval([float(rng.random() < truth) for _ in range(30)])
        covered += estimate.low <= truth <= estimate.high
    assert 0.91 <= covered / TRIALS <= 0.99


def test_the_paired_interval_covers_the_truth_near_its_level() -> None:
    rng = random.Random(2)
    covered = 0
    for _ in range(TRIALS):
        before = [float(rng.random() < 0.5) for _ in range(60)]
        after = [score if rng.random() < 0.6 else float(rng.random() < 0.7) for score in before]
        estimate = paired_difference(before, after)
        covered += estimate.low <= 0.4 * (0.7 - 0.5) <= estimate.high
    assert 0.91 <= covered / TRIALS <= 0.99


def clustered_differences(rng: random.Random, groups: int) -> tuple[list[float], list[int]]:
    """Differences in [-1, 1] about 0 that mostly follow their cluster: five rows in each."""
    differences, clusters = [], []
    for group in range(groups):
        effect = rng.uniform(-0.5, 0.5)
        differences += [effect + rng.uniform(-0.3, 0.3) for _ in range(5)]
        clusters += [group] * 5
    return differences, clusters


def test_clustered_rows_need_the_clustered_interval() -> None:
    rng = random.Random(3)
    robust = naive = 0
    for _ in range(TRIALS):
        differences, clusters = clustered_differences(rng, 25)
        zeros = [0.0] * len(differences)
        estimates = paired_difference(zeros, differences, clusters), paired_difference(zeros, differences)
        robust += estimates[0].low <= 0 <= estimates[0].high
        naive += estimates[1].low <= 0 <= estimates[1].high
    assert 0.91 <= robust / TRIALS <= 0.99
    assert naive / TRIALS < 0.85


@pytest.mark.parametrize("kind", ["binary", "graded", "clustered"])
def test_edits_that_change_nothing_are_rarely_called_better(kind: str) -> None:
    rng = random.Random(4)
    claims = {"better": 0, "worse": 0, "no proven gain": 0, "unchanged": 0, "untested": 0}
    for _ in range(TRIALS):
        clusters: list[int] | None = None
        if kind == "clustered":
            differences, clusters = clustered_differences(rng, 12)
        elif kind == "graded":
            differences = [rng.random() - rng.random() for _ in range(40)]
        else:
            differences = [float(rng.choice((-1, 0, 0, 1))) for _ in range(40)]
        delta = paired_difference([0.0] * len(differences), differences, clusters)
        claims[verdict(delta, sign_flip_p(differences, clusters, rng), unchanged=False)] += 1
    assert claims["better"] / TRIALS <= 0.05
    assert claims["worse"] / TRIALS <= 0.05


def test_a_real_gain_is_mostly_found() -> None:
    rng = random.Random(6)
    found = 0
    for _ in range(100):
        differences = [float(rng.random() < 0.25) - float(rng.random() < 0.05) for _ in range(80)]
        delta = paired_difference([0.0] * 80, differences)
        found += verdict(delta, sign_flip_p(differences, rng=rng), unchanged=False) == "better"
    assert found >= 80


def test_the_interval_of_clustered_scores_holds_the_truth_as_often_as_it_says() -> None:
    rng, held, plain = random.Random(4), 0, 0
    for _ in range(400):
        rates = [rng.betavariate(0.5, 0.5) for _ in range(20) for _ in range(5)]
        rates = [rates[place - place % 5] for place in range(100)]
        scores = [float(rng.random() < rate) for rate in rates]
        estimate = clustered_mean(scores, [place // 5 for place in range(100)])
        held += estimate.low <= 0.5 <= estimate.high
        plain += mean_interval(scores).low <= 0.5 <= mean_interval(scores).high
    assert held >= 0.92 * 400
    assert plain < 0.85 * 400, "the clusters make no difference here, so that nothing is proved"


def test_clusters_that_agree_prove_no_more_than_their_number_and_one_cluster_nothing() -> None:
    assert clustered_mean([1.0] * 40, [place // 10 for place in range(40)]) == Estimate(
        1.0, mean_interval([1.0] * 4).low, 1.0, 40
    )
    assert clustered_mean([1.0, 0.0, 1.0], ["a"] * 3) == Estimate(2 / 3, 0.0, 1.0, 3)


def test_scores_whose_clusters_cancel_out_are_told_as_rows_and_without_clusters_nothing_changes() -> None:
    scores = [0.2, 0.8, 0.3, 0.7]
    assert clustered_mean(scores, "aabb") == mean_interval(scores)
    assert clustered_mean(scores, "abcd") == clustered_mean(scores) == mean_interval(scores)
    binary = clustered_mean([1, 0, 1, 0], "aabb")
    assert binary.low <= mean_interval([1, 0, 1, 0]).low
    assert clustered_mean([0.5] * 4, "aabb") == Estimate(0.5, 0.5, 0.5, 4)
