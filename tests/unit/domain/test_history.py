"""The history is the fold of a run's events."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone

import pytest
from event_strategies import NOW, events_of, runs
from hypothesis import given, settings
from hypothesis import strategies as st

from promptprop.domain import events as facts
from promptprop.domain.budget import RoleSpend, Spend
from promptprop.domain.events import EVENTS, Estimate, Event, StoredEvent
from promptprop.domain.history import CandidateRecord, History, Screening, advance, fold
from promptprop.domain.models import Json

HIGH, LOW, GAIN = Estimate(0.8, 0.7, 0.9, 40), Estimate(0.5, 0.4, 0.6, 40), Estimate(0.3, 0.1, 0.5, 40)
STARTED = facts.RunStarted("name", "optimize", "backprop", 7, {"train": 9}, {"task": "m"}, {"calls": 10}, True)


def stored(*events: Event, meta: Mapping[str, Json] | None = None) -> list[StoredEvent]:
    return [StoredEvent("run-1", seq, NOW, event, meta or {}) for seq, event in enumerate(events, start=1)]


def story() -> list[StoredEvent]:
    """A run from its start to its end: one child dropped in the screen, one archived, one promoted."""
    return stored(
        STARTED,
        facts.CandidateProposed(0, "seed", (), "seed", "as given", 100),
        facts.HeadroomMeasured(LOW, 0.1, 3, 20, "room"),
        facts.CandidateScored(0, "seed", "select", LOW, 2, {"label": 0.5}),
        facts.RoundStarted(1, "seed", "best"),
        facts.CritiquesWritten(1, 12, 3, 3, 1),
        facts.LabelsSuspected(1, ("r1", "r2")),
        facts.CandidateProposed(1, "a", ("seed",), "cause", "names the desk", 120),
        facts.CandidateProposed(1, "b", ("seed",), "format", "one word", 90),
        facts.CandidateProposed(1, "c", ("seed",), "restart", "anew", 80),
        facts.ProposalDropped(1, "consolidate", "too long"),
        facts.CandidateScreened(1, "a", GAIN, True),
        facts.CandidateScreened(1, "b", GAIN, False),
        facts.CandidateRaced(1, "a", "seed", GAIN, "promoted"),
        facts.CandidateRaced(1, "c", "seed", GAIN, "undecided"),
        facts.CandidateScored(1, "a", "select", HIGH),
        facts.RoundEnded(1, "a", HIGH, 1),
        facts.LabelsSuspected(2, ("r2", "r3")),
        facts.CapRaised({"calls": 20}),
        facts.SearchEnded("rounds", 1, 9),
        facts.CandidateConfirmed("a", GAIN, True),
        facts.WinnerTested("seed", "a", LOW, HIGH, GAIN, 0.001, "better"),
        facts.RunFinished("done"),
    )


def test_a_whole_run_is_told_by_its_events() -> None:
    history = fold(story())
    assert (history.run_id, history.name, history.status, history.stop_reason) == ("run-1", "name", "finished", "done")
    assert history.finished
    assert (history.seed_id, history.best_id, history.round, history.search_ended) == ("seed", "a", 1, "rounds")
    assert {name: record.state for name, record in history.candidates.items()} == {
        "seed": "seed", "a": "promoted", "b": "refused", "c": "archived",
    }  # fmt: skip
    assert history.suspects == ("r1", "r2", "r3")
    assert (history.unread, len(history.refused), len(history.trajectory)) == (1, 1, 1)
    assert history.budget == {"calls": 20}
    assert history.headroom is not None
    winner = history.record("a")
    assert (winner.screened, winner.raced, winner.confirmed) == (GAIN, GAIN, GAIN)
    assert winner.scores == {"select": HIGH, "test": HIGH}
    assert winner.parent_ids == ("seed",)
    assert history.record("seed").scores == {"select": LOW, "test": LOW}
    assert history.record("seed").missing == {"select": 2}
    assert history.record("seed").metrics == {"select": {"label": 0.5}}


def test_a_child_that_loses_its_race_is_refused() -> None:
    history = fold(stored(facts.CandidateRaced(1, "a", "seed", GAIN, "dropped")))
    assert history.record("a").state == "refused"


def test_decisions_are_counted_without_what_the_engine_writes() -> None:
    assert fold(story()).decisions == sum(1 for one in story() if not one.event.lifecycle)


@pytest.mark.parametrize("at", range(len(story()) + 1))
def test_a_run_can_be_folded_in_two_parts_cut_anywhere(at: int) -> None:
    whole = story()
    assert fold(whole[at:], fold(whole[:at])) == fold(whole)


@given(runs(), st.integers(0, 12))
def test_folding_is_incremental_whatever_happened(events: list[StoredEvent], at: int) -> None:
    assert fold(events[at:], fold(events[:at])) == fold(events)


@pytest.mark.parametrize("kind", sorted(EVENTS))
@settings(max_examples=25)
@given(data=st.data())
def test_every_kind_of_event_can_be_the_first_one(kind: str, data: st.DataObject) -> None:
    event = data.draw(events_of(kind))
    history = advance(History(), StoredEvent("run-1", 1, NOW, event))
    assert history.run_id == "run-1"
    assert history.decisions == (0 if event.lifecycle else 1)


def test_a_history_without_events_is_empty() -> None:
    assert fold([]) == History()
    assert not History().finished
    assert History().record("unheard-of") == CandidateRecord("unheard-of", state="seed")


def test_a_stop_keeps_its_reason_until_the_run_goes_on() -> None:
    stopped = fold(stored(STARTED, facts.RunStopped("interrupted", "Ctrl-C")))
    assert (stopped.status, stopped.stop_reason, stopped.detail) == ("stopped", "interrupted", "Ctrl-C")
    resumed = fold(stored(facts.RunResumed()), stopped)
    assert (resumed.status, resumed.stop_reason, resumed.detail, resumed.resumed) == ("running", "", "", 1)


def test_the_first_seed_leads_until_a_round_ends() -> None:
    seeds = stored(*(facts.CandidateProposed(0, name, (), "seed", "", 1) for name in ("one", "two")))
    history = fold(seeds)
    assert (history.seed_id, history.best_id) == ("one", "one")
    child = stored(facts.CandidateProposed(1, "child", ("one",), "cause", "", 1))
    assert fold(child, history).best_id == "one"


def test_spend_and_active_seconds_come_from_the_envelope_and_stay_until_told_anew() -> None:
    spend = Spend({"task": RoleSpend(calls=3)})
    meta = {"spend": spend.as_json(), "active_seconds": 1.5}
    history = fold(stored(STARTED, meta=meta))
    assert (history.spend, history.active_seconds) == (spend, 1.5)
    later = advance(history, StoredEvent("run-1", 2, datetime(2026, 1, 3, tzinfo=timezone.utc), facts.RunResumed()))
    assert (later.spend, later.active_seconds) == (spend, 1.5)


def test_the_origin_of_a_candidate_is_the_seed_that_it_descends_from() -> None:
    record = CandidateRecord
    known = [
        record("s1"), record("s2", hypothesis="draft", parent_ids=("s1",)), record("a", 1, ("s2",)),
        record("b", 3, ("a", "s1")), record("lost", 2, ("unheard-of",)),
    ]  # fmt: skip
    history = History(candidates={one.id: one for one in known})
    assert [history.origin(name).id for name in ("b", "a", "s2", "s1", "lost")] == ["s2", "s2", "s2", "s1", "lost"]
    assert [one.id for one in history.seeds] == ["s1", "s2"]


def test_what_screens_and_races_took_is_counted_for_the_children_alone() -> None:
    def rows(count: int) -> Estimate:
        return Estimate(0.0, -1.0, 1.0, count)

    known = [
        CandidateRecord("s", 0, raced=rows(50)),
        CandidateRecord("a", 1, screened=rows(9), raced=rows(20)),
        CandidateRecord("b", 2, screened=rows(4)),
        CandidateRecord("c", 2),
    ]
    history = History(candidates={one.id: one for one in known}, rows={"select": 40})
    assert history.screening == Screening(children=2, rows=33, full_pass=80)
