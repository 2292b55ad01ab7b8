from __future__ import annotations

from typing import Any

import pytest

from promptprop.adapters.models.openai_http.addresses import PROVIDERS, Route, applies, find_route
from promptprop.adapters.models.parameters import NO_KEY

BASE = "https://models.example/v1"


@pytest.mark.parametrize(
    ("model", "api_base"),
    [
        ("openai/gpt-4o-mini", None),
        ("gpt-5.2", None),
        ("openai/ft:gpt-4o:org::id", None),
        ("openai/mine-instruct-pro", BASE),
        ("hosted_vllm/meta-llama/Llama-3.1-8B-Instruct", "http://10.0.0.1:8000/v1"),
        ("lm_studio/m", "http://localhost:1234/v1"),
        ("litellm_proxy/claude", BASE),
        ("openai_like/m", BASE),
        ("ollama/llama3", "http://localhost:11434/v1"),
        ("ollama_chat/llama3", "http://localhost:11434/v1/"),
        ("groq/llama-3.3-70b-versatile", None),
        ("together_ai/m", None),
    ],
)
def test_the_fast_client_is_chosen_where_it_surely_applies(model: str, api_base: str | None) -> None:
    assert applies(model, api_base, {}, {})


@pytest.mark.parametrize(
    ("model", "api_base", "params"),
    [
        ("anthropic/claude-sonnet-4-5", None, {}),
        ("anthropic/claude-sonnet-4-5", BASE, {}),
        ("mine", BASE, {}),
        ("azure/gpt-4o", BASE, {}),
        ("openai/responses/gpt-5", None, {}),
        ("openai/gpt-5-codex", None, {}),
        ("openai/o3-pro", None, {}),
        ("openai/gpt-4o-audio-preview", None, {}),
        ("openai/gpt-3.5-turbo-instruct", None, {}),
        ("hosted_vllm/m", None, {}),
        ("ollama/llama3", None, {}),
        ("ollama/llama3", "http://localhost:11434", {}),
        ("openrouter/anthropic/claude-sonnet-4.5", None, {}),
        ("mistral/mistral-small-latest", None, {}),
        ("groq/m", None, {"response_format": {"type": "json_object"}}),
        ("openai/gpt-4o", None, {"drop_params": True}),
        ("openai/gpt-4o", None, {"api_version": "1"}),
        ("openai/gpt-4o", None, {"tools": []}),
        ("openai/gpt-5", None, {"reasoning_effort": {"effort": "low", "summary": "auto"}}),
    ],
)
def test_all_else_is_left_to_litellm(model: str, api_base: str | None, params: dict[str, Any]) -> None:
    assert not applies(model, api_base, params, {})


def test_litellms_own_switch_to_its_proxy_is_respected() -> None:
    assert not applies("openai/gpt-4o", None, {}, {"USE_LITELLM_PROXY": "True"})


@pytest.mark.parametrize(
    ("model", "api_base", "environment", "expected"),
    [
        ("gpt-5", None, {"OPENAI_API_KEY": " k "}, Route("gpt-5", "https://api.openai.com/v1", "k", "openai")),
        ("openai/m", None, {"OPENAI_API_BASE": BASE}, Route("m", BASE, None, "openai")),
        ("openai/m", None, {"OPENAI_BASE_URL": BASE, "OPENAI_API_BASE": "x"}, Route("m", BASE, None, "openai")),
        ("openai/m", BASE + "/", {"OPENAI_BASE_URL": "x"}, Route("m", BASE, None, "openai")),
        ("hosted_vllm/a/b", BASE, {}, Route("a/b", BASE, NO_KEY, "hosted_vllm")),
        ("hosted_vllm/a/b", BASE, {"HOSTED_VLLM_API_KEY": "k"}, Route("a/b", BASE, "k", "hosted_vllm")),
        ("mine", BASE, {}, Route("mine", BASE, None, "")),
        ("meta-llama/m", BASE, {}, Route("meta-llama/m", BASE, None, "meta-llama")),
        ("anthropic/claude", BASE, {"ANTHROPIC_API_KEY": "k"}, Route("claude", BASE, "k", "anthropic")),
        ("openrouter/a/b", None, {}, Route("a/b", "https://openrouter.ai/api/v1", None, "openrouter")),
        ("custom_openai/m", BASE, {"OPENAI_API_KEY": "k"}, Route("m", BASE, "k", "custom_openai")),
    ],
)
def test_a_model_is_found_at_its_address_with_its_key(
    model: str, api_base: str | None, environment: dict[str, str], expected: Route
) -> None:
    assert find_route(model, api_base, None, environment) == expected


def test_no_key_of_a_provider_goes_to_a_server_on_this_machine() -> None:
    environment = {"OPENAI_API_KEY": "k"}
    for model in ("openai/m", "custom_openai/m"):
        found = find_route(model, "http://127.0.0.1:9/v1", None, environment)
        assert found is not None
        assert found.key == NO_KEY


def test_a_model_nowhere_has_no_route() -> None:
    for model in ("anthropic/claude", "mine", "ollama/llama3", "hosted_vllm/m"):
        assert find_route(model, None, None, {}) is None


def test_every_address_is_secure() -> None:
    assert [
        name for name, provider in PROVIDERS.items() if not (provider.base or "https://").startswith("https://")
    ] == []
