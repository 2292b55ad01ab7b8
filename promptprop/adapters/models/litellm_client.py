"""The client that serves every provider, through LiteLLM: one HTTP request a call, none of its retries or callbacks."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from decimal import Decimal
from types import ModuleType
from typing import Any

from promptprop.adapters.logs import register_environment, register_secret
from promptprop.adapters.models.keys import is_loopback, missing_key, secrets_below
from promptprop.adapters.models.litellm_errors import Target, timed_out, translate
from promptprop.domain.budget import Price, prompt_token_bound
from promptprop.domain.errors import ConfigError, ContentFiltered, ModelError, UnreadableAnswer
from promptprop.domain.models import PICO, Json, Message, ModelRequest, Reply, Usage, storable
from promptprop.domain.settings import REFERENCE, RESERVED

__all__ = ["SETTINGS", "FilteredAnswer", "LiteLLMClient", "load", "missing_key", "picousd", "usage_of"]

SETTINGS = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # no download at import
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_MODE": "PRODUCTION",  # else it reads the .env file of whatever folder it is started in
}
LOGGERS = ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy")
NO_KEY = "no-key-needed"  # what a server on this machine is sent: the OpenAI client insists on some key

_loading = threading.Lock()
_open_clients: set[int] = set()


class FilteredAnswer(ContentFiltered):
    """The provider did the work and then withheld it: it may be billed."""

    unconfirmed = True


class LiteLLMClient:
    """One model behind LiteLLM (port: `ModelClient`). Loading the library takes seconds: call `warm` early."""

    def __init__(
        self,
        model: str,
        api_base: str | None = None,
        api_key: str | None = None,
        params: Mapping[str, Json] | None = None,
        price: Price | None = None,
    ) -> None:
        """`params`, references resolved, go with every request unless it sets them itself; `price` replaces LiteLLM's.

        The key is blacked out from now on, what `params` hold in secret from the first request on. Raises ConfigError
        where `params` set what is not theirs to set: see RESERVED in domain/settings.py.
        """
        for name in params or {}:
            if remedy := RESERVED.get(name):
                raise ConfigError(f"params of {model} cannot set {name}", remedy=remedy)
        if api_key:
            register_secret(api_key)
        self._model = model
        self._key = api_key or (NO_KEY if is_loopback(api_base) else None)
        self._target = Target(model, api_base, api_key)
        self._params = dict(params or {})
        self._told = False
        self._price = price

    async def warm(self) -> None:
        """Load the library in a thread, so that the loop lives on meanwhile."""
        await asyncio.to_thread(load)

    async def complete(self, request: ModelRequest, timeout: float) -> Reply:
        """Answer one request within `timeout` seconds. Raises ModelError."""
        litellm = await self._library()
        # lone surrogates cannot be sent as UTF-8
        messages = [{"role": message.role, "content": storable(message.content)} for message in request.messages]
        arguments = {**self._resolved(request), "messages": messages}
        began = time.monotonic()
        response = await self._within(timeout, litellm.acompletion, arguments)
        return self._reply(litellm, request, response, time.monotonic() - began)

    async def embed(self, texts: Sequence[str], timeout: float) -> list[list[float]]:
        """One vector a text, in order. Raises ModelError."""
        litellm = await self._library()
        arguments = {**self._params, "input": [storable(text) for text in texts]}
        response = await self._within(timeout, litellm.aembedding, arguments)
        rows = sorted(response.data or [], key=lambda row: int(row["index"]))
        if len(rows) != len(texts):
            raise UnreadableAnswer(f"{self._model}: {len(rows)} vectors for {len(texts)} texts")
        return [[float(value) for value in row["embedding"]] for row in rows]

    def price(self) -> Price | None:
        """Money per token: the configured price, else LiteLLM's table; None where it lists none."""
        if self._price is not None:
            return self._price
        litellm = load()
        try:
            costs = litellm.get_model_info(self._model)
        except Exception:  # noqa: BLE001 - LiteLLM raises a bare Exception for a model that its table lacks
            return None
        prompt, completion = costs.get("input_cost_per_token"), costs.get("output_cost_per_token")
        if prompt is None or completion is None:
            return None
        return Price(picousd(prompt), picousd(completion))

    async def close(self) -> None:
        """Release connections: LiteLLM pools them for the process, so they go with the last open client."""
        if id(self) not in _open_clients:
            return
        _open_clients.discard(id(self))
        if not _open_clients:
            await _release(load())

    def _resolved(self, request: ModelRequest) -> dict[str, Json]:
        """What is sent: a request names its parameters as the configuration does, with references, for it is stored."""
        if not self._told:
            self._told = True
            for secret in secrets_below(self._params, request.parameters):
                register_secret(secret)
        given = {k: v for k, v in request.parameters.items() if k not in self._params or not _refers(v)}
        return {**self._params, **given}

    async def _library(self) -> ModuleType:
        library = _loaded()
        if library is None:
            await self.warm()
            library = load()
        _open_clients.add(id(self))
        return library

    async def _within(self, timeout: float, function: Any, arguments: dict[str, Any]) -> Any:
        call = function(
            model=self._model,
            api_base=self._target.api_base,
            api_key=self._key,
            num_retries=0,
            max_retries=0,
            timeout=timeout,
            **arguments,
        )
        try:
            return await asyncio.wait_for(call, timeout)  # LiteLLM's own is for each read: a slow body escapes it
        except asyncio.TimeoutError as error:
            raise timed_out(self._target, timeout) from error
        except ModelError:
            raise
        except Exception as error:
            raise translate(error, self._target) from error

    def _reply(self, litellm: ModuleType, request: ModelRequest, response: Any, latency: float) -> Reply:
        choices = getattr(response, "choices", None) or []
        if not choices:
            raise UnreadableAnswer(f"{self._model}: an answer without choices")
        reason = str(choices[0].finish_reason or "stop")
        text = choices[0].message.content
        if reason == "content_filter":
            raise FilteredAnswer(f"{self._model}: the answer was withheld by the provider's filter")
        if not isinstance(text, str):
            remedy = "a model that thinks needs a larger max_tokens" if reason == "length" else ""
            raise UnreadableAnswer(f"{self._model}: an answer without text ({reason})", remedy=remedy)
        usage = usage_of(getattr(response, "usage", None)) or _bound(request.messages, text)
        money = self._cost(litellm, response, usage)
        return Reply(storable(text), usage, money, reason, str(response.model or self._model), latency)

    def _cost(self, litellm: ModuleType, response: Any, usage: Usage) -> int | None:
        if self._price is not None:
            return self._price.of(usage)
        try:
            return picousd(litellm.completion_cost(completion_response=response, model=self._model))
        except Exception:  # noqa: BLE001 - LiteLLM raises whatever its table lookup happened to meet
            return None


def _refers(value: Json) -> bool:
    """True where there is a reference anywhere below."""
    if isinstance(value, str):
        return REFERENCE.search(value) is not None
    if isinstance(value, Mapping):
        return any(_refers(below) for below in value.values())
    return isinstance(value, list | tuple) and any(_refers(below) for below in value)


def picousd(usd: float) -> int:
    """LiteLLM's money, exactly as it prints it.

    >>> picousd(3e-07)
    300000
    """
    return int((Decimal(str(usd)) * PICO).to_integral_value())


def usage_of(usage: Any) -> Usage | None:
    """Tokens as reported; None where nothing was."""
    prompt, completion = getattr(usage, "prompt_tokens", 0) or 0, getattr(usage, "completion_tokens", 0) or 0
    if not prompt and not completion:
        return None
    cached = getattr(getattr(usage, "prompt_tokens_details", None), "cached_tokens", 0) or 0
    reasoning = getattr(getattr(usage, "completion_tokens_details", None), "reasoning_tokens", 0) or 0
    return Usage(int(prompt), int(completion), int(cached), int(reasoning))


def _bound(messages: tuple[Message, ...], text: str) -> Usage:
    """What a call can have used at most, where the provider reports nothing: a budget must not be blind to it."""
    return Usage(prompt_token_bound(messages), len(text.encode("utf-8", "surrogatepass")))


def _loaded() -> ModuleType | None:
    import sys

    return sys.modules.get("litellm") if _configured else None


_configured = False


def load() -> ModuleType:
    """LiteLLM, imported and silenced once a process. Takes seconds the first time."""
    global _configured  # noqa: PLW0603 - an import is process-wide as well
    with _loading:
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        import litellm

        if not _configured:
            register_environment(os.environ)  # where the library finds credentials of its own accord
            litellm.suppress_debug_info = True
            litellm.telemetry = False
            litellm.drop_params = True
            litellm.num_retries = 0
            litellm.cache = None
            litellm.turn_off_message_logging = True
            for name in LOGGERS:
                logger = logging.getLogger(name)
                logger.handlers[:] = [
                    logging.NullHandler()
                ]  # it writes to stderr otherwise; ours get it by propagation
                logger.setLevel(logging.WARNING)
            with warnings.catch_warnings():
                # pydantic builds LiteLLM's types at their first use, and warns of them: once, here, and not in a run
                warnings.simplefilter("ignore")
                litellm.ModelResponse()
                litellm.EmbeddingResponse()
            _configured = True
    library: ModuleType = litellm
    return library


async def _release(litellm: ModuleType) -> None:
    """Close LiteLLM's pooled connections and its background task, and forget clients that are closed now."""
    from litellm.litellm_core_utils.logging_worker import GLOBAL_LOGGING_WORKER

    await litellm.close_litellm_async_clients()
    litellm.in_memory_llm_clients_cache.flush_cache()
    await GLOBAL_LOGGING_WORKER.stop()
