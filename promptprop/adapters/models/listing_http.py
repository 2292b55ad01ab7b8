"""One request for a list of models, and what its refusals mean to somebody who only wants a list.

Keys travel in headers, never in an address, and redirects are not followed, so that no other host sees one.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from promptprop.adapters.logs import REDACTED, redact
from promptprop.adapters.models.keys import KEYS
from promptprop.adapters.models.listing_sources import Source
from promptprop.domain.errors import (
    AuthenticationFailed,
    ConnectionDropped,
    EndpointUnreachable,
    ModelError,
    ProviderUnavailable,
    RateLimited,
    RequestRefused,
    UnknownModel,
    UnreadableAnswer,
)
from promptprop.domain.models import storable
from promptprop.domain.settings import is_loopback

if TYPE_CHECKING:
    from aiohttp import ClientSession

LONGEST_BODY = 32 * 2**20
LONGEST_MESSAGE = 300
ANTHROPIC_VERSION = "2023-06-01"


@dataclass(frozen=True, slots=True)
class Page:
    """One answer to one request."""

    body: Any
    skew: float | None


@asynccontextmanager
async def listing_session() -> AsyncIterator[ClientSession]:
    """A session that takes no password from the machine's .netrc. Proxies are named with each request."""
    from aiohttp import ClientSession, ClientTimeout, DummyCookieJar

    async with ClientSession(timeout=ClientTimeout(total=None), cookie_jar=DummyCookieJar()) as session:
        yield session


async def get_page(
    session: ClientSession, source: Source, path: str, query: Mapping[str, str], *, root: bool = False
) -> Page:
    """One page, read as JSON. Raises ModelError, saying what the server said and what to do."""
    import aiohttp

    if source.key and not (source.key.isascii() and source.key.isprintable()):
        message = f"{who(source)}: the key holds characters that cannot be sent"
        raise AuthenticationFailed(message, remedy=f"write {source.variable or 'api_key'} anew, without line breaks")
    base = source.base.removesuffix("/v1") if root else source.base
    address = redact(base)
    try:
        async with session.get(
            base + path, params=query, headers=_headers(source), allow_redirects=False, proxy=proxy_for(base)
        ) as response:
            status = response.status
            data = await response.content.read(LONGEST_BODY + 1)
            while len(data) <= LONGEST_BODY and (more := await response.content.read(2**20)):
                data += more
            skew = _skew(response.headers.get("Date"))
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, aiohttp.ClientConnectorError, ValueError) as error:
        reason = redact(str(getattr(error, "os_error", None) or error))[:LONGEST_MESSAGE]
        message = f"{who(source)}: no connection to {address}: {_plain(source, reason)}"
        raise EndpointUnreachable(message, remedy=_unreachable(error)) from error
    except aiohttp.ClientHttpProxyError as error:
        message = f"{who(source)}: the proxy refuses the way to {address} ({error.status})"
        raise EndpointUnreachable(message, remedy="check HTTPS_PROXY and NO_PROXY") from error
    except (aiohttp.ClientError, OSError) as error:
        message = f"{who(source)}: the connection to {address} broke"
        raise ConnectionDropped(message, remedy="try again; check network and proxy") from error
    if len(data) > LONGEST_BODY:
        raise unreadable(source)
    if status >= 300:
        raise _refused(source, status, data.decode("utf-8", "replace"))
    try:
        return Page(json.loads(data), skew)
    except (ValueError, RecursionError) as error:
        raise unreadable(source) from error


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for `url`, if it names one; none for this machine."""
    parts = urlsplit(url)
    if not parts.hostname or is_loopback(url) or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxies = getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    return found if not found or "://" in found else f"http://{found}"


def _unreachable(error: Exception) -> str:
    import aiohttp

    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return "the certificate is not trusted: name the company's in SSL_CERT_FILE, or check the address"
    if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError | ValueError):
        return "write the whole address, such as http://localhost:8000/v1"
    return "is there a network, and does the server run? Check the address, VPN and proxy"


def _refused(source: Source, status: int, text: str) -> ModelError:
    """What a status that is no success means for somebody who only wants a list."""
    what = f"{who(source)}: {_said(source, text) or f'HTTP status {status}'}"
    variable = source.variable or KEYS.get(source.provider, ("",))[0]
    if status in (401, 403) or (status == 400 and "api key" in what.lower()):
        if source.key is None:
            return AuthenticationFailed(what, remedy=f"set {variable}" if variable else "give this model its api_key")
        named = f"{variable} is" if source.variable else "its api_key is"
        return AuthenticationFailed(what, remedy=f"{named} refused: put in one that is valid and may list models")
    if status == 404:
        return UnknownModel(what, remedy=f"nothing lists models at {redact(source.base)}: check the address")
    if status == 429:
        return RateLimited(what, remedy="wait a minute, then ask again")
    if status >= 500:
        return ProviderUnavailable(what, remedy="the provider is in trouble: try later")
    if status < 400:
        remedy = f"{redact(source.base)} sends elsewhere: name the new address, or leave the login page in front of it"
        return UnreadableAnswer(what, remedy=remedy)
    return RequestRefused(what, remedy=f"check {redact(source.base)}: is it the API itself?")


def _said(source: Source, text: str) -> str:
    """The message in a refusal's body, without secrets; empty where there is none that people could read."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    body = body[0] if isinstance(body, list) and body else body
    inner = body.get("error", body) if isinstance(body, Mapping) else body
    said = inner.get("message") or inner.get("detail") if isinstance(inner, Mapping) else inner
    return _plain(source, said) if isinstance(said, str) else ""


def _plain(source: Source, text: str) -> str:
    """A provider's words as one line that holds no key. Blacked out before it is cut, while a key is still whole."""
    if source.key:
        text = text.replace(source.key, REDACTED)
    return " ".join(storable(redact(text)).split())[:LONGEST_MESSAGE]


def unreadable(source: Source) -> UnreadableAnswer:
    """The error for an answer that is no listing."""
    remedy = f"is {redact(source.base)} the API itself, and not a web page in front of it?"
    return UnreadableAnswer(f"{who(source)}: the answer is no list of models", remedy=remedy)


def who(source: Source) -> str:
    """How messages call a server."""
    return f"models.{source.alias}" if source.alias else source.provider


def _skew(date: str | None) -> float | None:
    """How far a server's clock is ahead of ours, in seconds."""
    try:
        return parsedate_to_datetime(date).timestamp() - time.time() if date else None
    except (ValueError, TypeError, OverflowError):
        return None


def _headers(source: Source) -> dict[str, str]:
    headers = {"Accept": "application/json"}
    if source.dialect == "anthropic":
        headers["anthropic-version"] = ANTHROPIC_VERSION
    if source.key:
        if source.bearer:
            headers["Authorization"] = f"Bearer {source.key}"
        else:
            headers["x-goog-api-key" if source.dialect == "gemini" else "x-api-key"] = source.key
    return headers
