from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback import completion

from promptprop.adapters.models.failures import Target
from promptprop.adapters.models.openai_http.answers import (
    Answer,
    joined,
    read_chat,
    read_json,
    read_vectors,
    refusal,
    usage_of,
)
from promptprop.domain.errors import (
    AuthenticationFailed,
    ContextTooLong,
    ModelError,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    UnreadableAnswer,
)
from promptprop.domain.models import Json, Usage

TARGET = Target("openai/m", None, "secret-key-value")
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
FIELDS = ("choices", "message", "content", "text", "refusal", "finish_reason", "usage", "prompt_tokens", "error")
FIELDS += (
    "code",
    "type",
    "model",
    "completion_tokens",
    "prompt_tokens_details",
    "cached_tokens",
    "data",
    "embedding",
    "index",
)
LIKE = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5)
)


def mutated(value: Json, path: list[int], new: Json) -> Json:
    """`value` with one of its parts replaced: which one follows from `path`."""
    if not path or not isinstance(value, dict | list) or not value:
        return new
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    at = keys[path[0] % len(keys)]
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[at] = mutated(value[at], path[1:], new)
    return copy


def is_reply_or_error(said: Json) -> None:
    try:
        answer = read_chat(said, TARGET)
    except ModelError:
        return
    assert isinstance(answer, Answer)
    assert isinstance(answer.text, str)
    answer.text.encode()
    assert answer.usage is None or min(answer.usage.prompt_tokens, answer.usage.completion_tokens) >= 0


@given(VALUES | LIKE)
def test_any_json_is_a_reply_or_a_model_error(said: Json) -> None:
    is_reply_or_error(said)


@given(st.lists(st.integers(0, 9), max_size=5), VALUES | LIKE)
def test_a_completion_with_any_part_replaced_is_a_reply_or_a_model_error(path: list[int], new: Json) -> None:
    details = {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 2}}
    is_reply_or_error(mutated(completion(usage=details, service_tier="flex"), path, new))


@given(VALUES | LIKE, st.integers(0, 3))
def test_any_json_is_vectors_or_a_model_error(said: Json, count: int) -> None:
    with contextlib.suppress(ModelError):
        assert len(read_vectors(said, count, TARGET)) == count


@given(st.integers(400, 599), VALUES | LIKE)
def test_any_body_of_a_refusal_is_a_model_error(status: int, body: Json) -> None:
    assert refusal(status, {}, json.dumps(body).encode(), TARGET).message.startswith("openai/m: ")


@given(st.binary(max_size=50))
def test_any_bytes_are_json_or_an_unreadable_answer(body: bytes) -> None:
    assert refusal(500, {}, body, TARGET).message
    try:
        expected = json.loads(body)
    except ValueError:
        with pytest.raises(UnreadableAnswer):
            read_json(body, TARGET)
    else:
        assert repr(read_json(body, TARGET)) == repr(expected)


def test_json_nested_too_deep_is_an_unreadable_answer() -> None:
    with pytest.raises(UnreadableAnswer):
        read_json(b"[" * 200_000, TARGET)
    assert isinstance(refusal(500, {}, b"{" + b"[" * 200_000, TARGET), ProviderUnavailable)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, None),
        ({}, None),
        ({"prompt_tokens": 0, "completion_tokens": 0}, None),
        ({"prompt_tokens": 5, "completion_tokens": None}, Usage(5, 0)),
        ({"prompt_tokens": 5, "completion_tokens": -1}, None),
        ({"prompt_tokens": 5.0, "completion_tokens": float("inf")}, None),
        ({"prompt_tokens": 5, "completion_tokens": float("nan")}, None),
        ({"prompt_tokens": 10**30, "completion_tokens": 2}, None),
        ({"prompt_tokens": 5, "completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": 1e300}}, None),
        ({"prompt_tokens": 5, "completion_tokens": 2, "prompt_cache_hit_tokens": -3}, None),
        ({"prompt_tokens": 5.0, "completion_tokens": True}, Usage(5, 0)),
        ({"prompt_tokens": 5, "prompt_tokens_details": None, "completion_tokens_details": 3}, Usage(5, 0)),
        ({"prompt_tokens": 9, "completion_tokens": 4, "prompt_cache_hit_tokens": 7}, Usage(9, 4, 7)),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 4,
                "prompt_tokens_details": {"cached_tokens": 3},
                "completion_tokens_details": {"reasoning_tokens": 2},
            },
            Usage(9, 4, 3, 2),
        ),
    ],
)
def test_usage_is_read_as_it_is_reported(usage: Json, expected: Usage | None) -> None:
    assert usage_of(usage) == expected


def test_parts_without_text_are_no_text() -> None:
    assert joined([{"type": "image"}]) is None
    assert joined([]) is None
    assert joined([{"text": ""}]) == ""


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"message": "slow", "code": 429}, RateLimited),
        ({"message": "slow", "code": "429"}, RateLimited),
        ({"message": "no key", "type": "authentication_error"}, AuthenticationFailed),
        ({"message": "no money", "code": "insufficient_quota"}, QuotaExhausted),
        ({"message": "8192 tokens at most", "code": "context_length_exceeded"}, ContextTooLong),
        ({"message": "boom"}, ProviderUnavailable),
        ({"code": 502}, ProviderUnavailable),
        ("boom", ProviderUnavailable),
    ],
)
def test_an_error_in_an_answer_or_in_its_choice_has_its_class(error: Json, expected: type[ModelError]) -> None:
    inside = {**completion(), "choices": [{"message": {"content": "hal"}, "finish_reason": "error", "error": error}]}
    for said in ({"error": error}, inside):
        with pytest.raises(expected):
            read_chat(said, TARGET)


def test_a_key_that_a_provider_repeats_is_blacked_out() -> None:
    for body in (
        b"bad key secret-key-value",
        b'{"error": {"message": "secret-key-value", "code": "secret-key-value"}}',
    ):
        assert "secret-key-value" not in str(refusal(400, {}, body, TARGET))
    with pytest.raises(ModelError) as caught:
        read_chat({"error": {"message": "secret-key-value", "code": "secret-key-value"}}, TARGET)
    assert "secret-key-value" not in str(caught.value)
