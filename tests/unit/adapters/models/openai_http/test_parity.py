"""Both clients send the same body for the same request, wherever the fast one is chosen by itself."""

from __future__ import annotations

import json

import pytest
from openai_server import OpenAIServer
from same_bodies import PARAMETERS, bodies, listed_chats, that_differ

from promptprop.adapters.models.litellm_client import load
from promptprop.adapters.models.openai_http.addresses import applies, takes_for_itself
from promptprop.domain.settings import RESERVED

OTHERS = ("openai/mine", "hosted_vllm/meta/llama", "lm_studio/m", "litellm_proxy/gpt-5", "openai/gpt-4o")
PLAIN = ("groq/llama-3.3-70b-versatile", "together_ai/m", "deepinfra/m", "cerebras/m", "nvidia_nim/m")
PASSED_ON = {"reasoning_effort"}
"""What LiteLLM drops for LM Studio, and the fast client passes on as it is configured."""


@pytest.mark.no_cover
@pytest.mark.parametrize(("place", "kind"), list(enumerate(sorted(PARAMETERS))))
async def test_listed_chat_models_of_openai_get_the_same_body_from_both_clients(
    openai_server: OpenAIServer, place: int, kind: str
) -> None:
    """Every third model, beginning at another one for each kind; all of them in a campaign."""
    models = listed_chats()[place % 3 :: 3]
    assert len(models) > 10
    assert await that_differ(openai_server, models, PARAMETERS[kind]) == {}


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
