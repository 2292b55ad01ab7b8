"""The gate's verdicts: what is surely worse fails, what is surely not passes, and the rest is said to be open."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

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


@pytest.mark.parametrize("rows", [10, 15, 20, 40, 60])
def test_one_answer_of_0_or_1_keeps_both_levels_nearly_by_exact_count(rows: int) -> None:
    """All tables of rows that were won and lost, with their chances: what an exact test (McNemar's) would hold."""
    tables = [(won, lost) for won in range(rows + 1) for lost in range(rows + 1 - won)]
    ends = [
        look_at([1.0] * won + [-1.0] * lost + [0.0] * (rows - won - lost), GateRule(replicates=(1,))).verdict
        for won, lost in tables
    ]

    def chance(verdict: str, won: float, lost: float) -> float:
        cells = [(up, down, rows - up - down) for (up, down), end in zip(tables, ends, strict=True) if end == verdict]
        return float(stats.multinomial.pmf(cells, rows, [won, lost, 1 - won - lost]).sum()) if cells else 0.0

    fails = {share / 100: chance("FAIL", share / 100, share / 100) for share in range(1, 50)}
    assert max(fails[share] for share in fails if share <= 0.25) <= 0.05
    assert max(fails.values()) <= 0.056, "where nearly all rows change"
    assert max(chance("PASS", share / 100, share / 100 + 0.05) for share in range(47)) <= 0.07
