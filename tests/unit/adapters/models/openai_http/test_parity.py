"""Both clients send the same body for the same request, wherever the fast one is chosen by itself."""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any

import pytest
from openai_server import OpenAIServer

from promptprop.adapters.models.litellm_client import LiteLLMClient, load
from promptprop.adapters.models.openai_http.addresses import applies, takes_for_itself
from promptprop.adapters.models.openai_http.client import OpenAIHttpClient
from promptprop.domain.errors import UnreadableAnswer
from promptprop.domain.models import Message, ModelRequest
from promptprop.domain.settings import RESERVED

SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": {"type": "object"}}}
PARAMETERS: dict[str, dict[str, Any]] = {
    "usual": {"temperature": 0.0, "top_p": 0.9, "max_tokens": 7},
    "sampled": {"temperature": 0.7, "max_tokens": 7, "seed": 1, "stop": ["x"], "top_p": 0.5, "presence_penalty": 0.1},
    "silent": {"temperature": 0.3, "top_p": 0.5, "reasoning_effort": "none", "logprobs": True, "top_logprobs": 2},
    "warm": {"temperature": 1, "frequency_penalty": 0.1, "logit_bias": {"1": 2}, "reasoning_effort": "minimal"},
    "structured": {"response_format": SCHEMA, "max_tokens": 7, "service_tier": "flex", "reasoning_effort": "xhigh"},
    "more": {"top_k": 3, "extra_body": {"min_p": 0.1}, "response_format": {"type": "json_object"}, "store": False},
    "none": {},
}
OTHERS = ("openai/mine", "hosted_vllm/meta/llama", "lm_studio/m", "litellm_proxy/gpt-5", "openai/gpt-4o")
PLAIN = ("groq/llama-3.3-70b-versatile", "together_ai/m", "deepinfra/m", "cerebras/m", "nvidia_nim/m")
UNTOLD = re.compile(r"openai/(?!gpt-\d|chatgpt-|o\d)")
"""Models whose name does not tell whether they reason: an effort that is configured is passed on to them."""
PASSED_ON = {"reasoning_effort"}
"""What LiteLLM drops for LM Studio, and the fast client passes on as it is configured."""


def listed() -> list[str]:
    library = load()
    chats = {name for name in library.open_ai_chat_completion_models if library.model_cost[name].get("mode") == "chat"}
    return sorted(f"openai/{name}" for name in chats if applies(f"openai/{name}", None, {}, {}))


async def bodies(server: OpenAIServer, model: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    messages = (Message("system", "S"), Message("user", "hi"), Message("assistant", "ho"), Message("user", "caf\u00e9"))
    sent = []
    for kind in (LiteLLMClient, OpenAIHttpClient):
        client = kind(model, server.url, "sk-k")
        with contextlib.suppress(UnreadableAnswer):  # LiteLLM misses fields of Groq's own in what this server answers
            await client.complete(ModelRequest("task", model, messages, parameters), 30)
        await client.close()
        sent.append(server.payloads[-1])
    return sent


@pytest.mark.no_cover
@pytest.mark.parametrize("kind", sorted(PARAMETERS))
async def test_every_listed_chat_model_of_openai_gets_the_same_body_from_both_clients(
    openai_server: OpenAIServer, kind: str
) -> None:
    differ = {}
    for model in listed():
        vendors, ours = await bodies(openai_server, model, PARAMETERS[kind])
        if UNTOLD.match(model):
            ours.pop("reasoning_effort", None)
        if vendors != ours:
            differ[model] = sorted(name for name in {*vendors, *ours} if vendors.get(name) != ours.get(name))
    assert differ == {}


@pytest.mark.parametrize("kind", sorted(PARAMETERS))
@pytest.mark.parametrize("model", OTHERS)
async def test_other_endpoints_get_the_same_body_from_both_clients(
    openai_server: OpenAIServer, model: str, kind: str
) -> None:
    vendors, ours = await bodies(openai_server, model, PARAMETERS[kind])
    if model.startswith("lm_studio"):
        ours = {name: value for name, value in ours.items() if name not in PASSED_ON}
    assert ours == vendors


@pytest.mark.parametrize("model", PLAIN)
async def test_plain_providers_get_the_same_body_from_both_clients(openai_server: OpenAIServer, model: str) -> None:
    parameters = {**PARAMETERS["usual"], "stop": ["x"], "extra_body": {"min_p": 0.1}}
    vendors, ours = await bodies(openai_server, model, parameters)
    assert ours == vendors


def test_what_litellm_takes_for_itself_never_goes_to_a_provider() -> None:
    load()
    from litellm.types.utils import all_litellm_params

    assert [name for name in all_litellm_params if name not in RESERVED and not takes_for_itself(name)] == []


def test_the_models_that_litellm_sends_elsewhere_are_left_to_it() -> None:
    costs = load().model_cost
    away = {name for name, entry in costs.items() if entry.get("litellm_provider") == "openai"}
    kept = {name for name in away if applies(name if "/" in name else f"openai/{name}", None, {}, {})}
    answering = {"chat", "embedding"}
    assert {name for name in kept if costs[name].get("mode") in {"responses", "completion", "realtime"}} == set()
    spoken = ("audio", "computer-use", "container")
    missed = {name for name in away - kept if costs[name].get("mode") in answering}
    assert {name for name in missed if not any(word in name for word in spoken)} == set()


async def test_messages_travel_as_they_are(openai_server: OpenAIServer) -> None:
    _, ours = await bodies(openai_server, "openai/gpt-4o", {})
    assert [message["role"] for message in ours["messages"]] == ["system", "user", "assistant", "user"]
    assert json.dumps(ours["messages"][-1], ensure_ascii=False) == '{"role": "user", "content": "caf\u00e9"}'
