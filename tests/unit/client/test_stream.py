"""Frames out of bytes, and where a broken connection is taken up again."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.client.errors import NotFound, ServerFailed, TooMany, Unreachable, Unreadable, WaitedTooLong
from promptprop.client.retrying import Retries
from promptprop.client.stream import Following, Frame, Frames
from promptprop.domain.models import Json

WIRE = (
    "retry: 250\n\n: still here\n\nid: 1\nevent: run_started\ndata: {\"a\": \"ü\"}\n\n"
    "event: tick\ndata: {}\n\ndata: one\ndata: two\n\nid: 9\n\nevent: end\ndata: {}\n\n"
)  # fmt: skip
FRAMES = [
    Frame("run_started", '{"a": "ü"}', "1"),
    Frame("tick", "{}"),
    Frame("message", "one\ntwo"),
    Frame("end", "{}"),
]


def frame(seq: int, kind: str = "round_started") -> bytes:
    body: Json = {"seq": seq, "at": "2026-01-02T03:04:05Z", "kind": kind, "body": {}, "active_seconds": None}
    return f"id: {seq}\nevent: {kind}\ndata: {json.dumps(body)}\n\n".encode()


END = b'event: end\ndata: {"status": "finished", "stop_reason": "done"}\n\n'


def following(after: int = 0, **options: Any) -> Following:
    return Following("abc", after, Retries(first=0), **options)


@given(st.lists(st.integers(0, len(WIRE.encode())), max_size=12), st.sampled_from(["\n", "\r\n"]))
def test_frames_are_the_same_wherever_the_bytes_are_cut(cuts: list[int], newline: str) -> None:
    wire = WIRE.replace("\n", newline).encode()
    places = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    frames = Frames()
    found = [one for begin, end in pairwise(places) for one in frames.of(wire[begin:end])]
    assert found == FRAMES
    assert frames.retry == 0.25


def test_a_frame_that_is_not_whole_is_none() -> None:
    assert list(Frames().of(b"id: 1\nevent: a\ndata: {}\n")) == []


def test_events_are_handed_on_once_and_the_position_moves_with_them() -> None:
    known = following()
    assert [one.seq for one in known.events(frame(1) + frame(2))] == [1, 2]
    assert [one.seq for one in known.events(frame(1) + frame(2) + frame(3))] == [3]
    assert known.after == 3
    assert known.headers()["Last-Event-ID"] == "3"


def test_what_a_broken_connection_left_half_read_is_forgotten() -> None:
    known = following()
    assert list(known.events(frame(1)[:-5])) == []
    known.headers()
    assert [one.seq for one in known.events(frame(1))] == [1]


def test_nothing_comes_after_the_end() -> None:
    known = following()
    assert [one.seq for one in known.events(frame(1) + END + frame(2))] == [1]
    assert known.over


def test_ticks_are_told_apart_from_events_and_move_nothing() -> None:
    told: list[Any] = []
    known = following(on_tick=told.append)
    assert list(known.events(b'event: tick\ndata: {"done": 1}\n\n')) == []
    assert (told, known.after) == ([{"done": 1}], 0)


def test_an_event_that_cannot_be_read_is_said_to_be() -> None:
    with pytest.raises(Unreadable, match="not JSON"):
        list(following().events(b"id: 1\nevent: a\ndata: <html>\n\n"))


def test_a_stream_says_how_long_to_pause_before_it_is_taken_up_again() -> None:
    known = following()
    list(known.events(b"retry: 20\n\n"))
    assert known.pause_after(None) == pytest.approx(0.02)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_server_that_is_busy_or_away_is_asked_again(status: int) -> None:
    failure = ServerFailed(status, "away", "", retry_after=3.0)
    assert following().pause_after(failure) == 3.0


def test_a_refusal_is_not_repeated() -> None:
    with pytest.raises(NotFound):
        following().pause_after(NotFound(404, "run_not_found", "no such run"))


def test_a_server_that_stays_silent_for_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    known = following(after=7)
    monkeypatch.setattr("promptprop.client.stream.PATIENCE", -1.0)
    with pytest.raises(Unreachable) as caught:
        known.pause_after(httpx.ReadTimeout("slow"))
    assert "event 7" in caught.value.remedy


def test_a_time_that_is_over_ends_the_wait_at_the_next_sign_of_life() -> None:
    known = following(timeout=0.0)
    assert 0 < known.silence() < 1
    with pytest.raises(WaitedTooLong):
        list(known.events(b": still here\n\n"))
    with pytest.raises(WaitedTooLong):
        following(timeout=0.0).pause_after(TooMany(429, "rate", ""))


def test_the_end_counts_even_where_the_time_is_over_as_well() -> None:
    known = following(timeout=0.0)
    assert list(known.events(END)) == []
    assert known.over
