"""What went wrong in a call, said in our tree: from HTTP statuses and providers' words, free of any vendor library.

Every client that speaks HTTP shares this, so that one fault has one error, one remedy and one policy whichever client
met it. Providers' words are redacted and cut here, before anything keeps them.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

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
    WrongAddress,
)
from promptprop.domain.models import Json, storable

LONGEST = 500  # characters of a provider's message that are kept
MISSING_KEY = re.compile(
    r"missing (?:credentials|.*api key)|api[ _]key not valid|invalid.{0,12}api[ _]key", re.IGNORECASE
)
_QUOTA = re.compile(
    r"insufficient_quota|exceeded your current quota|credit balance is too low|billing_hard_limit", re.IGNORECASE
)
_CONTEXT = re.compile(
    r"context_length_exceeded|context window|maximum context length|prompt is too long|exceeds the maximum number of t",
    re.IGNORECASE,
)
_FILTERED = re.compile(
    r"content_policy_violation|content_filter|content management policy|safety system|input was flagged", re.IGNORECASE
)
_PAGE = re.compile(
    r"\s{0,99}(?:<\?xml[^>]{0,200}>\s{0,99})?<(?:!doctype\s+html|html|head|body|title|h1)\b", re.IGNORECASE
)
_TITLE = re.compile(r"<title[^>]{0,200}>([^<]{1,1000})</title", re.IGNORECASE)
_SOON = re.compile(r"retry in ([0-9.]{1,9})s\b|\"retryDelay\"\s{0,4}:\s{0,4}\"([0-9.]{1,9})s", re.IGNORECASE)
IN_TROUBLE = 500  # the status of an error that names none
_STATUSES = {
    **dict.fromkeys(("rate_limit_exceeded", "rate_limit_error", "insufficient_quota"), 429),
    **dict.fromkeys(("invalid_api_key", "authentication_error"), 401),
    **dict.fromkeys(("context_length_exceeded", "content_filter", "content_policy_violation"), 400),
    **dict.fromkeys(("model_not_found", "not_found_error"), 404),
    "invalid_request_error": 400,
}
"""The statuses that errors in answers mean, by their code or type."""
LONG = 60.0  # seconds: a provider's wait that is told with its refusal
_DAILY = re.compile(r"per_?day", re.IGNORECASE)


PROXY_REMEDY = "does the proxy run? Check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY, or except this host in NO_PROXY"


class FilteredAnswer(ContentFiltered):
    """The provider did the work and then withheld it: it may be billed."""

    unconfirmed = True


class ProxyUnauthorised(EndpointUnreachable):
    """The proxy, not the provider, wants a name and a password: nothing was sent, and no attempt will be."""

    exit_code = 2
    policy = "stop"


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
    if status in (400, 403, 422) and _FILTERED.search(what):
        return filtered(what)
    if elsewhere := _not_there(status, what, target):
        return elsewhere
    if status in (401, 403) or (status == 400 and MISSING_KEY.search(what)):
        return unauthorised(what, target)
    if status in (408, 429) or status >= 500:
        return _passing(status, what, target, soon)
    if _CONTEXT.search(what):
        return too_long(what)
    return RequestRefused(what, remedy="check this model's params, max_tokens and response_format")


def in_answer(text: str, code: Json, kind: Json, target: Target) -> ModelError:
    """The error that stands in place of an answer, with status 200: so gateways report what happened behind them."""
    word = code if isinstance(code, str) and not code.isdecimal() else ""
    status = _status(code) or _STATUSES.get(word) or _STATUSES.get(str(kind)) or IN_TROUBLE
    what = f"{target.model}: {spoken(text or 'an error in place of an answer', target, word)}"
    return by_status(status, {}, what, target, text)


def _status(code: Json) -> int | None:
    if isinstance(code, str) and code.isdecimal() and len(code) == 3:
        code = int(code)
    return code if isinstance(code, int) and 400 <= code < 600 else None


def _not_there(status: int, what: str, target: Target) -> ModelError | None:
    """The errors of whoever answers in the API's place, or does not know what it is asked for; None for others."""
    if status == 404:
        return unknown_model(what, target)
    if status == 405:
        return wrong_address(what, target)
    return proxy_unauthorised(what) if status == 407 else None


def _passing(status: int, what: str, target: Target, soon: float | None) -> ModelError:
    """The errors that another attempt may not meet."""
    if status == 408:
        return timed_out(target)
    if status == 429:
        what += f" (asks to wait {soon:.0f} s)" if soon is not None and soon > LONG else ""
        return RateLimited(what, remedy="lower rpm, tpm or concurrency of this model", retry_after=soon)
    return ProviderUnavailable(what, remedy="the provider is in trouble: try later", retry_after=soon)


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
        until = parsedate_to_datetime(str(wait)).astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None
    return max(0.0, (until - datetime.now(timezone.utc)).total_seconds())


def spoken(text: str, target: Target, code: str = "") -> str:
    """What the provider said, with its code in brackets, without secrets: it is stored and shown as it is here."""
    kind = f" ({code})" if code else ""
    if target.key:
        text, kind = (part.replace(target.key, REDACTED) for part in (text, kind))
    # before it is cut: nobody recognises the first half of a key
    return storable(redact(text.strip())[:LONGEST] + redact(kind)[:LONGEST])


def said_in(text: str) -> str:
    """The message inside a JSON body, as Anthropic and Gemini send it; a web page's title; else the text itself."""
    if _PAGE.match(text):
        title = _TITLE.search(text)
        named = " ".join(html.unescape(title[1]).split()) if title else ""
        return f"an HTML page, “{named}”" if named else "an HTML page"
    start = text.find("{")
    try:
        body, _end = json.JSONDecoder().raw_decode(text[start:]) if start >= 0 else (None, 0)
    except (ValueError, RecursionError):
        return text
    said = body.get("error") if isinstance(body, dict) else None
    message = said.get("message") if isinstance(said, dict) else None
    return message if isinstance(message, str) and message else text


def timed_out(target: Target, seconds: float | None = None) -> CallTimedOut:
    """No complete answer in time."""
    within = f" within {seconds:g} s" if seconds is not None else ""
    return CallTimedOut(f"{target.model}: no complete answer{within}", remedy="raise this model's timeout")


def unreachable(target: Target, proxy: str | None = None) -> EndpointUnreachable:
    """No connection could be made: nothing was sent. `proxy` is the one that was to make it, if there is one."""
    if proxy is not None:
        what = f"{target.model}: no connection to {target.address} through the proxy{named_proxy(proxy)}"
        return EndpointUnreachable(what, remedy=PROXY_REMEDY)
    remedy = f"is {target.address} right, and does it answer? Check api_base, network and proxy"
    return EndpointUnreachable(f"{target.model}: no connection to {target.address}", remedy=remedy)


def insecure(target: Target) -> EndpointUnreachable:
    """No secure connection could be made: nothing was sent."""
    remedy = (
        "is it https, or should the address begin with http://? If its certificate is signed by your own authority, "
        "set SSL_CERT_FILE to that authority's file"
    )
    return EndpointUnreachable(f"{target.model}: no secure connection to {target.address}", remedy=remedy)


def proxy_unauthorised(what: str) -> ProxyUnauthorised:
    """The proxy, not the provider, wants a name and a password."""
    remedy = (
        "the proxy wants a name and a password: put them into HTTPS_PROXY or HTTP_PROXY, "
        "as in http://NAME:PASSWORD@HOST:PORT"
    )
    return ProxyUnauthorised(what, remedy=remedy)


def wrong_address(what: str, target: Target) -> WrongAddress:
    """There is a server, but nothing that takes such requests at this path."""
    remedy = f"nothing takes requests at {target.address}: check api_base, which often ends in /v1"
    return WrongAddress(what, remedy=remedy)


def sent_on(target: Target, where: str) -> WrongAddress:
    """The request arrived, but not at the API: what answers there sends its callers on `where`, time and again."""
    remedy = "set api_base to the address that the redirect leads to, if you trust it"
    return WrongAddress(f"{target.model}: {target.address} sends its callers on {where}", remedy=remedy)


def named_proxy(proxy: str) -> str:
    """A proxy for messages: its host and port, never the name and password in front of them.

    >>> named_proxy("http://me:secret@proxy.example:3128/")
    ' proxy.example:3128'
    """
    try:
        host = urlsplit(redact(storable(proxy))).netloc.rpartition("@")[2]
    except ValueError:
        return ""
    return f" {host}" if host else ""


def dropped(target: Target) -> ConnectionDropped:
    """The connection broke under way."""
    return ConnectionDropped(f"{target.model}: the connection broke before the answer was complete")


def foreign(target: Target) -> UnreadableAnswer:
    """The answer is something else than what the provider's API sends."""
    remedy = f"is {target.address} the API itself, and not a web page in front of it?"
    return UnreadableAnswer(f"{target.model}: the answer is not the provider's protocol", remedy=remedy)


def unauthorised(what: str, target: Target) -> AuthenticationFailed:
    """The key is missing, wrong, or may not use this model."""
    remedy = f"set {target.variable}, or api_key: ${{env:{target.variable}}} for this model, to a key that may use it"
    return AuthenticationFailed(what, remedy=remedy)


def unknown_model(what: str, target: Target) -> UnknownModel:
    """Nobody answers to this name at this address."""
    remedy = (
        "check the spelling, the provider's prefix (as in openai/… or gemini/…), that your account may use it, "
        f"and that {target.address} is the right api_base"
    )
    return UnknownModel(what, remedy=remedy)


def too_long(what: str) -> ContextTooLong:
    """The request does not fit into the context window."""
    return ContextTooLong(what, remedy="shorten the prompt or the row, or choose a model with a larger context window")


def filtered(what: str) -> ContentFiltered:
    """The provider refused the content before it did any work."""
    return ContentFiltered(what, remedy="the provider's filter refuses this content: drop or rephrase the row")


def withheld(target: Target) -> FilteredAnswer:
    """The provider's filter kept the answer back."""
    return FilteredAnswer(f"{target.model}: the answer was withheld by the provider's filter")


def textless(target: Target, reason: str) -> UnreadableAnswer:
    """An answer that holds no text."""
    remedy = "a model that thinks needs a larger max_tokens" if reason == "length" else ""
    return UnreadableAnswer(f"{target.model}: an answer without text ({reason})", remedy=remedy)
