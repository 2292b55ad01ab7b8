"""Anthropic's and Gemini's own protocols over loopback: replies, usage, errors, and one request a call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from promptprop.adapters.models.litellm_client import LiteLLMClient
from promptprop.domain.errors import (
    AuthenticationFailed,
    ConnectionDropped,
    ContextTooLong,
    ModelError,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    RequestRefused,
    UnknownModel,
)
from promptprop.domain.models import Message, ModelRequest, Usage

KEY = "canary-0123456789"
MODELS = {"anthropic": "anthropic/claude-sonnet-4-5", "gemini": "gemini/gemini-2.5-flash"}
GEMINI_MINUTE = "You exceeded your current quota, please check your plan and billing details. Please retry in 36.9s."


@dataclass
class Provider:
    """A server that answers in the protocol of whoever asks, or with `status` and `words`; 0 drops the connection."""

    status: int = 200
    words: str = "no"
    details: list[Any] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    requests: int = 0
    url: str = ""

    async def handle(self, request: web.Request) -> web.Response:
        await request.read()
        self.requests += 1
        gemini = "generateContent" in request.path
        if self.status == 0:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        if self.status != 200:
            words = f"{self.words} {request.headers.get('x-goog-api-key') or request.headers.get('x-api-key')}"
            error = {"code": self.status, "message": words, "status": "X", "type": "x", "details": self.details}
            return web.json_response({"type": "error", "error": error}, status=self.status, headers=self.headers)
        if gemini:
            content = {"parts": [{"text": "hello"}], "role": "model"}
            usage = {"promptTokenCount": 11, "candidatesTokenCount": 3, "totalTokenCount": 14}
            choices = [{"content": content, "finishReason": "STOP", "index": 0}]
            return web.json_response(
                {"candidates": choices, "usageMetadata": usage, "modelVersion": "gemini-2.5-flash"}
            )
        return web.json_response({
            "id": "msg", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
            "content": [{"type": "text", "text": "hello"}], "stop_reason": "end_turn", "stop_sequence": None,
            "usage": {"input_tokens": 11, "output_tokens": 3},
        })  # fmt: skip


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    served = Provider()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", served.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield served
    await runner.cleanup()


@pytest.fixture(params=sorted(MODELS))
async def protocol_client(request: pytest.FixtureRequest, provider: Provider) -> AsyncIterator[LiteLLMClient]:
    opened = LiteLLMClient(MODELS[request.param], provider.url, KEY)
    yield opened
    await opened.close()


def ask() -> ModelRequest:
    messages = (Message("system", "be brief"), Message("user", "hi"))
    return ModelRequest("task", "m", messages, {"temperature": 0, "max_tokens": 9})


async def refusal(client: LiteLLMClient) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await client.complete(ask(), 20)
    return caught.value


async def test_text_usage_reason_and_price_are_the_providers(
    protocol_client: LiteLLMClient, provider: Provider
) -> None:
    reply = await protocol_client.complete(ask(), 20)
    price = protocol_client.price()
    assert price is not None
    assert (reply.text, reply.usage, reply.finish_reason) == ("hello", Usage(11, 3), "stop")
    assert reply.picousd == price.of(Usage(11, 3))
    assert provider.requests == 1


@pytest.mark.parametrize(
    ("status", "words", "kind"),
    [
        (400, "no such field", RequestRefused),
        (400, "API key not valid. Please pass a valid API key.", AuthenticationFailed),
        (400, "prompt is too long: 210000 tokens > 200000 maximum", ContextTooLong),
        (400, "The input token count (9) exceeds the maximum number of tokens allowed (8).", ContextTooLong),
        (400, "Your credit balance is too low to access the API.", QuotaExhausted),
        (401, "who are you?", AuthenticationFailed),
        (403, "not for you", AuthenticationFailed),
        (404, "no such model", UnknownModel),
        (429, "slow down", RateLimited),
        (500, "oh", ProviderUnavailable),
        (529, "overloaded", ProviderUnavailable),
        (0, "", ConnectionDropped),
    ],
)
async def test_each_refusal_becomes_its_error_after_one_request_and_says_the_providers_words(
    protocol_client: LiteLLMClient, provider: Provider, status: int, words: str, kind: type[ModelError]
) -> None:
    provider.status, provider.words = status, words
    error = await refusal(protocol_client)
    assert type(error) is kind
    assert provider.requests == 1
    assert KEY not in str(error)
    if status:
        assert words in error.message
        assert "{" not in error.message


async def test_how_long_to_wait_is_read(protocol_client: LiteLLMClient, provider: Provider) -> None:
    provider.status, provider.headers = 429, {"Retry-After": "3"}
    assert (await refusal(protocol_client)).retry_after == 3


async def test_a_minutes_quota_of_gemini_is_waited_for_and_a_days_quota_ends_the_run(provider: Provider) -> None:
    client = LiteLLMClient(MODELS["gemini"], provider.url, KEY)
    provider.status, provider.words = 429, GEMINI_MINUTE
    provider.details = [{"violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel"}]}]
    waiting = await refusal(client)
    assert (type(waiting), waiting.retry_after) == (RateLimited, 36.9)
    provider.details = [{"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}]}]
    assert type(await refusal(client)) is QuotaExhausted
    await client.close()
