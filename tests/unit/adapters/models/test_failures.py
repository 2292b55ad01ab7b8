from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.adapters.models.failures import (
    LONGEST,
    ProxyUnauthorised,
    Target,
    by_status,
    in_answer,
    retry_after,
    said_in,
    spoken,
)
from promptprop.domain.errors import (
    AuthenticationFailed,
    CallTimedOut,
    ContentFiltered,
    ContextTooLong,
    ModelError,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    RequestRefused,
    UnknownModel,
    WrongAddress,
)

TARGET = Target("gemini/gemini-2.5-flash", None, "secret-key-value")


@pytest.mark.parametrize(
    ("status", "said", "expected"),
    [
        (400, "API key not valid. Please pass a valid API key.", AuthenticationFailed),
        (400, "Your credit balance is too low to access the API", QuotaExhausted),
        (400, "prompt is too long: 210000 tokens > 200000 maximum", ContextTooLong),
        (400, "temperature must be below 1", RequestRefused),
        (402, "payment required", QuotaExhausted),
        (403, "no access", AuthenticationFailed),
        (404, "not found", UnknownModel),
        (408, "timeout", CallTimedOut),
        (422, "unprocessable", RequestRefused),
        (400, "rejected by our safety system", ContentFiltered),
        (403, "Moderation: your input was flagged", ContentFiltered),
        (405, "Method Not Allowed", WrongAddress),
        (407, "Proxy Authentication Required", ProxyUnauthorised),
        (413, "Request too large", RequestRefused),
        (429, "slow down", RateLimited),
        (429, "content_filter is busy", RateLimited),
        (429, "You exceeded your current quota (insufficient_quota)", QuotaExhausted),
        (529, "overloaded", ProviderUnavailable),
    ],
)
def test_a_status_and_what_was_said_decide_the_error(status: int, said: str, expected: type[ModelError]) -> None:
    assert type(by_status(status, {}, said, TARGET)) is expected


def test_every_error_that_stops_a_run_says_what_to_do() -> None:
    for status in (401, 402, 403, 404, 405, 407):
        assert by_status(status, {}, "no", TARGET).remedy


def test_retry_after_may_be_a_date() -> None:
    soon = datetime.now(timezone.utc) + timedelta(seconds=100)
    wait = retry_after({"retry-after": format_datetime(soon, usegmt=True)})
    assert wait is not None
    assert 0 < wait <= 100
    past = format_datetime(datetime(2020, 1, 1, tzinfo=timezone.utc), usegmt=True)
    assert retry_after({"retry-after": past}) == 0.0


def test_retry_after_in_milliseconds_is_more_exact() -> None:
    assert retry_after({"retry-after-ms": "250", "retry-after": "1"}) == 0.25


@given(st.text(max_size=40))
def test_any_retry_after_is_a_wait_or_none(text: str) -> None:
    for header in ("retry-after", "retry-after-ms"):
        wait = retry_after({header: text})
        assert wait is None or wait >= 0


@pytest.mark.parametrize("date", ["Fri, 31 Dec 9999 23:59:59 -2300", "Mon, 99 Jan"])
def test_a_date_that_no_clock_reaches_asks_for_no_wait(date: str) -> None:
    assert retry_after({"retry-after": date}) is None


def test_a_wait_that_only_the_words_name_is_heard() -> None:
    error = by_status(429, {}, "quota", TARGET, "Please retry in 7.5s.")
    assert isinstance(error, RateLimited)
    assert error.retry_after == 7.5


def test_what_a_provider_says_loses_the_key_before_it_is_cut() -> None:
    said = spoken("x" * (LONGEST - 5) + "secret-key-value", TARGET, "secret-key-value")
    assert "secr" not in said
    assert said.endswith("([redacted])")


def test_the_message_is_found_inside_a_json_body() -> None:
    assert said_in('400: {"error": {"message": "no"}} at all') == "no"
    assert said_in("{" + "[" * 100_000) == "{" + "[" * 100_000
    assert said_in('{"error": {"message": ""}}') == '{"error": {"message": ""}}'


@given(st.text(), st.none() | st.integers() | st.text() | st.lists(st.integers()), st.none() | st.text())
def test_any_error_in_an_answer_is_a_model_error(text: str, code: object, kind: object) -> None:
    assert isinstance(in_answer(text, code, kind, TARGET), ModelError)


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (
            "<!DOCTYPE html>\n<html><head><title>502 Bad\n Gateway</title><script>x = {}</script>",
            "an HTML page, “502 Bad Gateway”",
        ),
        ("  <html><title>Sign in &amp; go on</title></html>", "an HTML page, “Sign in & go on”"),
        ('<html><body>{"error": {"message": "no"}}</body></html>', "an HTML page"),
        ("a < b, and <html> is no tag here", "a < b, and <html> is no tag here"),
    ],
)
def test_of_a_web_page_only_its_title_is_shown(page: str, said: str) -> None:
    assert said_in(page) == said


def test_a_long_wait_that_a_provider_asks_for_stands_in_the_message() -> None:
    assert "asks to wait 3600 s" in by_status(429, {"retry-after": "3600"}, "slow down", TARGET).message
    assert by_status(429, {"retry-after": "20"}, "slow down", TARGET).message == "slow down"
