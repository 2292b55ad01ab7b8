"""The client that serves every provider, through LiteLLM: one HTTP request a call, none of its retries or callbacks."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
import warnings
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import ContextVar
from functools import lru_cache, partial
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from promptprop.adapters.logs import redact_answer, register_environment, register_secret, register_url
from promptprop.adapters.models.failures import Target, textless, timed_out, withheld
from promptprop.adapters.models.litellm_costs import cost_of
from promptprop.adapters.models.litellm_errors import translate
from promptprop.adapters.models.litellm_heap import set_aside, take_back
from promptprop.adapters.models.parameters import (
    NO_KEY,
    Parameters,
    embedding_usage,
    reported_usage,
    token_count,
    usage_bound,
)
from promptprop.adapters.models.prices import listed_price
from promptprop.domain.budget import Price
from promptprop.domain.errors import ModelError, UnreadableAnswer
from promptprop.domain.models import Json, ModelRequest, Reply, Usage, storable
from promptprop.domain.settings import is_loopback
from promptprop.domain.vectors import Vectors

SETTINGS = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # no download at import
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_MODE": "PRODUCTION",  # else it reads the .env file of whatever folder it is started in
}
LOGGERS = ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy")

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
        if api_base:
            register_url(api_base)
        self._model = model
        self._key = api_key or (NO_KEY if is_loopback(api_base) else None)
        self._target = Target(model, api_base, api_key)
        self._price = price

    async def warm(self) -> None:
        """Load the library in a thread, so that the loop lives on meanwhile."""
        if is_loopback(self._target.api_base):
            spare_proxies(urlsplit(self._target.api_base or "").hostname or "")
        await asyncio.to_thread(load)

    async def complete(self, request: ModelRequest, timeout: float) -> Reply:
        """Answer one request within `timeout` seconds. Raises ModelError."""
        litellm = await self._library()
        # lone surrogates cannot be sent as UTF-8
        messages = [{"role": message.role, "content": storable(message.content)} for message in request.messages]
        sent = self._parameters.of(request.parameters)
        began = time.monotonic()
        response = await self._within(timeout, litellm.acompletion, {**sent, "messages": messages})
        return self._reply(request, sent, response, time.monotonic() - began)

    async def embed(self, texts: Sequence[str], timeout: float) -> Vectors:
        """One vector a text, in order. Raises ModelError."""
        litellm = await self._library()
        arguments = {**self._parameters.own, "input": [storable(text) for text in texts]}
        response = await self._within(timeout, litellm.aembedding, arguments)
        rows = sorted(response.data or [], key=lambda row: int(row["index"]))
        if len(rows) != len(texts):
            raise UnreadableAnswer(f"{self._model}: {len(rows)} vectors for {len(texts)} texts")
        vectors = [[float(value) for value in row["embedding"]] for row in rows]
        counted = getattr(getattr(response, "usage", None), "prompt_tokens", None)
        return Vectors(vectors, embedding_usage(counted, texts))

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
        call = partial(
            function,
            model=self._model,
            api_base=self._target.api_base,
            api_key=self._key,
            num_retries=0,
            max_retries=0,
            timeout=timeout,
            **arguments,
        )
        try:
            # LiteLLM's own timeout is for each read: a slow body escapes it
            response = await asyncio.wait_for(unlogged(call), timeout)
        except asyncio.TimeoutError as error:
            raise timed_out(self._target, timeout) from error
        except ModelError:
            raise
        except Exception as error:
            raise translate(error, self._target) from error
        set_aside()  # not before an answer: much of the library is only loaded by a first call
        return response

    def _reply(self, request: ModelRequest, sent: Mapping[str, Json], response: Any, latency: float) -> Reply:
        choices = getattr(response, "choices", None) or []
        if not choices:
            raise UnreadableAnswer(f"{self._model}: an answer without choices")
        reason = str(choices[0].finish_reason or "stop")
        text = text_of(choices[0].message)
        if reason == "content_filter":
            raise withheld(self._target)
        if text is None:
            raise textless(self._target, reason)
        said = getattr(response, "usage", None)
        usage = usage_of(said) or usage_bound(request.messages, text)
        price = self._price or (self.price() if is_absurd(said) else None)
        money = cost_of(response, self._model, sent) if price is None else price.of(usage)
        words, named, why = map(redact_answer, (storable(text), str(response.model or self._model), reason))
        return Reply(words, usage, money, why, named, latency)


def unlogged(call: Callable[[], Coroutine[Any, Any, Any]]) -> asyncio.Task[Any]:
    """Start a call of LiteLLM's as one of its internal ones, of which it keeps no log: nobody reads it.

    That is a tenth of what a call takes. A LiteLLM that cannot be told so makes the call all the same.
    """
    mark = internal_mark()
    if mark is None:
        return asyncio.ensure_future(call())
    token = mark.set(True)
    try:
        return asyncio.ensure_future(call())  # the task has a context of its own, in which the mark stays
    finally:
        mark.reset(token)


@lru_cache(maxsize=1)
def internal_mark() -> ContextVar[bool] | None:
    """Where LiteLLM notes that a call is one of its own within another; None where this version has no such place."""
    try:
        from litellm._internal_context import is_internal_call
    except ImportError:
        return None
    return is_internal_call if isinstance(is_internal_call, ContextVar) else None


def spare_proxies(host: str) -> None:
    """No proxy is asked for `host`, a name of this machine: LiteLLM reads the proxies from the environment alone."""
    if not any(name != "no" for name in getproxies()) or proxy_bypass(host):
        return
    named = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    os.environ["no_proxy"] = f"{named},{host}" if named else host


def text_of(message: Any) -> str | None:
    """What the model said: its answer, or the words of its refusal, which is an answer to be judged as well."""
    more = getattr(message, "provider_specific_fields", None) or {}
    said = (message.content, getattr(message, "refusal", None), more.get("refusal"))
    return next((text for text in said if isinstance(text, str)), None)


def usage_of(usage: Any) -> Usage | None:
    """Tokens as reported; None where nothing was, or what cannot be."""
    return reported_usage(*_counts(usage))


def is_absurd(usage: Any) -> bool:
    """True where a count of tokens is reported that cannot be one: what LiteLLM makes of it is no cost either."""
    return min(map(token_count, _counts(usage))) < 0


def _counts(usage: Any) -> tuple[object, object, object, object]:
    cached = getattr(getattr(usage, "prompt_tokens_details", None), "cached_tokens", 0)
    reasoning = getattr(getattr(usage, "completion_tokens_details", None), "reasoning_tokens", 0)
    return getattr(usage, "prompt_tokens", 0), getattr(usage, "completion_tokens", 0), cached, reasoning


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

    take_back()
    await litellm.close_litellm_async_clients()
    litellm.in_memory_llm_clients_cache.flush_cache()
    await GLOBAL_LOGGING_WORKER.stop()
