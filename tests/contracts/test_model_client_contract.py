"""What every ModelClient must do. A client that speaks HTTP joins by one line in WIRE, any client by one in ANY."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest
from loopback import answering, completion
from openai_server import Answer, Fault, OpenAIServer

from promptprop.adapters.models.litellm_client import LiteLLMClient
from promptprop.adapters.models.openai_http.client import OpenAIHttpClient
from promptprop.adapters.models.parameters import usage_bound
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
    WrongAddress,
)
from promptprop.domain.models import Message, ModelRequest, Usage
from promptprop.ports import ModelClient

WIRE: dict[str, Callable[[str], ModelClient]] = {
    "http": lambda url: OpenAIHttpClient("openai/gpt-4o-mini", url, "sk-test-key-123"),
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
    one, other = [await wire_client.embed([text], TIMEOUT) for text in ("a", "b")]
    assert both.rows == [*one.rows, *other.rows]
    assert both.usage.prompt_tokens > 0
    assert both.usage.completion_tokens == 0
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


# --- over the wire: what other servers say ----------------------------------------------------------------------------


def failed(message: str, code: object = None, kind: str = "error") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def for_each(rows: list[Any]) -> list[Any]:
    """The rows for every client but those that LiteLLM, whatever we do, understands in its own way."""
    pairs = [(name, row) for row in rows for name in sorted(WIRE) if (name, row[0]) not in LITELLMS_WAY]
    return [pytest.param(name, *row[1:], id=f"{row[0]}-{name}") for name, row in pairs]


LITELLMS_WAY = {
    ("litellm", "parts"),  # its types refuse them: an unreadable answer
    *(("litellm", "422"), ("litellm", "422 as FastAPI says it")),  # it tries to drop parameters, and loses the error
}


ODD_ANSWERS: list[tuple[str, Any, str, str]] = [
    (
        "parts",
        completion({"content": [{"type": "text", "text": "fi"}, {"type": "text", "text": "ne"}]}),
        "fine",
        "stop",
    ),
    ("refusal", completion({"content": None, "refusal": "I will not."}), "I will not.", "stop"),
    ("thought", completion({"content": "<think>let me see</think>fine"}), "fine", "stop"),
    ("cut short", completion({"content": ""}, "length"), "", "length"),
    ("another end", completion({"content": "fine"}, "eos"), "fine", "stop"),
    ("no end", completion({"content": "fine"}, None), "fine", "stop"),
    ("an empty error beside it", completion({"content": "fine"}, error={"message": "", "code": None}), "fine", "stop"),
    ("more fields", completion({"content": "fine", "reasoning_content": "hm", "x": 1}, y=[2]), "fine", "stop"),
]


@pytest.mark.parametrize(("name", "body", "text", "reason"), for_each(ODD_ANSWERS))
async def test_answers_of_other_servers_are_understood(name: str, body: Any, text: str, reason: str) -> None:
    async with answering(body) as server, opened(WIRE[name], server.url) as client:
        reply = await client.complete(ask(), TIMEOUT)
    assert (reply.text, reply.finish_reason, reply.usage) == (text, reason, Usage(5, 2))


@pytest.mark.parametrize("name", sorted(WIRE))
@pytest.mark.parametrize("kind", ["text/plain", "application/octet-stream", "application/json; charset=latin-1"])
async def test_valid_json_is_an_answer_whatever_its_content_type_says(name: str, kind: str) -> None:
    async with (
        answering(completion(), headers={"Content-Type": kind}) as server,
        opened(WIRE[name], server.url) as client,
    ):
        assert (await client.complete(ask(), TIMEOUT)).text == "fine"


@pytest.mark.parametrize("name", sorted(WIRE))
@pytest.mark.parametrize("prompt", [10**30, 10**15, -1, 1e300])
async def test_absurd_usage_counts_as_none_and_its_money_as_the_bounds(name: str, prompt: float) -> None:
    said = completion(usage={"prompt_tokens": prompt, "completion_tokens": 2, "total_tokens": 2})
    async with answering(said) as server, opened(WIRE[name], server.url) as client:
        try:
            reply = await client.complete(ask(), TIMEOUT)
        except UnreadableAnswer:
            assert name == "litellm"  # its types refuse some of them
            return
    assert reply.usage == usage_bound(ask().messages, "fine")
    price = client.price()
    assert price is not None
    assert reply.picousd == price.of(reply.usage)


@pytest.mark.parametrize("name", sorted(WIRE))
@pytest.mark.parametrize("location", ["/login", "https://models.invalid/v1/chat/completions"])
async def test_an_address_that_sends_its_callers_on_for_ever_or_to_nowhere_is_wrong(name: str, location: str) -> None:
    async with answering(b"", 307, {"Location": location}) as server, opened(WIRE[name], server.url) as client:
        with pytest.raises(WrongAddress) as caught:
            await client.complete(ask(), TIMEOUT)
    assert server.url in caught.value.message
    assert "api_base" in caught.value.remedy
    assert (caught.value.policy, caught.value.unconfirmed) == ("stop", False)


@pytest.mark.parametrize("name", sorted(WIRE))
async def test_a_web_page_in_an_errors_place_is_named_by_its_title(name: str) -> None:
    page = b"<!doctype html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
    async with answering(page, 502, {"Content-Type": "text/html"}) as server, opened(WIRE[name], server.url) as client:
        with pytest.raises(ProviderUnavailable) as caught:
            await client.complete(ask(), TIMEOUT)
    assert "502 Bad Gateway" in caught.value.message
    assert "<" not in caught.value.message


@pytest.mark.parametrize("name", sorted(WIRE))
async def test_no_proxy_stands_before_a_server_on_this_machine(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(variable, "models.invalid")
    async with answering(completion()) as server, opened(WIRE[name], server.url) as client:
        await client.warm()  # type: ignore[attr-defined]  # not part of the port: whoever opens a client calls it
        assert (await client.complete(ask(), TIMEOUT)).text == "fine"


@pytest.mark.parametrize("name", sorted(WIRE))
async def test_a_proxy_that_does_not_run_is_named_and_nothing_is_unconfirmed(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(variable, "http://me:pr0xyPassw0rd@127.0.0.1:9")
    async with opened(WIRE[name], "http://models.invalid/v1") as client:
        with pytest.raises(EndpointUnreachable) as caught:
            await client.complete(ask(), TIMEOUT)
    assert "127.0.0.1:9" in caught.value.message
    assert "HTTP_PROXY" in caught.value.remedy
    assert "pr0xyPassw0rd" not in str(caught.value)
    assert not caught.value.unconfirmed


ODD_ERRORS: list[tuple[str, int, Any, type[ModelError]]] = [
    ("405", 405, b"Method Not Allowed", WrongAddress),
    ("407", 407, b"who are you", EndpointUnreachable),
    ("402", 402, failed("Insufficient credits", 402), QuotaExhausted),
    ("413", 413, failed("Request too large"), RequestRefused),
    ("422", 422, failed("unprocessable"), RequestRefused),
    ("422 as FastAPI says it", 422, {"detail": [{"loc": ["body"], "msg": "bad"}]}, RequestRefused),
    ("529", 529, failed("Overloaded", None, "overloaded_error"), ProviderUnavailable),
    ("408", 408, failed("too slow"), CallTimedOut),
    ("401 as a text", 401, b"who are you", AuthenticationFailed),
    ("404 as a list", 404, [failed("no such model", 404)], UnknownModel),
    ("Azure's filter", 400, failed("The response was filtered", "content_filter"), ContentFiltered),
    (
        "vLLM's context",
        400,
        {"object": "error", "message": "This model's maximum context length is 4096 tokens"},
        ContextTooLong,
    ),
    ("429 in a 200", 200, failed("Rate limit exceeded", 429), RateLimited),
    ("a word in a 200", 200, completion(error={"message": "slow down", "code": "rate_limit_exceeded"}), RateLimited),
    ("502 in a 200", 200, failed("Provider returned error", 502), ProviderUnavailable),
    ("filtered with its reasons", 200, completion({"content": None}, "content_filter"), ContentFiltered),
    ("no text, cut short", 200, completion({"content": None}, "length"), UnreadableAnswer),
    ("a list", 200, [], UnreadableAnswer),
    ("nothing", 200, b"", UnreadableAnswer),
    ("no choices", 200, {"choices": None}, UnreadableAnswer),
]


@pytest.mark.parametrize(("name", "status", "body", "error"), for_each(ODD_ERRORS))
async def test_errors_of_other_servers_have_their_class(
    name: str, status: int, body: Any, error: type[ModelError]
) -> None:
    async with answering(body, status) as server, opened(WIRE[name], server.url) as client:
        with pytest.raises(ModelError) as caught:
            await client.complete(ask(), TIMEOUT)
    assert isinstance(caught.value, error)
    assert len(server.seen) == 1


@pytest.mark.parametrize("name", sorted(WIRE))
async def test_retry_after_may_be_a_date_for_every_client(name: str) -> None:
    until = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=100), usegmt=True)
    async with (
        answering(failed("wait"), 429, {"Retry-After": until}) as server,
        opened(WIRE[name], server.url) as client,
    ):
        with pytest.raises(RateLimited) as caught:
            await client.complete(ask(), TIMEOUT)
    assert caught.value.retry_after is not None
    assert 50 < caught.value.retry_after <= 100
