from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import openai_server as server_module
import pytest
from openai_server import Answer, OpenAIServer

from promptprop.adapters.logs import redact
from promptprop.adapters.models.failures import LONGEST
from promptprop.adapters.models.litellm_client import SETTINGS, LiteLLMClient, internal_mark, load
from promptprop.adapters.models.prices import listed_price
from promptprop.domain.budget import Price
from promptprop.domain.errors import ConfigError, RequestRefused
from promptprop.domain.models import Message, ModelRequest, Usage


def ask(text: str = "hello", **parameters: object) -> ModelRequest:
    return ModelRequest("task", "m", (Message("user", text),), parameters)


async def test_the_cost_is_the_vendors_own_in_picousd(openai_server: OpenAIServer) -> None:
    client = LiteLLMClient("openai/gpt-4o-mini", openai_server.url, "k")
    reply = await client.complete(ask(), 20)
    await client.close()
    price = client.price()
    assert price == Price(150_000, 600_000, cached=75_000)
    assert reply.picousd == price.of(reply.usage)


async def test_a_configured_price_replaces_the_vendors(openai_server: OpenAIServer) -> None:
    client = LiteLLMClient("openai/gpt-4o-mini", openai_server.url, "k", price=Price(1, 2))
    reply = await client.complete(ask(), 20)
    await client.close()
    assert reply.picousd == reply.usage.prompt_tokens + 2 * reply.usage.completion_tokens
    assert client.price() == Price(1, 2)


async def test_an_unknown_model_has_no_price(openai_server: OpenAIServer) -> None:
    client = LiteLLMClient("openai/my-own-model", openai_server.url, "k")
    reply = await client.complete(ask(), 20)
    await client.close()
    assert reply.picousd is None
    assert client.price() is None


async def test_a_model_that_is_listed_without_a_price_is_not_free(openai_server: OpenAIServer) -> None:
    client = LiteLLMClient("openai/container", openai_server.url, "k")
    reply = await client.complete(ask(), 20)
    await client.close()
    assert (reply.picousd, client.price()) == (None, None)


async def test_the_tier_of_service_that_was_asked_for_is_billed(openai_server: OpenAIServer) -> None:
    client = LiteLLMClient("openai/gpt-5-mini", openai_server.url, "k", params={"service_tier": "flex"})
    reply = await client.complete(ask(), 20)
    await client.close()
    price = client.price()
    assert price is not None
    assert price == listed_price("gpt-5-mini", {"service_tier": "flex"}) != listed_price("gpt-5-mini")
    assert reply.picousd == price.of(reply.usage)


async def test_the_parameters_of_the_configuration_give_way_to_those_of_a_request(openai_server: OpenAIServer) -> None:
    client = LiteLLMClient("openai/gpt-4o-mini", openai_server.url, "k", params={"seed": 1, "user": "u"})
    await client.complete(ask(seed=2), 20)
    await client.close()
    assert (openai_server.payloads[0]["seed"], openai_server.payloads[0]["user"]) == (2, "u")


async def test_a_server_on_this_machine_needs_no_key(
    openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    client = LiteLLMClient("openai/local", openai_server.url)
    assert (await client.complete(ask(), 20)).text == "hello"
    await client.close()


async def test_an_answer_without_usage_counts_at_its_bound(
    openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "count_tokens", lambda _: -4)  # with the four of each message: nothing at all
    openai_server.answers = lambda _: Answer("fine", reasoning_tokens=4)
    client = LiteLLMClient("openai/local", openai_server.url)
    reply = await client.complete(ask("abc"), 20)
    await client.close()
    assert reply.usage == Usage(3 + 16, 4)


async def test_a_client_can_be_used_again_on_another_loop(openai_server: OpenAIServer) -> None:
    async def once() -> str:
        client = LiteLLMClient("openai/local", openai_server.url)
        reply = await client.complete(ask(), 20)
        await client.close()
        return reply.text

    for _ in range(2):
        assert await asyncio.to_thread(asyncio.run, once()) == "hello"


async def test_no_task_of_the_library_outlives_the_last_client(openai_server: OpenAIServer) -> None:
    client = LiteLLMClient("openai/local", openai_server.url)
    await client.complete(ask(), 20)
    await client.close()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_the_library_is_loaded_without_callbacks_downloads_or_a_log_of_its_own() -> None:
    litellm = load()
    assert all(os.environ[name] == value for name, value in SETTINGS.items())
    assert litellm.drop_params
    assert [litellm.callbacks, litellm.failure_callback] == [[], []]
    assert set(litellm.success_callback) <= {"cache"}  # that is of LiteLLM's client of Gemini, if another test used it
    handlers = [handler for name in ("LiteLLM", "LiteLLM Router") for handler in logging.getLogger(name).handlers]
    assert all(isinstance(handler, logging.NullHandler) for handler in handlers)


def test_naming_a_missing_key_does_not_load_the_library() -> None:
    code = (
        "import sys; from promptprop.adapters.models import keys, ledger, litellm_client; "
        "keys.missing_key('gpt-5', None, {}); print([m for m in ('litellm', 'httpx', 'openai') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_the_loopback_server_runs_on_its_own() -> None:
    script = Path(server_module.__file__)
    command = [sys.executable, str(script), "--port", "0", "--answers", "constant"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            base = f"http://127.0.0.1:{int(server.stdout.readline())}"
            faults = json.dumps({"schedule": {"2": {"kind": "nul"}}}).encode()
            urllib.request.urlopen(f"{base}/faults", data=faults, timeout=10).close()
            body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()
            answers = []
            for _ in range(2):
                with urllib.request.urlopen(f"{base}/v1/chat/completions", data=body, timeout=10) as response:
                    answers.append(json.load(response)["choices"][0]["message"]["content"])
            with urllib.request.urlopen(f"{base}/stats", timeout=10) as response:
                stats = json.load(response)
        finally:
            server.terminate()
    assert answers == ["ok", "a\x00b"]
    assert (stats["requests"], stats["faults"], list(stats["bodies"].values())) == (2, {"nul": 1}, [2])


async def test_references_of_a_request_are_sent_as_what_they_stand_for(openai_server: OpenAIServer) -> None:
    def headers(tenant: str) -> dict[str, object]:
        return {"extra_headers": {"x-tenant": tenant, "x-title": "shop"}, "user": "me"}

    client = LiteLLMClient("openai/gpt-4o-mini", openai_server.url, "k", params=headers("Bearer t3nantSecret"))
    await client.complete(ask(**headers("Bearer ${env:TENANT}"), temperature=0.5), 20)
    await client.close()
    sent = {name.lower(): value for name, value in openai_server.headers[0].items()}
    assert (sent["x-tenant"], sent["x-title"]) == ("Bearer t3nantSecret", "shop")
    assert (openai_server.payloads[0]["temperature"], openai_server.payloads[0]["user"]) == (0.5, "me")
    assert redact("of t3nantSecret and of a shop") == "of [redacted] and of a shop"


async def test_an_answer_that_repeats_the_key_comes_without_it(openai_server: OpenAIServer) -> None:
    key = "canary-answer-0815"
    client = LiteLLMClient("openai/gpt-4o-mini", openai_server.url, key)
    reply = await client.complete(ask(f"you sent {key}"), 20)
    await client.close()
    assert reply.text == "you sent [redacted]"


@pytest.mark.parametrize("name", ["api_key", "timeout", "num_retries", "max_retries", "fallbacks", "n", "stream"])
def test_params_cannot_take_over_what_belongs_to_the_client(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        LiteLLMClient("openai/gpt-4o-mini", params={name: 1})


async def test_what_a_provider_repeats_of_a_key_is_blacked_out_before_its_message_is_cut(
    openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "canary-0123456789-abcdef"
    words = "x" * (LONGEST - 10) + key
    monkeypatch.setitem(server_module.ERRORS, "bad_request", (400, words, key, key))
    openai_server.fail_always("bad_request")
    client = LiteLLMClient("openai/gpt-4o-mini", openai_server.url, key)
    with pytest.raises(RequestRefused) as caught:
        await client.complete(ask(), 20)
    await client.close()
    assert "canary" not in str(caught.value)
    assert "xxx" in str(caught.value)


def test_no_warning_of_litellms_own_types_reaches_a_run() -> None:
    script = (
        "from promptprop.adapters.models.litellm_client import load; library = load(); import warnings; "
        "warnings.simplefilter('error'); library.ModelResponse(); library.EmbeddingResponse()"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("told", [True, False])
async def test_litellm_prepares_no_log_of_a_call_unless_it_cannot_be_told_so(
    openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    load()
    from litellm._internal_context import is_internal_call
    from litellm.litellm_core_utils.litellm_logging import Logging

    logged = []

    async def handler(_: object, result: object, **__: object) -> None:
        logged.append(result)

    monkeypatch.setattr(Logging, "async_success_handler", handler)
    if not told:
        monkeypatch.setitem(sys.modules, "litellm._internal_context", None)
    internal_mark.cache_clear()
    client = LiteLLMClient("openai/local", openai_server.url)
    reply = await client.complete(ask(), 20)
    if not told:
        await until(lambda: bool(logged))
    await client.close()
    internal_mark.cache_clear()
    assert (reply.text, len(logged)) == ("hello", 0 if told else 1)
    assert not is_internal_call.get()


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail("what was waited for did not come about within 10 s")
