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
from promptprop.adapters.models.failures import Target, textless, timed_out, withheld
from promptprop.adapters.models.keys import is_loopback
from promptprop.adapters.models.litellm_errors import translate
from promptprop.adapters.models.parameters import NO_KEY, Parameters, usage_bound
from promptprop.adapters.models.prices import billed_price, listed_price
from promptprop.domain.budget import Price
from promptprop.domain.errors import ModelError, UnreadableAnswer
from promptprop.domain.models import PICO, Json, ModelRequest, Reply, Usage, storable

SETTINGS = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # no download at import
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_MODE": "PRODUCTION",  # else it reads the .env file of whatever folder it is started in
}
LOGGERS = ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy")
# models that LiteLLM asks a server about, blocking, where its list does not know what they cost
ASKING = ("ollama/", "ollama_chat/", "huggingface/")

_loading = threading.Lock()
_open_clients: set[int] = set()


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
        self._parameters = Parameters(model, params)
        if api_key:
            register_secret(api_key)
        self._model = model
        self._key = api_key or (NO_KEY if is_loopback(api_base) else None)
        self._target = Target(model, api_base, api_key)
        self._price = price

    async def warm(self) -> None:
        """Load the library in a thread, so that the loop lives on meanwhile."""
        await asyncio.to_thread(load)

    async def complete(self, request: ModelRequest, timeout: float) -> Reply:
        """Answer one request within `timeout` seconds. Raises ModelError."""
        litellm = await self._library()
        # lone surrogates cannot be sent as UTF-8
        messages = [{"role": message.role, "content": storable(message.content)} for message in request.messages]
        arguments = {**self._parameters.of(request.parameters), "messages": messages}
        began = time.monotonic()
        response = await self._within(timeout, litellm.acompletion, arguments)
        return self._reply(litellm, request, response, time.monotonic() - began)

    async def embed(self, texts: Sequence[str], timeout: float) -> list[list[float]]:
        """One vector a text, in order. Raises ModelError."""
        litellm = await self._library()
        arguments = {**self._parameters.own, "input": [storable(text) for text in texts]}
        response = await self._within(timeout, litellm.aembedding, arguments)
        rows = sorted(response.data or [], key=lambda row: int(row["index"]))
        if len(rows) != len(texts):
            raise UnreadableAnswer(f"{self._model}: {len(rows)} vectors for {len(texts)} texts")
        return [[float(value) for value in row["embedding"]] for row in rows]

    def price(self) -> Price | None:
        """Money per token: the configured price, else LiteLLM's list; None where it lists none."""
        return self._price if self._price is not None else listed_price(self._model, self._parameters.own)

    async def close(self) -> None:
        """Release connections: LiteLLM pools them for the process, so they go with the last open client."""
        if id(self) not in _open_clients:
            return
        _open_clients.discard(id(self))
        if not _open_clients:
            await _release(load())

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
        text = text_of(choices[0].message)
        if reason == "content_filter":
            raise withheld(self._target)
        if text is None:
            raise textless(self._target, reason)
        usage = usage_of(getattr(response, "usage", None)) or usage_bound(request.messages, text)
        money = self._cost(litellm, request, response, usage)
        return Reply(storable(text), usage, money, reason, str(response.model or self._model), latency)

    def _cost(self, litellm: ModuleType, request: ModelRequest, response: Any, usage: Usage) -> int | None:
        if self._price is not None:
            return self._price.of(usage)
        sent = self._parameters.of(request.parameters)
        listed = billed_price(self._model, str(response.model or ""), parameters=sent)
        if listed is None and self._model.startswith(ASKING):
            return None
        try:
            usd = litellm.completion_cost(
                completion_response=response,
                model=self._model,
                optional_params={"service_tier": sent.get("service_tier")},
                vertex_location=sent.get("vertex_location"),
            )
        except Exception:  # noqa: BLE001 - LiteLLM raises whatever its table lookup happened to meet
            return None
        # 0 is also what it says where it lists no price
        return picousd(usd) if usd or listed is not None else None


def picousd(usd: float) -> int:
    """LiteLLM's money, exactly as it prints it.

    >>> picousd(3e-07)
    300000
    """
    return int((Decimal(str(usd)) * PICO).to_integral_value())


def text_of(message: Any) -> str | None:
    """What the model said: its answer, or the words of its refusal, which is an answer to be judged as well."""
    more = getattr(message, "provider_specific_fields", None) or {}
    said = (message.content, getattr(message, "refusal", None), more.get("refusal"))
    return next((text for text in said if isinstance(text, str)), None)


def usage_of(usage: Any) -> Usage | None:
    """Tokens as reported; None where nothing was."""
    prompt, completion = getattr(usage, "prompt_tokens", 0) or 0, getattr(usage, "completion_tokens", 0) or 0
    if not prompt and not completion:
        return None
    cached = getattr(getattr(usage, "prompt_tokens_details", None), "cached_tokens", 0) or 0
    reasoning = getattr(getattr(usage, "completion_tokens_details", None), "reasoning_tokens", 0) or 0
    return Usage(int(prompt), int(completion), int(cached), int(reasoning))


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
