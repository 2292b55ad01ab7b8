"""What an answer costs through LiteLLM, held against `completion_cost` of the very response."""

from __future__ import annotations

from typing import Any

import pytest
from loopback import answering, completion

from promptprop.adapters.models.litellm_client import LiteLLMClient, load
from promptprop.adapters.models.litellm_costs import CLAIMED, cost_of, is_summed, picousd
from promptprop.domain.models import Message, ModelRequest

# pydantic says so of LiteLLM's types as they are loaded, one provider at a time
pytestmark = pytest.mark.filterwarnings("ignore:.*ReadOnly:UserWarning")

GPT, CLAUDE, GEMINI = "openai/gpt-5-mini", "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-pro"


def openai_answer(prompt: int, completed: int, cached: int, thought: int, tier: str | None = None) -> dict[str, Any]:
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": completed,
        "total_tokens": prompt + completed,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": thought},
    }
    return completion(model="gpt-5-mini", usage=usage, **({"service_tier": tier} if tier else {}))


def claude_answer(prompt: int, completed: int, read: int, written: int) -> dict[str, Any]:
    return {
        "id": "msg", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
        "content": [{"type": "text", "text": "fine"}], "stop_reason": "end_turn", "stop_sequence": None,
        "usage": {"input_tokens": prompt, "output_tokens": completed, "cache_read_input_tokens": read,
                  "cache_creation_input_tokens": written},
    }  # fmt: skip


def gemini_answer(prompt: int, completed: int, cached: int, thought: int) -> dict[str, Any]:
    content = {"parts": [{"text": "fine"}], "role": "model"}
    usage = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": completed,
        "cachedContentTokenCount": cached,
        "thoughtsTokenCount": thought,
        "totalTokenCount": prompt + completed + thought,
    }
    candidates = [{"content": content, "finishReason": "STOP", "index": 0}]
    return {"candidates": candidates, "usageMetadata": usage, "modelVersion": "gemini-2.5-pro"}


def vendor_cost(response: Any, model: str, sent: dict[str, Any]) -> int:
    """LiteLLM's sum over this response, and none that was left with it."""
    tier = {"service_tier": sent.get("service_tier")}
    return picousd(load().completion_cost(completion_response=response, model=model, optional_params=tier))


def priced(hidden: dict[str, Any], model: str = "gpt-4o-mini") -> Any:
    """A response of 1000 and 100 tokens with what LiteLLM leaves beside it."""
    litellm = load()
    usage = litellm.Usage(prompt_tokens=1000, completion_tokens=100, total_tokens=1100)
    response = litellm.ModelResponse(model=model, usage=usage)
    response._hidden_params = {"custom_llm_provider": "openai", **hidden}
    return response


@pytest.mark.parametrize(
    ("model", "body", "sent"),
    [
        (GPT, openai_answer(1000, 300, 0, 0), {}),
        (GPT, openai_answer(1000, 300, 400, 200), {"temperature": 1, "max_tokens": 400}),
        (GPT, openai_answer(1000, 300, 400, 200, "flex"), {"service_tier": "flex"}),
        (GPT, openai_answer(1000, 300, 400, 200, "priority"), {"service_tier": "auto"}),
        (GPT, openai_answer(1000, 300, 400, 200, "priority"), {}),
        (CLAUDE, claude_answer(1000, 300, 0, 0), {"max_tokens": 400}),
        (CLAUDE, claude_answer(1000, 300, 700, 90), {"temperature": 0}),
        (CLAUDE, claude_answer(210_000, 300, 700, 90), {"temperature": 0}),
        (GEMINI, gemini_answer(1000, 300, 0, 0), {"max_tokens": 400}),
        (GEMINI, gemini_answer(1000, 300, 400, 200), {"temperature": 0}),
        (GEMINI, gemini_answer(250_000, 300, 400, 200), {"temperature": 0}),
    ],
)
async def test_the_cost_of_an_answer_is_the_vendors_sum_over_it(
    monkeypatch: pytest.MonkeyPatch, model: str, body: dict[str, Any], sent: dict[str, Any]
) -> None:
    litellm, responses = load(), []
    call = litellm.acompletion

    async def noted(**arguments: Any) -> Any:
        responses.append(await call(**arguments))
        return responses[-1]

    monkeypatch.setattr(litellm, "acompletion", noted)
    async with answering(body) as server:
        client = LiteLLMClient(model, server.url.removesuffix("/v1") if model == CLAUDE else server.url, "k")
        reply = await client.complete(ModelRequest("task", "m", (Message("user", "hi"),), sent), 20)
        await client.close()
    assert reply.picousd == vendor_cost(responses[0], model, sent) > 0
    assert is_summed(responses[0], model, sent) is ("service_tier" not in sent)


def test_the_sum_that_litellm_has_made_is_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(load(), "completion_cost")
    assert cost_of(priced({"response_cost": 0.25}), "openai/gpt-4o-mini", {"seed": 1}) == 250_000_000_000


@pytest.mark.parametrize(
    ("hidden", "sent"),
    [
        ({}, {}),
        ({"response_cost": None}, {}),
        ({"response_cost": 0.25, "additional_headers": {CLAIMED: "0.25"}}, {}),
        ({"response_cost": 0.25}, {"web_search_options": {}}),
        ({"response_cost": 0.25}, {"vertex_location": "europe-west1"}),
    ],
)
def test_a_sum_that_may_hang_on_something_else_is_made_anew(hidden: dict[str, Any], sent: dict[str, Any]) -> None:
    response = priced(hidden)
    assert cost_of(response, "openai/gpt-4o-mini", sent) == 1000 * 150_000 + 100 * 600_000


def test_a_sum_by_a_provider_that_nobody_names_is_made_anew() -> None:
    response = priced({"response_cost": 0.25, "custom_llm_provider": None})
    assert cost_of(response, "gpt-4o-mini", {}) == 1000 * 150_000 + 100 * 600_000


@pytest.mark.parametrize("provider", ["vertex_ai", "vertex_ai_beta", "bedrock", "bedrock_converse", "bedrock_mantle"])
def test_a_sum_for_a_place_that_litellm_found_in_the_environment_is_not_taken(provider: str) -> None:
    assert not is_summed(priced({"response_cost": 0.25, "custom_llm_provider": provider}), "m", {})
    assert not is_summed(priced({"response_cost": 0.25, "custom_llm_provider": None}), f"{provider}/m", {})


@pytest.mark.parametrize("said", [None, 0.0])
def test_a_model_that_is_not_listed_has_no_price_whatever_litellm_makes_of_it(said: float | None) -> None:
    assert cost_of(priced({"response_cost": said}, "my-own"), "openai/my-own", {}) is None


def test_a_model_that_is_listed_as_free_costs_nothing() -> None:
    free = next(
        name
        for name, entry in sorted(load().model_cost.items())
        if entry.get("mode") == "chat" and entry.get("input_cost_per_token") == entry.get("output_cost_per_token") == 0
    )
    assert cost_of(priced({"response_cost": 0.0}, free), free, {}) == 0
