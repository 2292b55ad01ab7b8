from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest

from promptprop.adapters.models.litellm_client import load
from promptprop.adapters.models.litellm_errors import Target, by_status, message_of, retry_after, translate
from promptprop.domain.errors import (
    AuthenticationFailed,
    CallTimedOut,
    ContextTooLong,
    ModelError,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    RequestRefused,
    UnknownModel,
    UnreadableAnswer,
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
        (429, "slow down", RateLimited),
        (429, "You exceeded your current quota (insufficient_quota)", QuotaExhausted),
        (529, "overloaded", ProviderUnavailable),
    ],
)
def test_a_status_and_what_was_said_decide_the_error(status: int, said: str, expected: type[ModelError]) -> None:
    assert type(by_status(status, {}, said, TARGET)) is expected


def test_every_error_that_stops_a_run_says_what_to_do() -> None:
    for status in (401, 402, 403, 404):
        assert by_status(status, {}, "no", TARGET).remedy


def test_a_missing_key_names_the_variable_although_the_vendor_calls_it_a_connection_error() -> None:
    litellm = load()
    error = litellm.APIConnectionError("Missing Gemini API key. Set the GEMINI_API_KEY", "gemini", "m")
    translated = translate(error, TARGET)
    assert isinstance(translated, AuthenticationFailed)
    assert "GEMINI_API_KEY" in translated.remedy


def test_an_unknown_provider_is_an_unknown_model() -> None:
    litellm = load()
    error = litellm.BadRequestError("LLM Provider NOT provided. Pass in the LLM provider", "m", "x")
    translated = translate(error, Target("nonsense/x", None, None))
    assert isinstance(translated, UnknownModel)
    assert "prefix" in translated.remedy


def test_what_nobody_foresaw_is_an_unreadable_answer() -> None:
    assert isinstance(translate(AttributeError("'NoneType' has no attribute 'x'"), TARGET), UnreadableAnswer)


def test_a_message_loses_the_vendors_prefixes_the_key_and_what_cannot_be_stored() -> None:
    error = Exception("litellm.RateLimitError: RateLimitError: OpenAIException - no: secret-key-value \x00" + "x" * 999)
    message = message_of(error, TARGET)
    assert message.startswith("no: [redacted] \ufffdx")
    assert len(message) == 500


def test_retry_after_may_be_a_date() -> None:
    soon = datetime.now(timezone.utc) + timedelta(seconds=100)
    wait = retry_after({"retry-after": format_datetime(soon, usegmt=True)})
    assert wait is not None
    assert 0 < wait <= 100
    past = format_datetime(datetime(2020, 1, 1, tzinfo=timezone.utc), usegmt=True)
    assert retry_after({"retry-after": past}) == 0.0


def test_retry_after_in_milliseconds_is_more_exact() -> None:
    assert retry_after({"retry-after-ms": "250", "retry-after": "1"}) == 0.25
