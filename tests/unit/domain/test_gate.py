"""The gate's verdicts: what is surely worse fails, what is surely not passes, and the rest is said to be open."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptprop.domain.gate import GateRule, Look, look_at

RULE = GateRule()


def test_a_candidate_that_is_plainly_worse_fails_and_one_that_is_as_good_passes_at_the_first_look() -> None:
    assert look_at([-1.0] * 30 + [0.0] * 70, RULE).verdict == "FAIL"
    assert look_at([0.0] * 400, RULE).verdict == "PASS"
    assert look_at([1.0] * 30 + [0.0] * 70, RULE).verdict == "PASS"
    assert look_at([-1.0, 1.0] * 20 + [0.0] * 60, RULE).verdict == "INCONCLUSIVE"


def test_a_few_rows_that_all_agree_prove_nothing() -> None:
    assert look_at([0.0] * 58, GateRule(replicates=(10,))).verdict == "INCONCLUSIVE"
    assert look_at([0.0] * 59, GateRule(replicates=(10,))).verdict == "PASS"
    assert look_at([-1.0] * 2 + [0.0] * 98, RULE).verdict == "INCONCLUSIVE"
    assert look_at([-1.0], RULE).verdict == "INCONCLUSIVE"


def test_one_cluster_says_nothing_and_rows_of_few_clusters_say_less() -> None:
    drops = ([-1.0] * 5 + [0.0] * 5) * 6
    assert look_at(drops, RULE, clusters=["one"] * 60).verdict == "INCONCLUSIVE"
    alone = look_at(drops, RULE)
    few = look_at(sorted(drops), RULE, clusters=[place // 15 for place in range(60)])
    assert (alone.clusters, few.clusters) == (60, 4)
    assert few.upper - few.mean > 2 * (alone.upper - alone.mean)


def test_beyond_the_margin_only_a_drop_larger_than_it_fails() -> None:
    differences = [-1.0] * 8 + [0.0] * 92
    assert look_at(differences, GateRule(margin=0.2)).verdict == "FAIL"
    assert look_at(differences, GateRule(margin=0.2, fail_when="beyond_margin")).verdict == "PASS"
    assert look_at([-1.0] * 40 + [0.0] * 60, GateRule(margin=0.2, fail_when="beyond_margin")).verdict == "FAIL"


def test_differences_of_other_things_than_scores_have_bounds_beyond_one_and_no_broken_rows() -> None:
    room = [-4.0] * 40 + [-2.0] * 40
    assert look_at(room, RULE, scores=False).upper < -1
    assert look_at([0.2] * 10, GateRule(replicates=(1,)), scores=False).verdict == "PASS"
    assert look_at([0.2] * 10, GateRule(replicates=(1,))).verdict == "INCONCLUSIVE"


def test_rows_that_answer_always_the_same_are_not_taken_for_more_as_they_are_asked_again() -> None:
    looks = list[Look]()
    for _ in RULE.replicates:
        looks.append(look_at([-1.0] * 3 + [0.0] * 97, RULE, looks))
    assert [look.verdict for look in looks] == ["INCONCLUSIVE"] * 3
    assert len({look.error for look in looks}) == 1


def test_a_share_of_the_level_asks_for_more() -> None:
    whole, half = look_at([-0.1, 0.0] * 50, RULE), look_at([-0.1, 0.0] * 50, RULE, share=0.5)
    assert half.critical > whole.critical
    assert half.upper > whole.upper


@pytest.mark.parametrize(
    "changes",
    [{"margin": -0.1}, {"margin": 1.0}, {"alpha": 0.0}, {"alpha": 0.5}, {"replicates": ()},
     {"replicates": (3, 1)}, {"replicates": (0, 1)}, {"replicates": (1, 1)}],
)  # fmt: skip
def test_a_rule_that_promises_nothing_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"margin|replicates"):
        GateRule(**changes)  # type: ignore[arg-type]


@given(st.lists(st.integers(1, 20), min_size=1, max_size=6, unique=True).map(sorted))
def test_all_of_the_level_is_spent_at_the_last_look_and_never_more(replicates: list[int]) -> None:
    rule = GateRule(replicates=tuple(replicates))
    spent = [rule.spent(look) for look in range(1, len(replicates) + 1)]
    assert spent[-1] == 1
    assert all(0 < one < other for one, other in pairwise(spent))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=50), st.integers(1, 5))
def test_a_look_has_its_bounds_around_its_mean_and_turns_with_its_rows(
    differences: list[float], replicates: int
) -> None:
    rule = GateRule(replicates=(replicates,))
    look, turned = look_at(differences, rule), look_at([-value for value in differences], rule)
    assert look.lower <= look.mean <= look.upper
    assert look.error > 0
    assert turned.mean == pytest.approx(-look.mean)
    assert turned.error == pytest.approx(look.error)


def trial(rng: random.Random, rows: int, drop: float, rule: GateRule) -> Look:
    """One gate over rows of mixed difficulty, with binary scores."""
    means = [rng.betavariate(1.2, 0.6) for _ in range(rows)]
    rate = drop * 1.8 / 1.2
    totals = [0.0] * rows
    done, looks = 0, list[Look]()
    for replicates in rule.replicates:
        for place, mean in enumerate(means):
            for _ in range(replicates - done):
                totals[place] += (rng.random() < mean * (1 - rate)) - (rng.random() < mean)
        done = replicates
        looks.append(look_at([total / done for total in totals], rule, looks))
        if looks[-1].verdict != "INCONCLUSIVE":
            break
    return looks[-1]


@pytest.mark.parametrize(("drop", "low", "high"), [(0.0, 0.0, 0.11), (0.1, 0.9, 1.0)])
def test_a_sample_of_the_campaign_of_gates_keeps_its_level_and_has_its_power(
    drop: float, low: float, high: float
) -> None:
    rng = random.Random(11)
    fails = sum(trial(rng, 120, drop, RULE).verdict == "FAIL" for _ in range(120)) / 120
    assert low <= fails <= high
