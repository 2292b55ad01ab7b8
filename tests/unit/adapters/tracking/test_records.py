"""Records: what an event means to a tracker."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from hypothesis import given
from hypothesis import strategies as st

from promptprop.adapters.tracking.records import Point, Records, records_of, sanitise_key, sanitise_name
from promptprop.domain import events as facts
from promptprop.domain.events import Estimate, Event, StoredEvent
from promptprop.domain.history import History, advance

AT = datetime(2026, 1, 2, tzinfo=timezone.utc)
STARTED = facts.RunStarted(
    "router", "optimize", "backprop", 7, {"train": 4}, {"task": "simulated/x"}, {"calls": 9}, simulated=True
)


def records_after(*events: Event, meta: dict[str, object] | None = None) -> Records:
    """The records of the last of these events."""
    history, records = History(), Records()
    for seq, event in enumerate(events, 1):
        stored = StoredEvent("r1", seq, AT, event, meta or {})
        history = advance(history, stored)
        records = records_of(stored, history)
    return records


def values_of(records: Records) -> dict[str, float]:
    return {point.name: point.value for point in records.points}


def test_a_started_run_writes_its_settings_as_params_and_its_caps_as_a_tag() -> None:
    records = records_after(STARTED)
    assert records.params == {
        "activity": "optimize", "optimizer": "backprop", "seed": "7", "model.task": "simulated/x", "rows.train": "4",
    }  # fmt: skip
    assert records.tags == {"promptprop.caps": '{"calls":9}', "promptprop.simulated": "true"}
    assert records.status == "RUNNING"


def test_a_raised_cap_changes_the_tag() -> None:
    records = records_after(STARTED, facts.CapRaised({"calls": 20}))
    assert records.tags == {"promptprop.caps": '{"calls":20}'}


def test_a_round_writes_its_best_score_its_children_and_the_spend_at_its_own_step() -> None:
    spend = {"task": {"calls": 30, "prompt_tokens": 100, "completion_tokens": 20, "picousd": 5 * 10**11, "hits": 2}}
    estimate = Estimate(0.1, 0.0, 0.2, 8)
    records = records_after(
        facts.CandidateProposed(0, "s", (), "seed", "", 10),
        facts.CandidateProposed(3, "a", ("s",), "cause", "", 10),
        facts.CandidateProposed(3, "b", ("s",), "format", "", 10),
        facts.CandidateScreened(3, "a", estimate, kept=False),
        facts.CandidateScreened(3, "b", estimate, kept=True),
        facts.ProposalDropped(3, "restart", "lost a variable"),
        facts.RoundEnded(3, "b", Estimate(0.6, 0.5, 0.7, 40), 1),
        meta={"spend": spend},
    )
    assert {point.step for point in records.points} == {3}
    assert values_of(records) == {
        "score/best": 0.6, "score/best_low": 0.5, "score/best_high": 0.7,
        "candidates/proposed": 2, "candidates/kept": 1, "candidates/promoted": 1, "candidates/dropped": 1,
        "spend/calls": 30, "spend/tokens": 120, "spend/usd": 0.5, "spend/hits": 2,
    }  # fmt: skip


def test_the_sealed_test_writes_both_scores_the_difference_and_the_verdict() -> None:
    tested = facts.WinnerTested(
        "s", "b", Estimate(0.5, 0.4, 0.6, 30), Estimate(0.8, 0.7, 0.9, 30), Estimate(0.3, 0.2, 0.4, 30), 0.001,
        "better",
        metrics={"winner": {"f1 (macro)": 0.8}},
    )  # fmt: skip
    records = records_after(tested)
    assert values_of(records)["test/delta_low"] == 0.2
    assert values_of(records)["test/winner/f1 _macro_"] == 0.8
    assert records.tags == {"promptprop.verdict": "better"}


def test_each_way_to_end_has_its_status() -> None:
    assert records_after(STARTED, facts.RunFinished("target")).status == "FINISHED"
    assert records_after(STARTED, facts.RunStopped("errors")).status == "FAILED"
    assert records_after(STARTED, facts.RunStopped("interrupted")).status == "KILLED"
    stop = records_after(STARTED, facts.RunStopped("interrupted"), facts.RunResumed())
    assert (stop.status, stop.tags) == ("RUNNING", {"promptprop.stop_reason": ""})


def test_totals_after_a_resume_stand_at_a_step_of_their_own() -> None:
    records = records_after(STARTED, facts.RunStopped("budget"), facts.RunResumed(), facts.RunFinished("target"))
    assert {point.step for point in records.points} == {1}


def test_a_merge_keeps_the_first_param_and_the_last_tag() -> None:
    first = Records((Point("a", 1.0, 0, 0),), {"seed": "1"}, {"t": "old"}, "RUNNING")
    both = first.plus(Records((), {"seed": "2"}, {"t": "new"}))
    assert both == Records(first.points, {"seed": "1"}, {"t": "new"}, "RUNNING")


@given(st.text())
def test_names_and_keys_hold_only_what_mlflow_accepts(text: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", sanitise_name(text))
    assert re.fullmatch(r"[A-Za-z0-9_\-. /]{1,250}", sanitise_key(text))


def test_headroom_and_the_chosen_of_the_shortlist_are_written_and_the_rest_of_it_is_not() -> None:
    estimate = Estimate(0.5, 0.4, 0.6, 20)
    headroom = records_after(facts.HeadroomMeasured(estimate, 0.1, 2, 10, "room"))
    assert values_of(headroom)["headroom/noise"] == 0.1
    assert headroom.tags == {"promptprop.headroom": "room"}
    chosen = records_after(facts.CandidateConfirmed("b", estimate, chosen=True))
    assert values_of(chosen) == {"confirm/delta": 0.5, "confirm/delta_low": 0.4, "confirm/delta_high": 0.6}
    assert records_after(facts.CandidateConfirmed("c", estimate, chosen=False)) == Records()
