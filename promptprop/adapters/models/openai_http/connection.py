"""The connections of one endpoint: one POST a call, kept alive and pooled, bounded in time and size.

The module imports aiohttp, so it is itself imported where a connection is first needed.
"""

from __future__ import annotations

import asyncio
import base64
import io
import os
import ssl
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from promptprop.adapters.logs import redact, register_url
from promptprop.adapters.models.failures import (
    Target,
    dropped,
    foreign,
    insecure,
    named_proxy,
    proxy_unauthorised,
    sent_on,
    timed_out,
    unreachable,
)
from promptprop.domain.errors import ModelError, RequestRefused, UnreadableAnswer, WrongAddress
from promptprop.domain.models import storable
from promptprop.domain.settings import is_loopback

LONGEST_ANSWER = 16 * 2**20  # bytes: a server gone mad must not fill the memory
LARGE = 2**20  # bytes: aiohttp wants larger bodies as a file, so that it can write them in pieces
CONNECT_SECONDS = 15.0  # a connection takes milliseconds; the rest of the deadline is for the answer


class Connection:
    """A session of its own loop. Opened by the first request, closed by `close`; both may happen again."""

    def __init__(self, target: Target, url: str, headers: Mapping[str, str]) -> None:
        """`url` and `headers` hold for every request. Raises EndpointUnreachable where the URL is none."""
        self._target = target
        try:
            self._url = URL(url)
            if self._url.scheme not in ("http", "https") or not self._url.host:
                raise ValueError(url)
        except ValueError as error:
            raise unreachable(target) from error
        self._headers = dict(headers)
        if self._url.user is not None:  # aiohttp refuses an address with a name beside an Authorization of our own
            if "Authorization" not in self._headers:
                self._headers["Authorization"] = _basic(self._url)
            self._url = self._url.with_user(None)
        self._sent = self._headers
        self._urls: dict[str, URL] = {}
        self._session: aiohttp.ClientSession | None = None
        self._proxy: URL | None = None
        self._proxy_headers: dict[str, str] | None = None
        self._timeout = aiohttp.ClientTimeout()

    async def post(
        self, path: str, body: bytes, timeout: float, headers: Mapping[str, str], query: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of the answer, complete within `timeout` seconds. Raises ModelError.

        Sent once: aiohttp sends again over a new connection only what is idempotent, and a POST is not.
        """
        session = self._session
        if session is None or session.closed:
            session = self._open()
        if self._timeout.total != timeout:
            self._timeout = aiohttp.ClientTimeout(total=timeout, connect=min(CONNECT_SECONDS, timeout * 0.9))
        url = self._urls.get(path) or self._urls.setdefault(path, self._address(path))
        try:
            response = await session.post(
                url if not query else url.update_query(query),
                data=body if len(body) < LARGE else io.BytesIO(body),
                headers={**self._sent, **headers} if headers else self._sent,
                timeout=self._timeout,
                allow_redirects=False,  # the key is for this host alone
                proxy=self._proxy,
                proxy_headers=self._proxy_headers,
            )
            try:
                if 300 <= response.status < 400:
                    raise self._elsewhere(response)
                return response.status, response.headers, await self._read(response)
            except BaseException:
                response.close()
                raise
        except ModelError:
            raise
        except Exception as error:
            raise self._translated(error, timeout) from error

    def _address(self, path: str) -> URL:
        """The path below the address, which may have a query of its own."""
        return self._url.joinpath(path).with_query(self._url.query)

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        secure = self._url.scheme == "https"
        # no limit here: the limiter around the client has one; cookies would tie calls together
        connector = aiohttp.TCPConnector(limit=0, ssl=tls_context() if secure else True)
        self._proxy, self._proxy_headers = find_proxy(self._url)
        # without a tunnel the proxy reads the request itself
        self._sent = {**self._headers, **({} if secure else self._proxy_headers or {})}
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            # no headers here: aiohttp greets a proxy with those of the session, and with a key among them
            trust_env=False,  # it would read .netrc, and the proxies anew for every call, each in a thread
        )
        return self._session

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        if (response.content_length or 0) > LONGEST_ANSWER:
            raise self._endless()
        content = response.content
        data = await content.readany()
        if content.at_eof() and len(data) <= LONGEST_ANSWER:
            return data
        parts, size = [data], len(data)
        while size <= LONGEST_ANSWER and not content.at_eof():
            data = await content.readany()
            parts.append(data)
            size += len(data)
        if size > LONGEST_ANSWER:
            raise self._endless()
        return b"".join(parts)

    def _endless(self) -> UnreadableAnswer:
        what = f"{self._target.model}: an answer of more than {LONGEST_ANSWER >> 20} MB"
        return UnreadableAnswer(what, remedy="set max_tokens, and check that api_base is the API itself")

    def _elsewhere(self, response: aiohttp.ClientResponse) -> WrongAddress:
        """The request arrived, but not at the API: what answered sends its callers on, time and again."""
        try:
            # before it is cut into parts, and its host put in small letters: nobody would know a key then
            location = urlsplit(redact(storable(response.headers.get("Location", ""))))
            origin = f"{location.scheme or self._url.scheme}://{location.netloc.rpartition('@')[2]}"
            host = origin if location.netloc else "another path"
        except ValueError:
            host = "another address"
        return sent_on(self._target, f"to {host} (HTTP {response.status})")

    def _translated(self, error: Exception, timeout: float) -> ModelError:
        target = self._target
        if unsent := self._unsent(error):
            return unsent
        if isinstance(error, asyncio.TimeoutError):
            return timed_out(target, timeout)
        if isinstance(error, aiohttp.ClientResponseError):
            return foreign(target)
        if isinstance(error, aiohttp.ClientError | OSError):
            return dropped(target)
        if isinstance(error, ValueError | TypeError):
            what = f"{target.model}: the request cannot be written"
            return RequestRefused(
                what, remedy="check this model's key, extra_headers and extra_query for odd characters"
            )
        return UnreadableAnswer(f"{target.model}: the answer cannot be read ({type(error).__name__})")

    def _unsent(self, error: Exception) -> ModelError | None:
        """What went wrong before anything was sent; None where something was."""
        target, proxy = self._target, None if self._proxy is None else str(self._proxy)
        if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
            return insecure(target)
        if isinstance(error, aiohttp.ClientHttpProxyError) and error.status == 407:
            return proxy_unauthorised(f"{target.model}: the proxy{named_proxy(proxy or '')} lets nobody in (HTTP 407)")
        if isinstance(
            error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError | aiohttp.ClientHttpProxyError
        ):
            return unreachable(target, proxy)
        return unreachable(target) if isinstance(error, aiohttp.InvalidURL) else None


def tls_context() -> ssl.SSLContext:
    """How servers are known: by SSL_CERT_FILE and SSL_CERT_DIR, else the system's authorities, else certifi's."""
    context = ssl.create_default_context()  # OpenSSL itself honours both variables
    context.set_alpn_protocols(["http/1.1"])
    paths = ssl.get_default_verify_paths()
    if not paths.cafile and not paths.capath and os.name != "nt":
        import certifi

        context.load_verify_locations(certifi.where())
    return context


def find_proxy(url: URL) -> tuple[URL | None, dict[str, str] | None]:
    """The proxy for an address and its headers, from HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY.

    None for this machine: no proxy knows its servers.
    """
    proxies = getproxies()
    found = proxies.get(url.scheme) or proxies.get("all")
    if not found or not url.host or is_loopback(str(url)) or proxy_bypass(url.host):
        return None, None
    proxy = URL(found if "://" in found else f"http://{found}")
    if proxy.user is None:
        return proxy, None
    register_url(str(proxy))
    return proxy.with_user(None), {"Proxy-Authorization": _basic(proxy)}


def _basic(url: URL) -> str:
    pair = f"{unquote(url.user or '')}:{unquote(url.password or '')}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"
