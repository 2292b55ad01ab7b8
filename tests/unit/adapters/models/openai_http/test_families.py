from __future__ import annotations

from typing import Any

import pytest

from promptprop.adapters.models.openai_http.families import suited, takes_system

SAMPLED = {"temperature": 0.0, "top_p": 0.5, "max_tokens": 9}


@pytest.mark.parametrize(
    ("name", "given", "sent"),
    [
        ("gpt-4o", SAMPLED, SAMPLED),
        ("mine", {**SAMPLED, "reasoning_effort": "low"}, {**SAMPLED, "reasoning_effort": "low"}),
        ("gpt-4", {**SAMPLED, "response_format": {}}, SAMPLED),
        ("gpt-5-chat-latest", SAMPLED, SAMPLED),
        ("o3", SAMPLED, {"max_completion_tokens": 9}),
        ("o4-mini-2025-04-16", {"temperature": 1}, {"temperature": 1}),
        ("o9-mine", SAMPLED, SAMPLED),
        ("gpt-5", {**SAMPLED, "stop": ["x"]}, {"max_completion_tokens": 9}),
        ("gpt-5.1", SAMPLED, {"temperature": 0.0, "top_p": 0.5, "max_completion_tokens": 9}),
        (
            "gpt-5.1",
            {**SAMPLED, "reasoning_effort": "low"},
            {"max_completion_tokens": 9, "reasoning_effort": "low"},
        ),
        ("gpt-5.5", SAMPLED, {"max_completion_tokens": 9}),
        ("gpt-5.5", {"temperature": 0.0, "reasoning_effort": "none"}, {"temperature": 0.0, "reasoning_effort": "none"}),
        ("gpt-5", {"reasoning_effort": "none"}, {}),
        ("gpt-5", {"reasoning_effort": "xhigh"}, {}),
        ("gpt-5.2", {"reasoning_effort": "xhigh"}, {"reasoning_effort": "xhigh"}),
        (
            "gpt-5.9-unheard-of",
            {**SAMPLED, "reasoning_effort": "none"},
            {"max_completion_tokens": 9, "reasoning_effort": "none"},
        ),
        ("gpt-5-search-api", {**SAMPLED, "top_k": 3, "seed": 1}, {"top_k": 3, "max_completion_tokens": 9}),
    ],
)
def test_a_model_is_sent_what_it_takes(name: str, given: dict[str, Any], sent: dict[str, Any]) -> None:
    assert suited(name, given) == sent


def test_only_later_models_of_the_o_series_hear_the_system_as_the_user() -> None:
    assert [takes_system(name) for name in ("gpt-5", "o1", "o1-2024-12-17", "o3", "o4-mini", "mine")] == [
        True, True, True, False, False, True,
    ]  # fmt: skip
