from __future__ import annotations

import pytest

from promptprop.adapters.models.keys import KEYS, find_key, missing_key, secrets_below


@pytest.mark.parametrize(
    ("model", "variable"),
    [
        ("openai/gpt-5", "OPENAI_API_KEY"),
        ("gpt-4o-mini", "OPENAI_API_KEY"),
        ("anthropic/claude-sonnet-4-5", "ANTHROPIC_API_KEY"),
        ("claude-sonnet-4-5", "ANTHROPIC_API_KEY"),
        ("gemini/gemini-2.5-flash", "GEMINI_API_KEY"),
        ("mistral/mistral-small", "MISTRAL_API_KEY"),
        ("groq/llama-3", "GROQ_API_KEY"),
        ("openrouter/openai/gpt-5", "OPENROUTER_API_KEY"),
        ("azure/deployment", "AZURE_API_KEY"),
    ],
)
def test_a_model_without_its_key_names_the_variable(model: str, variable: str) -> None:
    assert missing_key(model, None, {}) == variable
    assert missing_key(model, None, {variable: "   "}) == variable
    assert missing_key(model, None, {variable: "k"}) is None


def test_any_of_a_providers_variables_will_do() -> None:
    for provider, names in KEYS.items():
        assert all(missing_key(f"{provider}/m", None, {name: "k"}) is None for name in names)


@pytest.mark.parametrize("model", ["ollama/llama3", "bedrock/x", "vertex_ai/gemini", "mine"])
def test_of_other_providers_nothing_is_known(model: str) -> None:
    assert missing_key(model, None, {}) is None


@pytest.mark.parametrize("base", ["http://127.0.0.1:8000/v1", "http://localhost:1234", "http://[::1]:1/v1"])
def test_a_server_on_this_machine_needs_no_key(base: str) -> None:
    assert missing_key("openai/local", base, {}) is None


def test_what_a_reference_stands_for_on_the_wire_is_a_secret_and_other_parameters_are_none() -> None:
    written = {"extra_query": {"fn": "${env:A}"}, "extra_body": {"deep": [{"id": "${env:B}"}]}, "user": "${env:C}"}
    resolved = {"extra_query": {"fn": "one"}, "extra_body": {"deep": [{"id": "two"}]}, "user": "three"}
    assert list(secrets_below(resolved, written)) == ["one", "two"]


def test_a_server_elsewhere_does() -> None:
    assert missing_key("openai/m", "https://gateway.example.com/v1", {}) == "OPENAI_API_KEY"


def test_the_key_of_a_model_is_found_where_missing_key_looks() -> None:
    assert find_key("openai/gpt-5", None, {"OPENAI_API_KEY": " k "}) == "k"
    assert find_key("gemini/m", None, {"GOOGLE_API_KEY": "g"}) == "g"
    assert find_key("openai/gpt-5", None, {}) is None


def test_a_token_is_not_passed_off_as_a_key_and_no_key_goes_to_this_machine() -> None:
    assert find_key("azure/d", None, {"AZURE_AD_TOKEN": "t"}) is None
    assert find_key("openai/local", "http://127.0.0.1:1/v1", {"OPENAI_API_KEY": "k"}) is None
