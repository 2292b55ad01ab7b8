"""LiteLLM's exceptions, translated into our tree by what really happened on the wire.

LiteLLM reports a refused connection, a broken one, a missing key and an unreadable body all as `InternalServerError`
500, so the classes alone do not tell whether a request was billed. The chain of causes does: httpx's transport errors
and the HTTP response, if there was any.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from promptprop.adapters.logs import REDACTED, redact
from promptprop.adapters.models.keys import KEYS, provider_of
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
from promptprop.domain.models import storable

LONGEST = 500  # characters of a provider's message that are kept
_PREFIX = re.compile(r"^(?:litellm\.)?\w*(?:Error|Exception|Timeout)(?::\s*|\s+-\s+)")
_QUOTA = re.compile(
    r"insufficient_quota|exceeded your current quota|credit balance is too low|billing_hard_limit", re.IGNORECASE
)
_KEY = re.compile(r"missing (?:credentials|.*api key)|api[ _]key not valid|invalid.{0,12}api[ _]key", re.IGNORECASE)
_CONTEXT = re.compile(
    r"context_length_exceeded|context window|maximum context length|prompt is too long|exceeds the maximum number of t",
    re.IGNORECASE,
)
_SOON = re.compile(r"retry in ([0-9.]{1,9})s\b|\"retryDelay\"\s{0,4}:\s{0,4}\"([0-9.]{1,9})s", re.IGNORECASE)
_DAILY = re.compile(r"per_?day", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a call was sent to, for messages and remedies; `key` is blacked out wherever it turns up."""

    model: str
    api_base: str | None
    key: str | None

    @property
    def variable(self) -> str:
        """The environment variable that holds this model's key."""
        provider = provider_of(self.model) or ""
        return KEYS.get(provider, (f"{provider.upper() or 'PROVIDER'}_API_KEY",))[0]

    @property
    def address(self) -> str:
        """Where requests go, in words."""
        return redact(self.api_base) if self.api_base else f"the address of {provider_of(self.model) or 'the provider'}"


def translate(error: Exception, target: Target) -> ModelError:
    """The error of our tree that says what happened; the caller raises it `from` the original."""
    import httpx
    import litellm

    causes = chain(error)
    status, headers = response_of(causes)
    what = f"{target.model}: {message_of(error, target)}"
    if isinstance(error, litellm.ContextWindowExceededError):
        return _too_long(what)
    if isinstance(error, litellm.ContentPolicyViolationError):
        return ContentFiltered(what, remedy="the provider's filter refuses this content: drop or rephrase the row")
    if _any(causes, httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.InvalidURL):
        remedy = f"is {target.address} right, and does it answer? Check api_base, network and proxy"
        return EndpointUnreachable(f"{target.model}: no connection to {target.address}", remedy=remedy)
    if _any(causes, litellm.Timeout, httpx.TimeoutException):
        return timed_out(target)
    if _any(causes, httpx.TransportError):
        return ConnectionDropped(f"{target.model}: the connection broke before the answer was complete")
    if status is not None:
        return by_status(status, headers, what, target, str(error))
    return _without_response(error, causes, what, target)


def by_status(status: int, headers: Mapping[str, str], what: str, target: Target, whole: str = "") -> ModelError:
    """The error for an HTTP status ≥ 400, with the provider's own words in `what`, and uncut in `whole`."""
    soon = retry_after(headers)
    if soon is None and (hint := _SOON.search(whole)):
        soon = float(next(filter(None, hint.groups())).strip(".") or 0)
    # Gemini says of a minute's limit too that the quota is exceeded, but then when to come back
    lasting = soon is None or status != 429 or _DAILY.search(whole) is not None
    if (_QUOTA.search(what) and lasting) or status == 402:
        remedy = "the account has no credit left: top it up or raise its limit, then resume the run"
        return QuotaExhausted(what, remedy=remedy)
    if status in (401, 403) or (status == 400 and _KEY.search(what)):
        return _unauthorised(what, target)
    if status == 404:
        return _unknown(what, target)
    if status == 408:
        return timed_out(target)
    if status == 429:
        return RateLimited(what, remedy="lower rpm, tpm or concurrency of this model", retry_after=soon)
    if status >= 500:
        return ProviderUnavailable(what, remedy="the provider is in trouble: try later", retry_after=soon)
    if _CONTEXT.search(what):
        return _too_long(what)
    return RequestRefused(what, remedy="check this model's params, max_tokens and response_format")


def timed_out(target: Target, seconds: float | None = None) -> CallTimedOut:
    """No complete answer in time."""
    within = f" within {seconds:g} s" if seconds is not None else ""
    return CallTimedOut(f"{target.model}: no complete answer{within}", remedy="raise this model's timeout")


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
        if not isinstance(response, httpx.Response) or response.status_code < 400:
            continue
        if response.headers or isinstance(cause, httpx.HTTPStatusError):
            return response.status_code, response.headers
    headers = getattr(causes[0], "litellm_response_headers", None)
    if headers:
        return getattr(causes[0], "status_code", None), {str(k).lower(): str(v) for k, v in dict(headers).items()}
    return None, {}


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from `Retry-After-Ms`, or `Retry-After` as seconds or as a date.

    >>> retry_after({"retry-after": "2.5"}), retry_after({"retry-after": "soon"}), retry_after({})
    (2.5, None, None)
    """
    milliseconds, wait = headers.get("retry-after-ms"), headers.get("retry-after")
    try:
        if milliseconds is not None:
            return max(0.0, float(milliseconds) / 1000)
        return None if wait is None else max(0.0, float(wait))
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(str(wait))
    except ValueError:
        return None
    return max(0.0, (until.astimezone(timezone.utc) - datetime.now(timezone.utc)).total_seconds())


def message_of(error: BaseException, target: Target) -> str:
    """What the provider said, without LiteLLM's prefixes and without secrets: it is stored and shown as it is here."""
    body: Any = getattr(error, "body", None)
    said = body.get("message") if isinstance(body, dict) else None
    kind = f" ({body['code']})" if isinstance(body, dict) and isinstance(body.get("code"), str) else ""
    text = str(said) if said else str(getattr(error, "message", "") or error)
    while (shorter := _PREFIX.sub("", text, count=1)) != text:
        text = shorter
    text = _said_in(text)
    if target.key:
        text, kind = (part.replace(target.key, REDACTED) for part in (text, kind))
    # before it is cut: nobody recognises the first half of a key
    return storable(redact(text.strip())[:LONGEST] + redact(kind))


def _said_in(text: str) -> str:
    """The message inside a JSON body, as Anthropic and Gemini send it; else the text itself."""
    start = text.find("{")
    try:
        body, _end = json.JSONDecoder().raw_decode(text[start:]) if start >= 0 else (None, 0)
    except ValueError:
        return text
    said = body.get("error") if isinstance(body, dict) else None
    message = said.get("message") if isinstance(said, dict) else None
    return message if isinstance(message, str) and message else text


def _without_response(error: Exception, causes: list[BaseException], what: str, target: Target) -> ModelError:
    import litellm

    if isinstance(error, litellm.AuthenticationError) or _KEY.search(what):
        return _unauthorised(what, target)
    if "LLM Provider NOT provided" in what:
        return _unknown(f"{target.model}: no provider is known by this name", target)
    if isinstance(error, litellm.NotFoundError):
        return _unknown(what, target)
    if _any(causes, json.JSONDecodeError, litellm.APIResponseValidationError) or "invalid response" in what.lower():
        remedy = f"is {target.address} the API itself, and not a web page in front of it?"
        return UnreadableAnswer(f"{target.model}: the answer is not the provider's protocol", remedy=remedy)
    if isinstance(error, litellm.BadRequestError):
        return RequestRefused(what, remedy="check this model's params")
    return UnreadableAnswer(what)


def _unauthorised(what: str, target: Target) -> AuthenticationFailed:
    remedy = f"set {target.variable}, or api_key: ${{env:{target.variable}}} for this model, to a key that may use it"
    return AuthenticationFailed(what, remedy=remedy)


def _unknown(what: str, target: Target) -> UnknownModel:
    remedy = (
        "check the spelling, the provider's prefix (as in openai/… or gemini/…), that your account may use it, "
        f"and that {target.address} is the right api_base"
    )
    return UnknownModel(what, remedy=remedy)


def _too_long(what: str) -> ContextTooLong:
    return ContextTooLong(what, remedy="shorten the prompt or the row, or choose a model with a larger context window")


def _any(causes: list[BaseException], *kinds: type[BaseException]) -> bool:
    return any(isinstance(cause, kinds) for cause in causes)
