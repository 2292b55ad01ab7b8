"""Power, told beforehand: noise is found where it is, and what is printed is what trials come to."""

from __future__ import annotations

import random

import pytest

from promptprop.domain.gate import GateRule
from promptprop.domain.power import ASSUMED_WITHIN, Noise, chances_of, noise_of, smallest_drop

RULE = GateRule()


def answers(rows: int, replicates: int, seed: int = 1) -> list[list[float]]:
    rng = random.Random(seed)
    means = [rng.betavariate(2, 1) for _ in range(rows)]
    return [[float(rng.random() < mean) for _ in range(replicates)] for mean in means]


def test_the_variance_within_and_between_rows_is_found() -> None:
    noise = noise_of(answers(4000, 3))
    assert noise.mean == pytest.approx(2 / 3, abs=0.02)
    assert noise.within == pytest.approx(1 / 6, abs=0.01)  # E p(1−p) of beta(2, 1)
    assert noise.between == pytest.approx(1 / 18, abs=0.01)  # its variance
    assert (noise.binary, noise.assumed) == (True, False)
    assert noise.after(0.0) == pytest.approx(noise.within, abs=0.002)
    assert noise.after(0.3) > noise.within


def test_rows_that_share_a_cluster_are_found_to_share_their_means() -> None:
    rng = random.Random(2)
    scores, clusters = [], []
    for cluster in range(800):
        mean = rng.betavariate(2, 1)
        for _ in range(4):
            scores.append([float(rng.random() < mean) for _ in range(2)])
            clusters.append(cluster)
    noise = noise_of(scores, clusters)
    assert noise.shared == pytest.approx(1 / 18, abs=0.012)
    assert noise_of(scores, list(range(len(scores)))).shared == 0


@pytest.mark.parametrize("scores", [[], [[1.0]], [[1.0], [0.0], [1.0, 0.0]]])
def test_with_one_answer_a_row_noise_is_assumed_and_says_so(scores: list[list[float]]) -> None:
    noise = noise_of(scores)
    assert noise.assumed
    assert noise.within == noise.after(0.1) == ASSUMED_WITHIN


def test_scores_between_0_and_1_vary_after_a_drop_as_before() -> None:
    noise = noise_of([[0.2, 0.4], [0.5, 0.7], [0.9, 0.8]])
    assert not noise.binary
    assert noise.after(0.2) == noise.within


def test_more_rows_more_replicates_and_larger_drops_are_seen_better() -> None:
    noise = noise_of(answers(300, 3))
    power = {rows: chances_of(noise, RULE, rows, 0.05).fails for rows in (50, 200, 800)}
    assert power[50] < power[200] < power[800]
    more = chances_of(noise, GateRule(replicates=(1, 3, 10)), 200, 0.05).fails
    assert more > power[200]
    assert chances_of(noise, RULE, 200, 0.1).fails > power[200]
    assert chances_of(noise, RULE, 200, 0.0).fails == pytest.approx(0.045, abs=0.01)


def test_rows_in_clusters_see_less_where_clusters_share_their_means() -> None:
    noise = Noise(0.6, 0.1, 0.15, 0.15, binary=True, assumed=False)
    alone = chances_of(noise, RULE, 200, 0.1).fails
    assert chances_of(noise, RULE, 200, 0.1, [20] * 10).fails < alone


def test_few_clusters_see_less_than_as_many_rows_in_more_of_them_and_unequal_ones_still_less() -> None:
    noise = Noise(0.8, 0.1, 0.05, 0.0, binary=True, assumed=False)
    sizes = [[1] * 100, [5] * 20, [25] * 4, [4, 16, 30, 50]]
    power = [chances_of(noise, RULE, 100, 0.1, clusters).fails for clusters in sizes]
    assert power == sorted(power, reverse=True)
    assert power[0] - power[3] > 0.1
    assert chances_of(noise, RULE, 100, 0.1, [100]).fails < 1e-9


def test_a_stored_baseline_shows_more_at_the_first_looks_and_nothing_new_at_the_last() -> None:
    noise = noise_of(answers(300, 3))
    asked, held = (chances_of(noise, RULE, 200, 0.05, (), stored).ends[0] for stored in (0, 5))
    assert held > asked + 0.02
    one_look = GateRule(replicates=(5,))
    assert chances_of(noise, one_look, 200, 0.05, (), 5) == chances_of(noise, one_look, 200, 0.05)
    less = smallest_drop(noise, RULE, 200, 0.8, (), 5), smallest_drop(noise, RULE, 200, 0.8)
    assert less[0] is not None
    assert less[1] is not None
    assert less[0] < less[1]


def test_as_good_a_candidate_is_told_to_pass_only_on_rows_that_would_show_broken_ones() -> None:
    silent = Noise(0.8, 0.0, 0.16, 0.0, binary=True, assumed=False)
    few, enough = (chances_of(silent, GateRule(replicates=(5,)), rows, 0.0).passes for rows in (50, 60))
    assert (round(few, 6), round(enough, 6)) == (0.0, 1.0)


def test_the_smallest_drop_is_seen_with_the_power_asked_for_and_none_where_none_is() -> None:
    noise = noise_of(answers(300, 3))
    drop = smallest_drop(noise, RULE, 200, 0.8)
    assert drop is not None
    assert chances_of(noise, RULE, 200, drop).fails == pytest.approx(0.8, abs=0.01)
    assert smallest_drop(noise, RULE, 3, 0.99) is None
    with pytest.raises(ValueError, match="at least one row"):
        chances_of(noise, RULE, 0, 0.1)
