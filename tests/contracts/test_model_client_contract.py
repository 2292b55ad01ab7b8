"""What every ModelClient must do. A client that speaks HTTP joins by one line in WIRE, any client by one in ANY."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest
from openai_server import Answer, Fault, OpenAIServer

from promptprop.adapters.models.litellm_client import LiteLLMClient
from promptprop.domain.errors import (
    AuthenticationFailed,
    CallTimedOut,
    ConnectionDropped,
    ContentFiltered,
    ContextTooLong,
    EndpointUnreachable,
    ModelError,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    RequestRefused,
    UnknownModel,
    UnreadableAnswer,
)
from promptprop.domain.models import Message, ModelRequest, Usage
from promptprop.ports import ModelClient

WIRE: dict[str, Callable[[str], ModelClient]] = {
    "litellm": lambda url: LiteLLMClient("openai/gpt-4o-mini", url, "sk-test-key-123"),
}
ANY: dict[str, Callable[[str], ModelClient]] = {**WIRE}

TIMEOUT = 20.0


@contextlib.asynccontextmanager
async def opened(make: Callable[[str], ModelClient], url: str) -> AsyncIterator[ModelClient]:
    client = make(url)
    try:
        yield client
    finally:
        await client.close()


@pytest.fixture(params=sorted(ANY))
async def any_client(request: pytest.FixtureRequest, openai_server: OpenAIServer) -> AsyncIterator[ModelClient]:
    async with opened(ANY[request.param], openai_server.url) as client:
        yield client


@pytest.fixture(params=sorted(WIRE))
async def wire_client(request: pytest.FixtureRequest, openai_server: OpenAIServer) -> AsyncIterator[ModelClient]:
    async with opened(WIRE[request.param], openai_server.url) as client:
        yield client


def ask(text: str = "hello", **parameters: object) -> ModelRequest:
    return ModelRequest("task", "m", (Message("system", "be brief"), Message("user", text)), parameters)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail("what was waited for did not come about within 10 s")


# --- any client -------------------------------------------------------------------------------------------------------


async def test_a_reply_has_text_tokens_a_reason_and_a_model(any_client: ModelClient) -> None:
    reply = await any_client.complete(ask(max_tokens=50), TIMEOUT)
    assert reply.text
    assert reply.usage.prompt_tokens > 0
    assert reply.usage.completion_tokens > 0
    assert reply.finish_reason == "stop"
    assert reply.model
    assert reply.latency >= 0


async def test_requests_run_side_by_side(any_client: ModelClient) -> None:
    replies = await asyncio.gather(*(any_client.complete(ask(f"n{n}", max_tokens=50), TIMEOUT) for n in range(8)))
    assert len(replies) == 8


async def test_a_client_can_be_closed_twice(any_client: ModelClient) -> None:
    await any_client.complete(ask(max_tokens=50), TIMEOUT)
    await any_client.close()
    await any_client.close()


async def test_a_client_that_was_never_used_can_be_closed(any_client: ModelClient) -> None:
    await any_client.close()


async def test_a_closed_client_leaves_others_open(any_client: ModelClient, openai_server: OpenAIServer) -> None:
    for make in ANY.values():
        async with opened(make, openai_server.url) as other:
            await other.complete(ask(max_tokens=50), TIMEOUT)
    assert (await any_client.complete(ask("again", max_tokens=50), TIMEOUT)).text


# --- over the wire: answers -------------------------------------------------------------------------------------------


async def test_the_answer_and_its_tokens_are_the_servers(wire_client: ModelClient, openai_server: OpenAIServer) -> None:
    openai_server.answers = lambda _: Answer("fine", cached_tokens=3, reasoning_tokens=7)
    reply = await wire_client.complete(ask(), TIMEOUT)
    stats = openai_server.stats
    assert reply.text == "fine"
    assert reply.usage == Usage(stats.prompt_tokens, stats.completion_tokens, 3, 7)
    assert reply.model == "gpt-4o-mini"


async def test_the_parameters_of_a_request_are_sent(wire_client: ModelClient, openai_server: OpenAIServer) -> None:
    await wire_client.complete(ask(temperature=0.5, max_tokens=7, seed=3), TIMEOUT)
    sent = openai_server.payloads[0]
    assert (sent["temperature"], sent["max_tokens"], sent["seed"]) == (0.5, 7, 3)
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]


async def test_an_answer_cut_short_is_a_reply_that_says_so(
    wire_client: ModelClient, openai_server: OpenAIServer
) -> None:
    openai_server.fail_always("length")
    assert (await wire_client.complete(ask(), TIMEOUT)).finish_reason == "length"


@pytest.mark.parametrize(("kind", "text"), [("surrogate", "caf\ufffd"), ("nul", "a\ufffdb")])
async def test_text_that_no_database_holds_is_made_storable(
    wire_client: ModelClient, openai_server: OpenAIServer, kind: str, text: str
) -> None:
    openai_server.fail_always(kind)
    assert (await wire_client.complete(ask(), TIMEOUT)).text == text


async def test_a_lone_surrogate_in_a_prompt_does_not_break_the_request(wire_client: ModelClient) -> None:
    assert (await wire_client.complete(ask("caf\ud83d"), TIMEOUT)).text == "caf\ufffd"


async def test_vectors_come_in_the_order_of_the_texts(wire_client: ModelClient, openai_server: OpenAIServer) -> None:
    both = await wire_client.embed(["a", "b"], TIMEOUT)
    assert both == [*(await wire_client.embed(["a"], TIMEOUT)), *(await wire_client.embed(["b"], TIMEOUT))]
    assert openai_server.stats.requests == 3


# --- over the wire: errors --------------------------------------------------------------------------------------------

ERRORS: list[tuple[str, type[ModelError], str]] = [
    ("rate_limit", RateLimited, "retry"),
    ("quota", QuotaExhausted, "stop"),
    ("server_error", ProviderUnavailable, "retry"),
    ("overloaded", ProviderUnavailable, "retry"),
    ("bad_gateway", ProviderUnavailable, "retry"),
    ("unknown_model", UnknownModel, "stop"),
    ("unauthorized", AuthenticationFailed, "stop"),
    ("forbidden", AuthenticationFailed, "stop"),
    ("bad_request", RequestRefused, "missing"),
    ("context", ContextTooLong, "missing"),
    ("filtered_prompt", ContentFiltered, "missing"),
    ("filtered_answer", ContentFiltered, "missing"),
    ("empty_choices", UnreadableAnswer, "retry"),
    ("null_content", UnreadableAnswer, "retry"),
    ("truncated_json", UnreadableAnswer, "retry"),
    ("html_answer", UnreadableAnswer, "retry"),
    ("drop", ConnectionDropped, "retry"),
    ("drop_midway", ConnectionDropped, "retry"),
]


@pytest.mark.parametrize(("kind", "error", "policy"), ERRORS)
async def test_each_fault_has_its_error_and_costs_one_request(
    wire_client: ModelClient, openai_server: OpenAIServer, kind: str, error: type[ModelError], policy: str
) -> None:
    openai_server.fail_always(kind)
    with pytest.raises(ModelError) as caught:
        await wire_client.complete(ask(), TIMEOUT)
    assert isinstance(caught.value, error)
    assert caught.value.policy == policy
    assert openai_server.stats.requests == 1


@pytest.mark.parametrize("kind", ["filtered_answer", "null_content", "truncated_json", "drop", "drop_midway"])
async def test_work_that_may_be_billed_is_unconfirmed(
    wire_client: ModelClient, openai_server: OpenAIServer, kind: str
) -> None:
    openai_server.fail_always(kind)
    with pytest.raises(ModelError) as caught:
        await wire_client.complete(ask(), TIMEOUT)
    assert caught.value.unconfirmed


@pytest.mark.parametrize("kind", ["rate_limit", "overloaded"])
async def test_retry_after_is_passed_on(wire_client: ModelClient, openai_server: OpenAIServer, kind: str) -> None:
    openai_server.fail_always(Fault(kind, retry_after=2.5))
    with pytest.raises(ModelError) as caught:
        await wire_client.complete(ask(), TIMEOUT)
    assert caught.value.retry_after == 2.5


async def test_a_rate_limit_without_retry_after_asks_for_no_wait(
    wire_client: ModelClient, openai_server: OpenAIServer
) -> None:
    openai_server.fail_always("rate_limit")
    with pytest.raises(RateLimited) as caught:
        await wire_client.complete(ask(), TIMEOUT)
    assert caught.value.retry_after is None


@pytest.mark.parametrize("kind", ["hang", "slow"])
async def test_the_deadline_holds_for_the_whole_answer(
    wire_client: ModelClient, openai_server: OpenAIServer, kind: str
) -> None:
    await wire_client.complete(ask("loads what is loaded lazily"), TIMEOUT)
    openai_server.fail_always(Fault(kind, seconds=30.0))
    with pytest.raises(CallTimedOut) as caught:
        await wire_client.complete(ask(), 0.5)
    assert caught.value.unconfirmed
    assert openai_server.stats.requests == 2


@pytest.mark.parametrize("name", sorted(WIRE))
async def test_an_address_where_nobody_listens_is_named(name: str) -> None:
    async with opened(WIRE[name], "http://127.0.0.1:9/v1") as client:
        with pytest.raises(EndpointUnreachable) as caught:
            await client.complete(ask(), TIMEOUT)
    assert "http://127.0.0.1:9/v1" in caught.value.message
    assert not caught.value.unconfirmed


async def test_a_wrong_key_names_its_variable_and_not_its_value(
    wire_client: ModelClient, openai_server: OpenAIServer
) -> None:
    openai_server.fail_always("unauthorized")
    with pytest.raises(AuthenticationFailed) as caught:
        await wire_client.complete(ask(), TIMEOUT)
    assert "OPENAI_API_KEY" in caught.value.remedy
    assert "sk-test-key-123" not in str(caught.value)


async def test_a_cancelled_call_lets_its_connection_go(wire_client: ModelClient, openai_server: OpenAIServer) -> None:
    await wire_client.complete(ask("warm"), TIMEOUT)
    openai_server.fail_always("hang")
    task = asyncio.create_task(wire_client.complete(ask(), TIMEOUT))
    await until(lambda: openai_server.stats.in_flight == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: openai_server.stats.in_flight == 0)
