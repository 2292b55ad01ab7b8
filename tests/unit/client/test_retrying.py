"""Which requests are sent once more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from promptprop.client.call import Call, as_nothing
from promptprop.client.retrying import Retries

READ: Call[None] = Call("GET", "/x", as_nothing, repeatable=True)
KEYED: Call[None] = Call("POST", "/x", as_nothing, keyed=True)
BARE: Call[None] = Call("POST", "/x", as_nothing)
RETRIES = Retries(attempts=3, first=1.0, longest=8.0)


def answer(status: int, wait: str = "", code: str = "busy") -> httpx.Response:
    return httpx.Response(status, headers={"retry-after": wait} if wait else {}, json={"code": code})


@pytest.mark.parametrize("call", [READ, KEYED])
@pytest.mark.parametrize("outcome", [answer(503), answer(504), httpx.ReadTimeout("slow"), httpx.ConnectError("no")])
def test_what_can_be_repeated_is(call: Call[None], outcome: Any) -> None:
    assert RETRIES.wait(call, 1, outcome) is not None
    assert RETRIES.wait(call, 3, outcome) is None, "that was the last attempt"


@pytest.mark.parametrize("outcome", [answer(503), answer(504), httpx.ReadTimeout("slow"), httpx.ReadError("cut")])
def test_what_may_have_been_done_already_is_not_sent_again_without_a_key(outcome: Any) -> None:
    assert RETRIES.wait(BARE, 1, outcome) is None


@pytest.mark.parametrize("outcome", [answer(429, "2"), httpx.ConnectError("no"), httpx.ConnectTimeout("slow")])
def test_what_was_surely_not_done_is_sent_again_even_without_a_key(outcome: Any) -> None:
    assert RETRIES.wait(BARE, 1, outcome) is not None


def test_a_server_is_asked_again_when_it_says() -> None:
    assert RETRIES.wait(READ, 1, answer(429, "7")) == 7.0
    assert RETRIES.wait(READ, 1, answer(503, "0")) == 0.0


def test_a_server_that_wants_to_be_left_alone_for_longer_is() -> None:
    assert RETRIES.wait(READ, 1, answer(429, "9")) is None


def test_a_limit_of_runs_which_names_no_time_is_not_waited_for() -> None:
    assert RETRIES.wait(KEYED, 1, answer(429, code="too_many_runs")) is None


def test_a_request_whose_first_sending_is_under_way_waits_for_it() -> None:
    assert RETRIES.wait(KEYED, 1, answer(409, "1", "idempotency_in_progress")) == 1.0
    assert RETRIES.wait(KEYED, 1, answer(409, "1", "run_locked")) is None


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500, 502, 507])
def test_other_answers_stand(status: int) -> None:
    assert RETRIES.wait(READ, 1, answer(status)) is None


def test_the_wait_grows_to_its_longest() -> None:
    waits = [replace(RETRIES, attempts=99).wait(READ, attempt, answer(503)) or 0.0 for attempt in range(1, 9)]
    assert 0.75 <= waits[0] <= 1.0
    assert 3.0 <= waits[2] <= 4.0
    assert all(6.0 <= wait <= 8.0 for wait in waits[4:])
