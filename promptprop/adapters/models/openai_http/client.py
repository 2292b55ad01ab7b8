"""The client for endpoints that speak OpenAI's protocol: one HTTP request a call, and little else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from promptprop.adapters.logs import redact_answer, register_secret, register_url
from promptprop.adapters.models.failures import Target
from promptprop.adapters.models.openai_http.addresses import Route, find_route
from promptprop.adapters.models.openai_http.answers import Answer, read_chat, read_json, read_vectors, refusal
from promptprop.adapters.models.openai_http.body import Frame, frame_chat, frame_texts, heard
from promptprop.adapters.models.parameters import NO_KEY, Parameters, embedding_usage, usage_bound
from promptprop.adapters.models.prices import billed_price, listed_price
from promptprop.domain.budget import Price
from promptprop.domain.errors import ConfigError
from promptprop.domain.models import Json, ModelRequest, Reply
from promptprop.domain.vectors import Vectors

if TYPE_CHECKING:
    from promptprop.adapters.models.openai_http.connection import Connection

CONNECTION = "promptprop.adapters.models.openai_http.connection"
KNOWN = 64  # sets of parameters, and prices, that are remembered; a run has a few
ORGANIZATION = {
    "OpenAI-Organization": ("OPENAI_ORGANIZATION", "OPENAI_ORG_ID"),
    "OpenAI-Project": ("OPENAI_PROJECT_ID",),
}


class OpenAIHttpClient:
    """One model at an OpenAI-compatible endpoint (port: `ModelClient`)."""

    def __init__(
        self,
        model: str,
        api_base: str | None = None,
        api_key: str | None = None,
        params: Mapping[str, Json] | None = None,
        price: Price | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`params`, references resolved, go with every request unless it sets them itself; `price` replaces the list's.

        `environment` may hold address and key. The key is blacked out from now on. Raises ConfigError where `params`
        set what is not theirs to set, or where no address is known.
        """
        environment = environment or {}
        route = find_route(model, api_base, api_key, environment)
        if route is None:
            raise ConfigError(f"{model} has no address that the http client knows", remedy="set api_base")
        if route.key and route.key != NO_KEY:
            register_secret(route.key)
        register_url(route.api_base)
        self._model = model
        self._route = route
        self._openai = route.provider == "openai"
        self._target = Target(model, route.api_base, route.key)
        self._parameters = Parameters(model, params)
        self._price = price
        self._headers = _headers(route, environment)
        self._connection: Connection | None = None
        self._frames: dict[int, tuple[Mapping[str, Json], Frame]] = {}
        self._prices: dict[tuple[str, str | None], Price | None] = {}

    async def warm(self) -> None:
        """Load aiohttp in a thread, so that the loop lives on meanwhile."""
        await asyncio.to_thread(import_module, CONNECTION)

    async def complete(self, request: ModelRequest, timeout: float) -> Reply:
        """Answer one request within `timeout` seconds. Raises ModelError."""
        frame = self._frame(request.parameters)
        messages = heard(request.messages, self._route.name) if self._openai else request.messages
        began = time.monotonic()
        said = await self._asked("chat/completions", frame, frame.chat(messages), timeout)
        answer = read_chat(said, self._target)
        latency = time.monotonic() - began
        usage = answer.usage or usage_bound(request.messages, answer.text)
        price = self._price or self._billed(answer)
        money = None if price is None else price.of(usage, answer.written)
        text, named = redact_answer(answer.text), redact_answer(answer.model) or self._route.name
        return Reply(text, usage, money, answer.reason, named, latency)

    async def embed(self, texts: Sequence[str], timeout: float) -> Vectors:
        """One vector a text, in order. Raises ModelError."""
        frame = frame_texts(self._route.name, self._parameters.own)
        said = await self._asked("embeddings", frame, frame.texts(texts), timeout)
        rows = read_vectors(said, len(texts), self._target)
        usage = said.get("usage") if isinstance(said, dict) else None
        counted = usage.get("prompt_tokens") if isinstance(usage, dict) else None
        return Vectors(rows, embedding_usage(counted, texts))

    def price(self) -> Price | None:
        """Money per token: the configured price, else LiteLLM's list; None where it lists none."""
        return self._price if self._price is not None else listed_price(self._model, self._parameters.own)

    async def close(self) -> None:
        """Release connections."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _asked(self, path: str, frame: Frame, body: bytes, timeout: float) -> Json:
        connection = self._connection or self._open()
        status, headers, answer = await connection.post(path, body, timeout, frame.headers, frame.query)
        if status >= 400:
            raise refusal(status, headers, answer, self._target)
        return read_json(answer, self._target)

    def _open(self) -> Connection:
        from promptprop.adapters.models.openai_http.connection import Connection

        self._connection = Connection(self._target, self._route.api_base, self._headers)
        return self._connection

    def _frame(self, parameters: Mapping[str, Json]) -> Frame:
        """The frame for these parameters; requests of one kind share theirs, so it is written once for all."""
        known = self._frames.get(id(parameters))
        if known is not None:
            return known[1]
        frame = frame_chat(self._route.name, self._parameters.of(parameters), openai=self._openai)
        if len(self._frames) >= KNOWN:
            self._frames.clear()
        self._frames[id(parameters)] = (parameters, frame)  # kept alive, so that its id stays its own
        return frame

    def _billed(self, answer: Answer) -> Price | None:
        served = (answer.model, answer.tier)
        if served not in self._prices:
            if len(self._prices) >= KNOWN:
                self._prices.clear()
            self._prices[served] = billed_price(self._model, answer.model, answer.tier, self._parameters.own)
        return self._prices[served]


def _headers(route: Route, environment: Mapping[str, str]) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "User-Agent": "promptprop"}
    if route.key:
        headers["Authorization"] = f"Bearer {route.key}"
    if route.provider == "openai":
        for header, variables in ORGANIZATION.items():
            value = next((environment[name] for name in variables if environment.get(name)), None)
            if value:
                headers[header] = value
                register_secret(value)
    return headers
