from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import openai_server as server_module
import pytest
from loopback import answering, completion
from openai_server import Answer, OpenAIServer

from promptprop.adapters.logs import redact
from promptprop.adapters.models.openai_http import client as subject
from promptprop.adapters.models.openai_http.client import OpenAIHttpClient
from promptprop.domain.budget import Price
from promptprop.domain.errors import ConfigError, ModelError
from promptprop.domain.models import Message, ModelRequest, Usage


def ask(text: str = "hello", **parameters: Any) -> ModelRequest:
    return ModelRequest("task", "m", (Message("system", "be brief"), Message("user", text)), parameters)


async def sent_by(client: OpenAIHttpClient, server: OpenAIServer, request: ModelRequest) -> dict[str, Any]:
    await client.complete(request, 20)
    await client.close()
    return server.payloads[-1]


async def test_the_cost_is_that_of_the_listed_price(openai_server: OpenAIServer) -> None:
    openai_server.answers = lambda _: Answer("fine", cached_tokens=2)
    client = OpenAIHttpClient("openai/gpt-4o-mini", openai_server.url, "k")
    reply = await client.complete(ask(), 20)
    await client.close()
    assert client.price() == Price(150_000, 600_000, cached=75_000)
    usage = reply.usage
    assert reply.picousd == 150_000 * usage.prompt_tokens + 600_000 * usage.completion_tokens - 2 * 75_000


async def test_the_price_is_that_of_the_model_and_tier_that_answered() -> None:
    body = completion(model="gpt-4o-mini-2024-07-18", service_tier="priority")
    async with answering(body) as server:
        client = OpenAIHttpClient("openai/gpt-4o-mini", server.url)
        reply = await client.complete(ask(), 20)
        await client.close()
    assert reply.model == "gpt-4o-mini-2024-07-18"
    assert reply.picousd is not None
    assert reply.picousd > Price(150_000, 600_000).of(reply.usage)


async def test_a_configured_price_replaces_the_listed_one(openai_server: OpenAIServer) -> None:
    client = OpenAIHttpClient("openai/gpt-4o-mini", openai_server.url, price=Price(1, 2))
    reply = await client.complete(ask(), 20)
    await client.close()
    assert reply.picousd == reply.usage.prompt_tokens + 2 * reply.usage.completion_tokens
    assert client.price() == Price(1, 2)


async def test_a_configured_price_of_nothing_is_nothing_and_no_unknown(openai_server: OpenAIServer) -> None:
    client = OpenAIHttpClient("openai/gpt-4o-mini", openai_server.url, price=Price(0, 0))
    assert (await client.complete(ask(), 20)).picousd == 0
    await client.close()


async def test_an_unlisted_model_has_no_price_and_costs_unknown(openai_server: OpenAIServer) -> None:
    client = OpenAIHttpClient("hosted_vllm/mine", openai_server.url)
    reply = await client.complete(ask(), 20)
    await client.close()
    assert (reply.picousd, client.price(), reply.model) == (None, None, "mine")


@pytest.mark.parametrize("name", ["cache_write_tokens", "cache_creation_tokens"])
async def test_prompt_tokens_that_filled_the_cache_cost_what_that_costs(name: str) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 3, name: 4}}
    async with answering(completion(usage=usage)) as server:
        client = OpenAIHttpClient("openai/m", server.url, price=Price(100, 1000, cached=10, cache_write=125))
        reply = await client.complete(ask(), 20)
        await client.close()
    assert reply.picousd == 3 * 100 + 3 * 10 + 4 * 125 + 2 * 1000


async def test_an_answer_without_usage_counts_at_its_bound() -> None:
    async with answering(completion({"content": "fine"}, usage=None)) as server:
        client = OpenAIHttpClient("openai/local", server.url)
        reply = await client.complete(ask("abc"), 20)
        await client.close()
    assert reply.usage == Usage(len("be brief") + 3 + 2 * 16, 4)


async def test_the_parameters_of_the_configuration_give_way_to_those_of_a_request(openai_server: OpenAIServer) -> None:
    client = OpenAIHttpClient("openai/gpt-4o-mini", openai_server.url, "k", params={"seed": 1, "user": "u"})
    sent = await sent_by(client, openai_server, ask(seed=2))
    assert (sent["seed"], sent["user"]) == (2, "u")


async def test_what_is_extra_goes_where_it_belongs(openai_server: OpenAIServer) -> None:
    extra = {"extra_body": {"min_p": 0.1, "model": "x"}, "extra_headers": {"x-a": 1}, "extra_query": {"v": 2}}
    client = OpenAIHttpClient(
        "openai/mine", openai_server.url, "k", params={**extra, "organization": "org-1", "seed": None}
    )
    sent = await sent_by(client, openai_server, ask())
    headers = {name.lower(): value for name, value in openai_server.headers[0].items()}
    assert {name for name in sent if name != "messages"} == {"model", "min_p"}
    assert (sent["model"], sent["min_p"]) == ("mine", 0.1)
    assert (headers["x-a"], headers["openai-organization"], headers["authorization"]) == ("1", "org-1", "Bearer k")


async def test_references_of_a_request_are_sent_as_what_they_stand_for(openai_server: OpenAIServer) -> None:
    def headers(tenant: str) -> dict[str, Any]:
        return {"extra_headers": {"x-tenant": tenant}}

    client = OpenAIHttpClient("openai/m", openai_server.url, "k", params=headers("Bearer t3nantHttp"))
    await client.complete(ask(**headers("Bearer ${env:TENANT}")), 20)
    await client.close()
    assert {name.lower(): value for name, value in openai_server.headers[0].items()}["x-tenant"] == "Bearer t3nantHttp"
    assert redact("of t3nantHttp") == "of [redacted]"


async def test_an_answer_that_repeats_what_was_sent_in_secret_comes_without_it() -> None:
    key, organization = "canary-key-0815", "org-canary-0815"
    message = {"content": f"you sent {key} for {organization}, and sk-unknown-0123456789"}
    async with answering(completion(message, model=f"m {key}")) as server:
        environment = {"OPENAI_ORG_ID": organization}
        client = OpenAIHttpClient("openai/m", server.url, key, environment=environment)
        reply = await client.complete(ask(), 20)
        await client.close()
    assert reply.text == "you sent [redacted] for [redacted], and sk-unknown-0123456789"
    assert reply.model == "m [redacted]"
    assert organization in server.seen[0][1].values()


async def test_requests_with_other_parameters_get_other_bodies(
    openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "KNOWN", 3)
    client = OpenAIHttpClient("openai/mine", openai_server.url)
    for _ in range(2):
        for seed in range(5):
            await client.complete(ask(seed=seed), 20)
    await client.close()
    assert [sent["seed"] for sent in openai_server.payloads] == [*range(5), *range(5)]


@pytest.mark.parametrize("name", ["api_key", "timeout", "max_retries", "n", "stream", "messages"])
def test_params_cannot_take_over_what_belongs_to_the_client(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        OpenAIHttpClient("openai/gpt-4o-mini", params={name: 1})


def test_a_model_without_an_address_is_refused() -> None:
    with pytest.raises(ConfigError, match="api_base"):
        OpenAIHttpClient("anthropic/claude-sonnet-4-5")


async def test_key_address_and_organization_may_come_from_the_environment(openai_server: OpenAIServer) -> None:
    environment = {"OPENAI_BASE_URL": openai_server.url, "OPENAI_ORG_ID": "org-2", "OPENAI_PROJECT_ID": "proj-3"}
    client = OpenAIHttpClient("gpt-4o-mini", api_key="from-the-caller", environment=environment)
    await client.complete(ask(), 20)
    await client.close()
    sent = {name.lower(): value for name, value in openai_server.headers[0].items()}
    assert (sent["openai-organization"], sent["openai-project"]) == ("org-2", "proj-3")
    assert sent["authorization"] == "Bearer from-the-caller"
    assert redact("from-the-caller") == "[redacted]"


async def test_the_systems_words_reach_a_model_that_has_no_such_role(openai_server: OpenAIServer) -> None:
    sent = await sent_by(OpenAIHttpClient("openai/o3", openai_server.url), openai_server, ask())
    assert [message["role"] for message in sent["messages"]] == ["user", "user"]


async def test_a_client_can_be_used_again_on_another_loop(openai_server: OpenAIServer) -> None:
    client = OpenAIHttpClient("openai/local", openai_server.url)

    async def once() -> str:
        reply = await client.complete(ask(), 20)
        await client.close()
        return reply.text

    for _ in range(2):
        assert await asyncio.to_thread(asyncio.run, once()) == "hello"


async def test_vectors_take_the_models_own_parameters(openai_server: OpenAIServer) -> None:
    client = OpenAIHttpClient("openai/text-embedding-3-small", openai_server.url, params={"dimensions": 8})
    assert len((await client.embed(["a", "caf\ud83d"], 20)).rows[0]) == 8
    await client.close()
    assert openai_server.payloads[0] == {
        "model": "text-embedding-3-small", "input": ["a", "caf\ufffd"], "dimensions": 8,
    }  # fmt: skip


async def test_too_few_vectors_are_an_unreadable_answer() -> None:
    async with answering({"data": [{"index": 0, "embedding": [0.5]}]}) as server:
        client = OpenAIHttpClient("openai/e", server.url)
        with pytest.raises(ModelError, match="1 vectors for 2 texts"):
            await client.embed(["a", "b"], 20)
        await client.close()


async def test_neither_key_nor_headers_nor_words_are_logged_or_told(
    openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    key, header, words = "canary-key-4711", "canary-header-4712", "canary words of a row"
    monkeypatch.setitem(server_module.ERRORS, "bad_request", (400, f"no: {key} {header}", "t", key))
    params = {"extra_headers": {"x-api-key": header}}
    client = OpenAIHttpClient("openai/gpt-4o-mini", openai_server.url, key, params=params)
    told = []
    for kind in ("bad_request", "drop", "drop_midway", "html_answer", "unauthorized", "truncated_json"):
        openai_server.fail_always(kind)
        with pytest.raises(ModelError) as caught:
            await client.complete(ask(words, **params), 20)
        told.append(str(caught.value))
    await client.close()
    seen = json.dumps(told) + caplog.text
    assert [canary for canary in (key, header, words) if canary in seen] == []
