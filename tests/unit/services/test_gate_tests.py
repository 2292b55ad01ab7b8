"""Tests of a gate: metrics that decide, guards that can only fail, and Holm's procedure over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.domain.gate import GateRule
from promptprop.domain.models import Evaluation, Failure, Judgement, Row
from promptprop.services.gate_tests import EFFORTS, GateTest, Guard, decide, paired, value_of

RULE = GateRule(replicates=(1, 3))
ROWS = [Row(f"r{n}", "s", f"r{n}") for n in range(60)]


def side(
    scores: Sequence[float], usd: float | None = 1.0, seconds: float = 1.0, length: int = 10
) -> dict[str, list[Evaluation]]:
    """One answer to each row."""
    return {
        f"r{n}": [
            Evaluation(
                "c", f"r{n}", 0, "x" * length, (), {"label": Judgement(score), "form": Judgement(1.0)}, score,
                picousd=None if usd is None else round(usd * 10**6), latency=seconds,
            )
        ]
        for n, score in enumerate(scores)
    }  # fmt: skip


EVEN = [float(n % 2) for n in range(60)]


def looked(test: GateTest, before: dict[str, list[Evaluation]], after: dict[str, list[Evaluation]]) -> GateTest:
    test.look(before, after, ROWS, RULE)
    return test


@pytest.mark.parametrize(
    ("name", "changes"), [("cost", {"usd": 1.3}), ("latency", {"seconds": 1.3}), ("length", {"length": 13})]
)
def test_an_effort_that_grows_beyond_its_share_fails_and_within_it_does_not(
    name: str, changes: dict[str, float]
) -> None:
    before, after = side(EVEN), side(EVEN, **changes)  # type: ignore[arg-type]
    beyond = looked(GateTest(name, 1, Guard(name, 0.2)), before, after)
    assert decide([beyond], RULE.margin) == "FAIL"
    told = beyond.as_json()
    assert told["mean"] == pytest.approx(0.3)
    assert 0.2 < told["lower"] <= 0.3 < told["upper"] < 0.4
    assert (told["worse"], told["guard"], told["relative"], told["limit"]) == (True, True, True, 0.2)
    within = looked(GateTest(name, 1, Guard(name, 0.5)), before, after)
    assert decide([within], RULE.margin) == "PASS"
    assert within.as_json()["worse"] is False


def test_an_effort_that_shrinks_never_fails_and_one_from_nothing_to_something_does() -> None:
    assert decide([looked(GateTest("cost", 1, Guard("cost", 0.0)), side(EVEN), side(EVEN, usd=0.5))], 0.05) == "PASS"
    assert (
        decide([looked(GateTest("cost", 1, Guard("cost", 0.2)), side(EVEN, usd=0), side(EVEN, usd=1))], 0.05) == "FAIL"
    )
    nothing = looked(GateTest("cost", 1, Guard("cost", 0.2)), side(EVEN, usd=0), side(EVEN, usd=0))
    assert nothing.as_json()["mean"] == pytest.approx(0)


def test_what_is_not_known_of_any_row_decides_nothing_and_says_so() -> None:
    unknown = looked(GateTest("cost", 1, Guard("cost", 0.2)), side(EVEN, usd=None), side(EVEN))
    assert unknown.as_json() == {"rows": 0, "worse": False, "guard": True, "relative": True, "limit": 0.2}
    assert decide([unknown], 0.05) == "PASS", "a guard need not be proven"
    lacking = looked(GateTest("nothing", 1), side(EVEN), side(EVEN))
    assert decide([lacking], 0.05) == "INCONCLUSIVE"


def test_a_guarded_metric_may_fall_by_its_limit_and_no_more() -> None:
    after = [score if n % 3 else 0.0 for n, score in enumerate(EVEN)]
    fallen = looked(GateTest("label", 1, Guard("label", 0.02)), side(EVEN), side(after))
    assert decide([fallen], 0.05) == "FAIL"
    assert fallen.as_json()["mean"] == pytest.approx(-1 / 6)
    assert decide([looked(GateTest("label", 1, Guard("label", 0.3)), side(EVEN), side(after))], 0.05) == "PASS"


def test_a_gate_that_fails_beyond_the_margin_still_guards_at_the_guards_own_limit() -> None:
    rule = GateRule(replicates=(1,), fail_when="beyond_margin", margin=0.3)
    test = GateTest("cost", 1, Guard("cost", 0.2))
    test.look(side(EVEN), side(EVEN, usd=1.4), ROWS, rule)
    assert decide([test], rule.margin) == "FAIL"


def test_of_several_tests_the_worst_is_held_to_its_share_of_the_level_and_the_next_to_what_is_left() -> None:
    """Holm: 60 rows of which some turn from 1 to 0; the second one is worse only once the first one is."""
    ones = [1.0] * 60

    def lost(count: int) -> list[float]:
        return [0.0] * count + [1.0] * (60 - count)

    def verdicts(first: int, second: int) -> list[tuple[str, bool, bool]]:
        tests = [GateTest("score", 2), GateTest("label", 2)]
        after = side(lost(first))
        mixed = {
            name: [replace(one, judgements={"label": Judgement(score)}) for one in found]
            for (name, found), score in zip(after.items(), lost(second), strict=True)
        }
        for test in tests:
            test.look(side(ones), mixed, ROWS, GateRule(replicates=(1,)))
        return [(decide(tests, 0.05), tests[0].worse, tests[1].worse)]

    alone = next(count for count in range(1, 60) if verdicts(0, count)[0][2])  # at half of the level
    whole = next(count for count in range(1, 60) if decide([looked_once(lost(count), ones)], 0.05) == "FAIL")
    assert whole < alone, "else the rows cannot tell Holm's second step from his first"
    assert verdicts(0, whole) == [("INCONCLUSIVE", False, False)]
    assert verdicts(40, whole) == [("FAIL", True, True)]


def looked_once(after: Sequence[float], before: Sequence[float]) -> GateTest:
    test = GateTest("score", 1)
    test.look(side(before), side(after), ROWS, GateRule(replicates=(1,)))
    return test


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=2, max_size=60))
def test_no_pass_and_no_fail_is_told_of_what_more_tests_would_not(pairs: list[tuple[int, int]]) -> None:
    """More tests make a single one harder to fail, and never easier."""
    before = side([float(one) for one, _ in pairs])
    after = side([float(other) for _, other in pairs])
    rows = ROWS[: len(pairs)]
    single, shared = GateTest("score", 1), GateTest("score", 3)
    for test in (single, shared):
        test.look(before, after, rows, RULE)
    assert single.fails(1) == shared.fails(1)
    assert shared.fails(3) <= shared.fails(2) <= shared.fails(1)


def test_values_of_broken_answers_are_not_counted_and_rows_are_paired() -> None:
    broken = replace(side([1.0])["r0"][0], error=Failure("call_timed_out", "late"))
    assert value_of(broken, "score") is None
    assert Guard("latency", 0.1).value(broken) is None
    assert Guard("label", 0.1).value(side([0.5])["r0"][0]) == 0.5
    kept, old, new = paired(
        {"r0": [broken], "r1": side([0, 1])["r1"]}, side([1, 1]), ROWS[:2], lambda one: value_of(one, "score")
    )
    assert ([row.id for row in kept], old, new) == (["r1"], [1.0], [1.0])
    assert set(EFFORTS) == {"cost", "latency", "length"}
