"""Events survive the way to storage and back."""

from __future__ import annotations

import dataclasses
import json

import pytest
from event_strategies import events_of
from hypothesis import given, settings
from hypothesis import strategies as st

from promptprop.domain import events
from promptprop.domain.events import EVENTS, CandidateScored, Estimate, Event, body_of, event_of

LIFECYCLE = {
    "run_started", "run_resumed", "run_stopped", "run_finished", "cap_raised", "errors_retried", "endpoint_paused",
    "endpoint_recovered", "rewrite_reviewed", "score_overridden", "note_left",
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(EVENTS))
@settings(max_examples=40)
@given(data=st.data())
def test_an_event_survives_its_way_through_json(kind: str, data: st.DataObject) -> None:
    event = data.draw(events_of(kind))
    text = json.dumps(body_of(event), allow_nan=False)
    assert event_of(kind, json.loads(text)) == event
    assert body_of(event_of(kind, json.loads(text))) == body_of(event)


def test_every_event_class_is_listed_under_a_kind_of_its_own() -> None:
    classes = [value for value in vars(events).values() if isinstance(value, type) and issubclass(value, Event)]
    assert set(EVENTS.values()) == set(classes) - {Event}
    assert all(event.kind == kind for kind, event in EVENTS.items())
    assert "" not in EVENTS


def test_what_the_engine_writes_is_told_apart_from_what_an_optimizer_decides() -> None:
    assert {kind for kind, event in EVENTS.items() if event.lifecycle} == LIFECYCLE


def test_an_unknown_kind_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="dreamt_up"):
        event_of("dreamt_up", {})


def test_a_field_of_a_later_version_is_passed_over_and_a_missing_one_takes_its_default() -> None:
    score = {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 10}
    body = {"round": 1, "candidate_id": "c", "split": "select", "score": score, "mood": "good"}
    assert event_of("candidate_scored", body) == CandidateScored(1, "c", "select", Estimate(0.5, 0.4, 0.6, 10))


def test_a_body_without_a_needed_field_is_refused() -> None:
    with pytest.raises(TypeError, match="stop_reason"):
        event_of("run_finished", {})


def test_an_estimate_nested_in_a_mapping_or_tuple_becomes_plain() -> None:
    @dataclasses.dataclass(frozen=True)
    class Nested(Event):
        by_name: dict[str, Estimate]
        listed: tuple[Estimate, ...]

    one = Estimate(0.5, 0.25, 1.0, 3)
    plain = {"mean": 0.5, "low": 0.25, "high": 1.0, "n": 3}
    assert body_of(Nested({"a": one}, (one,))) == {"by_name": {"a": plain}, "listed": [plain]}


def test_half_the_interval_is_its_half_width() -> None:
    assert Estimate(0.5, 0.25, 1.0, 3).half_width == 0.375
