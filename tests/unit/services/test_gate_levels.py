"""A sample of the campaign of gates, through the gate that the command runs: levels are kept, told power is met."""

from __future__ import annotations

import numpy as np
import pytest
from gate_world import Setting, measured, plainly_checked

CHECKS = 200
pytestmark = pytest.mark.no_cover  # thousands of simulated checks: what they run has tests of its own


@pytest.mark.parametrize(("difficulty", "cluster"), [("easy", 1), ("hard", 5)])
def test_an_equal_candidate_seldom_fails(difficulty: str, cluster: int) -> None:
    one = measured(Setting((1, 3, 5), 100, cluster, difficulty, 0.0), CHECKS)
    assert one.level_is_kept, one.line
    assert one.passes > 0.5


@pytest.mark.parametrize(
    ("difficulty", "cluster", "drop"), [("mixed", 1, 0.05), ("easy", 5, 0.05), ("hard", 1, 0.1)]
)  # fmt: skip
def test_a_drop_fails_as_often_as_is_told_beforehand(difficulty: str, cluster: int, drop: float) -> None:
    one = measured(Setting((1, 3, 5), 100, cluster, difficulty, drop), CHECKS)
    assert one.told_is_met, one.line
    assert one.passes <= 0.12


def test_the_plain_gate_is_the_t_test_at_a_share_of_alpha() -> None:
    setting = Setting((1, 3, 5), 100, 1, "mixed", 0.0)
    same = np.tile(np.array([0, 1], dtype=np.int64), (100, 5))[:, :5]
    assert plainly_checked(same, same, setting) == ("PASS", 1)
    assert plainly_checked(same, np.zeros_like(same), Setting((2, 3), 100, 1, "mixed", 0.0))[0] == "FAIL"


@pytest.mark.parametrize("drop", [0.0, 0.05])
def test_a_stored_baseline_keeps_the_level_and_the_power_that_is_told(drop: float) -> None:
    one = measured(Setting((1, 3, 5), 100, 1, "mixed", drop, stored=5), CHECKS)
    assert one.told_is_met, one.line
    assert drop or one.level_is_kept, one.line
