from __future__ import annotations

import pytest

from promptprop.adapters.models.failures import Target
from promptprop.adapters.models.litellm_client import load
from promptprop.adapters.models.litellm_errors import message_of, translate
from promptprop.domain.errors import (
    AuthenticationFailed,
    ModelError,
    ProviderUnavailable,
    RateLimited,
    UnknownModel,
    UnreadableAnswer,
)

TARGET = Target("gemini/gemini-2.5-flash", None, "secret-key-value")


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


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (429, RateLimited),
        ("rate_limit_exceeded", RateLimited),
        ("502", ProviderUnavailable),
        (None, ProviderUnavailable),
    ],
)
def test_an_error_in_place_of_an_answer_has_its_class_whatever_its_code_is(
    code: object, expected: type[ModelError]
) -> None:
    inner = Exception()
    inner.status_code, inner.message = code, "slow down"  # type: ignore[attr-defined]  # as LiteLLM does
    outer = Exception("litellm.APIError: slow down")
    outer.__cause__ = inner
    translated = translate(outer, TARGET)
    assert type(translated) is expected
    assert "slow down" in translated.message
