"""Models as the page names them: prefixes, and what each takes of its settings."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from promptprop.bootstrap.page_models import PageModel, full_name, lent, supported
from promptprop.domain.errors import ConfigError
from promptprop.domain.serve_config import ServeConfig


@pytest.mark.parametrize(
    ("model", "provider", "expected"),
    [
        ("gemini-2.5-flash", "", "gemini/gemini-2.5-flash"),
        ("gpt-4o", "gemini", "openai/gpt-4o"),
        ("o1", "", "openai/o1"),
        ("o3-mini", "", "openai/o3-mini"),
        ("o4-mini", "x", "openai/o4-mini"),
        ("claude-sonnet-4-5", "", "anthropic/claude-sonnet-4-5"),
        ("groq/llama", "openai", "groq/llama"),
        ("deepseek-chat", "DeepSeek", "deepseek/deepseek-chat"),
        ("gemma-3", "google", "gemini/gemma-3"),
    ],
)
def test_a_bare_name_gets_its_prefix(model: str, provider: str, expected: str) -> None:
    assert full_name(model, provider) == expected


def test_a_name_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be told"):
        full_name("mystery")


ALL = {"temperature": 0.5, "top_p": 0.9, "top_k": 40}


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("openai/gpt-4o", {"temperature", "top_p"}),
        ("openai/o3", set()),
        ("openai/gpt-5", set()),
        ("gemini/gemini-2.5-pro", {"temperature", "top_p", "top_k"}),
        ("anthropic/claude-sonnet-4-5", {"temperature", "top_k"}),
        ("groq/llama", {"temperature", "top_p"}),
    ],
)
def test_what_a_model_does_not_take_is_left_out_and_logged(
    name: str, kept: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="promptprop.server"):
        assert set(supported(name, ALL)) == kept
    dropped = set(ALL) - kept
    assert bool(caplog.records) is bool(dropped)
    assert all(one in caplog.text for one in dropped)


def test_a_temperature_that_is_too_hot_for_claude_is_left_out() -> None:
    assert supported("anthropic/claude-3", {"temperature": 1.5, "top_p": 0.9, "top_k": None}) == {"top_p": 0.9}


def test_nothing_is_logged_for_what_was_not_set(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="promptprop.server"):
        assert supported("openai/gpt-4o", {"temperature": None, "top_p": None, "top_k": None}) == {}
    assert not caplog.records


@pytest.mark.parametrize("model", ["openai/${env:SECRET}", "offline/task", "openai/../x", "ollama/llama", "a b/c"])
def test_a_name_that_no_request_may_use_is_refused(model: str) -> None:
    with pytest.raises(ConfigError):
        lent(PageModel(model), "task", ServeConfig())


def test_a_model_is_lent_with_what_it_takes() -> None:
    found: Any = lent(PageModel("gemini-2.5-flash", "", 0.3, None, 40), "juror", ServeConfig())
    assert (found.model, found.temperature, found.params) == ("gemini/gemini-2.5-flash", 0.3, {"top_k": 40})
    assert found.max_tokens == 4096
