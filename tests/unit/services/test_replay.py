"""Where a run stands against its record."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from promptprop.domain.errors import ReplayDiverged
from promptprop.domain.events import (
    CapRaised,
    ErrorsRetried,
    Event,
    RoundStarted,
    RunResumed,
    RunStarted,
    RunStopped,
    SearchEnded,
    StoredEvent,
)
from promptprop.services.replay import Replay

STARTED = RunStarted("n", "optimize", "backprop", 7, {}, {}, {}, simulated=True)


def record(*events: Event) -> list[StoredEvent]:
    at = datetime(2026, 1, 2, tzinfo=timezone.utc)
    return [StoredEvent("run", number, at, event) for number, event in enumerate(events, start=1)]


def round_of(number: int) -> RoundStarted:
    return RoundStarted(number, "abc", "best")


def test_a_fresh_run_is_live_from_the_start() -> None:
    replay = Replay([])
    assert replay.live
    assert replay.meet(round_of(1)) is None
    assert replay.position == 1


def test_recorded_decisions_are_met_in_order_and_then_the_run_is_live() -> None:
    stored = record(STARTED, round_of(1), RunStopped("interrupted"), RunResumed(), round_of(2))
    replay = Replay(stored)
    assert replay.meet(round_of(1)) is stored[1]
    assert not replay.live
    assert replay.meet(round_of(2)) is stored[4]
    assert replay.live
    assert replay.meet(round_of(3)) is None


def test_the_first_difference_is_named() -> None:
    replay = Replay(record(STARTED, round_of(1)))
    with pytest.raises(ReplayDiverged, match=r"event 2: round_started\.round was 1, is 2"):
        replay.meet(round_of(2))


def test_another_kind_of_decision_is_a_difference() -> None:
    replay = Replay(record(STARTED, round_of(1)))
    with pytest.raises(ReplayDiverged, match="the record says round_started, the replay search_ended"):
        replay.meet(SearchEnded("rounds", 1, 3))


def test_a_cap_takes_effect_once_at_its_place_and_not_before() -> None:
    stored = record(STARTED, round_of(1), RunStopped("budget"), RunResumed(), CapRaised({"calls": 9}), round_of(2))
    replay = Replay(stored)
    assert replay.take_caps() is None
    replay.meet(round_of(1))
    assert replay.take_caps() == {"calls": 9}
    assert replay.take_caps() is None


def test_caps_that_met_no_barrier_at_their_place_are_taken_later_and_the_last_of_a_kind_holds() -> None:
    stored = record(STARTED, round_of(1), CapRaised({"calls": 9}), CapRaised({"usd": "1", "calls": 4}), round_of(2))
    replay = Replay(stored)
    replay.meet(round_of(1))
    replay.meet(round_of(2))
    assert replay.take_caps() == {"calls": 4, "usd": "1"}


def test_an_intervention_of_now_belongs_to_the_end_of_the_record() -> None:
    replay = Replay(record(STARTED, round_of(1)))
    replay.add_intervention(CapRaised({"calls": 9}))
    assert replay.take_caps() is None
    replay.meet(round_of(1))
    assert replay.take_caps() == {"calls": 9}


def test_retries_of_errors_take_effect_at_their_place() -> None:
    stored = record(STARTED, round_of(1), ErrorsRetried(), round_of(2), ErrorsRetried())
    replay = Replay(stored)
    assert replay.generation == 0
    replay.meet(round_of(1))
    assert replay.generation == 1
    replay.meet(round_of(2))
    assert replay.generation == 2


def test_while_replaying_the_record_says_where_the_deadline_was() -> None:
    replay = Replay(record(STARTED, round_of(1), SearchEnded("seconds", 1, 5)))
    assert replay.deadline_met(4) is False
    assert replay.deadline_met(5) is True
    replay.meet(round_of(1))
    replay.meet(SearchEnded("seconds", 1, 5))
    assert replay.deadline_met(6) is None


def test_a_search_that_ended_for_another_reason_met_no_deadline() -> None:
    replay = Replay(record(STARTED, round_of(1), SearchEnded("rounds", 1, 5)))
    assert replay.deadline_met(5) is False


def test_a_record_that_breaks_off_met_no_deadline_before_its_last_decision() -> None:
    replay = Replay(record(STARTED, round_of(1), round_of(2)))
    assert replay.deadline_met(3) is False
