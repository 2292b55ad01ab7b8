"""LiteLLM's exceptions, translated into our tree by what really happened on the wire.

LiteLLM reports a refused connection, a broken one, a missing key and an unreadable body all as `InternalServerError`
500, so the classes alone do not tell whether a request was billed. The chain of causes does: httpx's transport errors
and the HTTP response, if there was any.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from promptprop.adapters.models.failures import (
    MISSING_KEY,
    Target,
    by_status,
    dropped,
    filtered,
    foreign,
    in_answer,
    insecure,
    proxy_unauthorised,
    said_in,
    sent_on,
    spoken,
    timed_out,
    too_long,
    unauthorised,
    unknown_model,
    unreachable,
)
from promptprop.adapters.models.keys import provider_of
from promptprop.adapters.models.openai_http.addresses import PROVIDERS
from promptprop.domain.errors import ModelError, RequestRefused, UnreadableAnswer

_PREFIX = re.compile(r"^(?:litellm\.)?\w*(?:Error|Exception|Timeout)(?::\s*|\s+-\s+)")


def translate(error: Exception, target: Target) -> ModelError:
    """The error of our tree that says what happened; the caller raises it `from` the original."""
    import httpx
    import litellm

    causes = chain(error)
    status, headers = response_of(causes)
    what = f"{target.model}: {message_of(error, target)}"
    if isinstance(error, litellm.ContextWindowExceededError):
        return too_long(what)
    if isinstance(error, litellm.ContentPolicyViolationError):
        return filtered(what)
    if unconnected := _on_the_way(causes, target):
        return unconnected
    if _any(causes, litellm.Timeout, httpx.TimeoutException):
        return timed_out(target)
    if _any(causes, httpx.TransportError):
        return dropped(target)
    if status is not None:
        return by_status(status, headers, what, target, str(error))
    return _without_response(error, causes, what, target)


def _is_elsewhere(causes: list[BaseException], target: Target) -> bool:
    """True where redirects were followed, as LiteLLM does: to no end, or to another host that did not answer."""
    import httpx

    if _any(causes, httpx.TooManyRedirects):
        return True
    if target.api_base is None or provider_of(target.model) not in PROVIDERS:
        return False  # others may first have to fetch a token, from a host of its own
    base = httpx.URL(target.api_base).host
    asked = [_host_of(cause) for cause in causes if isinstance(cause, httpx.TransportError)]
    return any(host not in (None, base) for host in asked)


def _host_of(error: Any) -> str | None:
    """Whom a request of httpx's that failed was for; None where its error does not say."""
    try:
        return str(error.request.url.host)
    except RuntimeError:
        return None


def _on_the_way(causes: list[BaseException], target: Target) -> ModelError | None:
    """What kept a request from the API; None where it was there. aiohttp's classes tell more than its transport's."""
    import aiohttp
    import httpx

    if _is_elsewhere(causes, target):
        return sent_on(target, "to another address")
    for cause in causes:
        if isinstance(cause, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
            return insecure(target)
        if isinstance(cause, aiohttp.ClientHttpProxyError):
            if cause.status == 407:
                return proxy_unauthorised(f"{target.model}: the proxy lets nobody in (HTTP 407)")
            return unreachable(target, "")
        if isinstance(cause, aiohttp.ClientProxyConnectionError):
            return unreachable(target, f"//{cause.host}:{cause.port}")
        if isinstance(cause, aiohttp.ClientOSError) and not isinstance(cause, aiohttp.ClientConnectorError):
            return dropped(target)
    if _any(causes, httpx.ProxyError):
        return unreachable(target, "")
    never = (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.InvalidURL)
    return unreachable(target) if _any(causes, *never) else None


def chain(error: BaseException) -> list[BaseException]:
    """The error with all its causes, outermost first."""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    return causes


def response_of(causes: list[BaseException]) -> tuple[int | None, Mapping[str, str]]:
    """Status and headers of the HTTP response behind the error; None where there was none.

    LiteLLM's outer exceptions carry made-up responses; what the transport raised is real.
    """
    import httpx

    for cause in reversed(causes):
        response = getattr(cause, "response", None)
        if not isinstance(response, httpx.Response) or _number(response.status_code) < 400:
            continue
        if response.headers or isinstance(cause, httpx.HTTPStatusError):
            return response.status_code, response.headers
    headers = getattr(causes[0], "litellm_response_headers", None)
    if headers:
        return getattr(causes[0], "status_code", None), {str(k).lower(): str(v) for k, v in dict(headers).items()}
    return None, {}


def message_of(error: BaseException, target: Target) -> str:
    """What the provider said, without LiteLLM's prefixes and without secrets."""
    body: Any = getattr(error, "body", None)
    said = body.get("message") if isinstance(body, dict) else None
    code = body["code"] if isinstance(body, dict) and isinstance(body.get("code"), str) else ""
    text = str(said) if said else str(getattr(error, "message", "") or error)
    while (shorter := _PREFIX.sub("", text, count=1)) != text:
        text = shorter
    return spoken(said_in(text), target, code)


def _without_response(error: Exception, causes: list[BaseException], what: str, target: Target) -> ModelError:
    import litellm

    for cause in causes:  # a bare Exception with these two is how LiteLLM reports an error in place of an answer
        if type(cause) is Exception and hasattr(cause, "status_code"):
            return in_answer(str(getattr(cause, "message", "")), getattr(cause, "status_code", None), None, target)
    if isinstance(error, litellm.AuthenticationError) or MISSING_KEY.search(what):
        return unauthorised(what, target)
    if "LLM Provider NOT provided" in what:
        return unknown_model(f"{target.model}: no provider is known by this name", target)
    if isinstance(error, litellm.NotFoundError):
        return unknown_model(what, target)
    if _any(causes, json.JSONDecodeError, litellm.APIResponseValidationError) or "invalid response" in what.lower():
        return foreign(target)
    if isinstance(error, litellm.BadRequestError):
        return RequestRefused(what, remedy="check this model's params")
    return UnreadableAnswer(what)


def _number(status: object) -> int:
    """A status as a number: LiteLLM takes for one whatever a provider calls the code of its error."""
    return status if isinstance(status, int) else 0


def _any(causes: list[BaseException], *kinds: type[BaseException]) -> bool:
    return any(isinstance(cause, kinds) for cause in causes)
