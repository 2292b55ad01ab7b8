"""Boundaries of several looks: they keep their level, and a plan's chances are those that trials have."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptprop.domain.sequential import NOWHERE, Boundary, chances, crossing

NEVER = -100.0  # a margin with which no look passes
INFORMATIONS = (400.0, 900.0, 1400.0)
SPENT = (0.0095, 0.0175, 0.023)


def boundaries(informations: tuple[float, ...] = INFORMATIONS, spent: tuple[float, ...] = SPENT) -> list[float]:
    looks: list[Boundary] = []
    for information, chance in zip(informations, spent, strict=True):
        looks.append(Boundary(information, crossing(looks, information, chance)))
    return [look.critical for look in looks]


def test_the_boundaries_of_published_designs_are_met() -> None:
    """Pocock's constant for five looks at 0.05, two-sided (Jennison & Turnbull 2000, table 2.1): 2.413, one tail."""
    pocock = 2.413
    looks = [Boundary(float(place), pocock) for place in range(1, 5)]
    rates = [chances([1.0, 2.0, 3.0, 4.0, 5.0], [pocock] * 5, 0.0, NEVER).fails]
    assert rates[0] == pytest.approx(0.025, abs=0.0008)
    spent_before = chances([1.0, 2.0, 3.0, 4.0], [pocock] * 4, 0.0, NEVER).fails
    assert crossing(looks, 5.0, rates[0] - spent_before) == pytest.approx(pocock, abs=0.005)


def test_what_was_spent_at_each_look_is_what_crosses_there() -> None:
    criticals = boundaries()
    found = chances(INFORMATIONS, criticals, 0.0, NEVER)
    assert found.fails == pytest.approx(sum(SPENT), abs=3e-4)
    assert found.ends[0] == pytest.approx(SPENT[0], abs=1e-4)
    assert found.ends[1] == pytest.approx(SPENT[1], abs=2e-4)


@pytest.mark.parametrize("effect", [0.0, -0.03, -0.05, -0.1])
def test_the_chances_of_a_plan_are_those_of_trials(effect: float) -> None:
    criticals = boundaries()
    found = chances(INFORMATIONS, criticals, effect, 0.05)
    rng = random.Random(5)
    trials, fails, passes = 20_000, 0, 0
    for _ in range(trials):
        total = before = 0.0
        for information, critical in zip(INFORMATIONS, criticals, strict=True):
            gained = information - before
            total += rng.gauss(effect * gained, math.sqrt(gained))
            before = information
            error = 1 / math.sqrt(information)
            if total / information < -critical * error:
                fails += 1
                break
            if total / information > -0.05 + critical * error:
                passes += 1
                break
    assert found.fails == pytest.approx(fails / trials, abs=0.012)
    assert found.passes == pytest.approx(passes / trials, abs=0.012)
    assert found.fails + found.passes + found.open == pytest.approx(1.0, abs=2e-3)


def test_a_look_that_may_spend_nothing_is_crossed_by_nothing() -> None:
    assert crossing([], 1.0, 0.0) == NOWHERE
    assert crossing([Boundary(1.0, 2.0)], 2.0, 0.0) == NOWHERE


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(0.5, 50), min_size=1, max_size=4),
    st.floats(0.001, 0.1),
)
def test_boundaries_are_finite_whatever_looks_know_and_grow_as_less_may_be_spent(
    gains: list[float], level: float
) -> None:
    looks: list[Boundary] = []
    information = 0.0
    for gain in gains:
        information += gain
        looks.append(Boundary(information, crossing(looks, information, level / len(gains))))
    assert all(0 < look.critical < NOWHERE for look in looks)
    assert looks[0].critical < crossing([], 1.0, level / len(gains) / 2)


def test_a_look_that_knows_no_more_than_the_one_before_is_no_error() -> None:
    looks = [Boundary(100.0, 2.0)]
    assert 0 < crossing(looks, 90.0, 0.02) < NOWHERE
    assert chances([100.0, 90.0], [2.0, 2.0], 0.0, 0.05).fails < 0.06
