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
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from promptprop.adapters.logs import redact, register_secret
from promptprop.adapters.models.failures import Target, dropped, foreign, timed_out, unreachable
from promptprop.domain.errors import EndpointUnreachable, ModelError, RequestRefused, UnreadableAnswer

LONGEST_ANSWER = 64 * 2**20  # bytes: a server gone mad must not fill the memory
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
        url = self._urls.get(path) or self._urls.setdefault(path, self._url.joinpath(path))
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
        content = response.content
        data = await content.readany()
        if content.at_eof():
            return data
        parts, size = [data], len(data)
        while not content.at_eof():
            data = await content.readany()
            parts.append(data)
            size += len(data)
            if size > LONGEST_ANSWER:
                what = f"{self._target.model}: an answer of more than {LONGEST_ANSWER >> 20} MB"
                raise UnreadableAnswer(what, remedy="set max_tokens, and check that api_base is the API itself")
        return b"".join(parts)

    def _elsewhere(self, response: aiohttp.ClientResponse) -> EndpointUnreachable:
        """Nothing was done by the API: what answered sends its callers on."""
        try:
            location = URL(response.headers.get("Location", ""))
            host = redact(str(location.origin())) if location.absolute else "another path"
        except ValueError:
            host = "elsewhere"
        what = f"{self._target.model}: {self._target.address} sends its callers on to {host} (HTTP {response.status})"
        return EndpointUnreachable(
            what, remedy="set api_base to the address that the redirect leads to, if you trust it"
        )

    def _translated(self, error: Exception, timeout: float) -> ModelError:
        target = self._target
        if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
            remedy = "if its certificate is signed by your own authority, set SSL_CERT_FILE to that authority's file"
            return EndpointUnreachable(f"{target.model}: no secure connection to {target.address}", remedy=remedy)
        never = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError)
        if isinstance(error, (*never, aiohttp.InvalidURL)):
            return unreachable(target)
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
    """The proxy for an address and its headers, from HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY."""
    proxies = getproxies()
    found = proxies.get(url.scheme) or proxies.get("all")
    if not found or not url.host or proxy_bypass(url.host):
        return None, None
    proxy = URL(found if "://" in found else f"http://{found}")
    if proxy.user is None:
        return proxy, None
    register_secret(proxy.password or proxy.user)
    return proxy.with_user(None), {"Proxy-Authorization": _basic(proxy)}


def _basic(url: URL) -> str:
    pair = f"{unquote(url.user or '')}:{unquote(url.password or '')}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"
