"""What the next round is expected to gain."""

from __future__ import annotations

import pytest
from fake_bench import FakeBench, FakeWorld, fake_brief, of_kind, run_fake
from hypothesis import given
from hypothesis import strategies as st

from promptprop.domain.events import RoundEnded, SearchEnded
from promptprop.optimizers.pace import LEAST_ROUNDS, WINDOW, Pace

ROUNDS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 500)), max_size=30)


def test_too_few_rounds_say_nothing() -> None:
    assert Pace([(0.0, 100)] * (LEAST_ROUNDS - 1)).expected(0.5) == float("inf")


@given(ROUNDS, st.floats(0, 1))
def test_no_more_is_expected_than_what_still_fails(rounds: list[tuple[float, int]], failing: float) -> None:
    expected = Pace(rounds).expected(failing)
    if len(rounds) >= LEAST_ROUNDS:
        assert 0 <= expected <= 1000 * failing
    assert Pace(rounds).expected(failing) <= Pace(rounds).expected(1.0)


def test_idle_rounds_lower_it_and_dear_ones_too() -> None:
    pace, seen = Pace(), []
    pace.note(0.2, 60)
    for _ in range(WINDOW + 3):
        pace.note(0.0, 60)
        seen.append(pace.expected(0.4))
    judged = [one for one in seen if one < float("inf")]
    assert judged[:-3] == sorted(judged[:-3], reverse=True)
    assert judged[-1] == judged[-2] == pytest.approx(1000 * (1 / 10) * 0.2 / 60)
    assert Pace([(0.1, 200)] * 4).expected(0.4) == pytest.approx(Pace([(0.1, 100)] * 4).expected(0.4) / 2)


def test_a_round_that_lost_gains_nothing() -> None:
    pace = Pace()
    pace.note(-0.3, 10)
    assert pace.rounds == [(0.0, 10)]


async def test_a_search_ends_once_more_rows_are_not_worth_their_gain() -> None:
    world = FakeWorld(rules=6, noise=0.2, luck=0.2)
    options = {"patience": 50, "rounds": 50}
    events = await run_fake("backprop", fake_brief(), FakeBench(world), {**options, "least_gain": 5.0})
    assert of_kind(events, SearchEnded)[0].reason == "expected value"
    assert LEAST_ROUNDS <= len(of_kind(events, RoundEnded)) < 50
    free = await run_fake("backprop", fake_brief(), FakeBench(world), {**options, "least_gain": 0.0})
    assert of_kind(free, SearchEnded)[0].reason != "expected value"
    assert len(of_kind(free, RoundEnded)) > len(of_kind(events, RoundEnded))
