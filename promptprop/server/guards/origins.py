"""Which pages may call from a browser: those of this server itself, and of configured origins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from promptprop.domain.serve_config import PORTS, ServerAddress, read_address
from promptprop.server.guards.answers import refuse, values_of

SAFE = ("GET", "HEAD", "OPTIONS")
METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
ALLOWED = b"Accept, Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, X-Request-ID"
EXPOSED = b"Location, ETag, X-Request-ID, Retry-After"
REMEMBERED = b"600"  # seconds that a browser may go without asking again
VARY = (b"vary", b"Origin")


class Origins:
    """Turns away what a page of another origin sends, answers the questions of browsers, and marks answers for them.

    A request without an Origin is a program's, unless the browser says (Sec-Fetch-Site) that another site sends it.
    Such a one may lead a person here, and neither change anything nor have anything loaded. No origin is ever allowed
    by a wildcard, and none gets credentials.
    """

    def __init__(self, app: ASGIApp, origins: Iterable[str] = ()) -> None:
        """Wrap `app`; `origins` are in their one spelling."""
        self.app = app
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may be asked."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = values_of(scope, b"origin")
        origin = _plain(given[0]) if len(given) == 1 else None
        allowed = origin is not None and origin in self._origins

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                marks = [*_varied(message), *(_shared(given[0]) if allowed else ())]
                message = {**message, "headers": marks}
            await send(message)

        if given and not allowed and (origin is None or not _is_own(origin, scope)):
            remedy = "have its origin listed under serve.origins"
            await refuse(scope, marked, 403, "origin", "pages of other origins may not call here", remedy=remedy)
        elif not given and _crosses(scope):
            await refuse(scope, marked, 403, "origin", "another site may only lead here")
        elif allowed and scope["method"] == "OPTIONS" and values_of(scope, b"access-control-request-method"):
            await marked({"type": "http.response.start", "status": 204, "headers": list(_preflight(scope))})
            await marked({"type": "http.response.body", "body": b""})
        else:
            await self.app(scope, receive, marked)


def _plain(value: bytes) -> str | None:
    """An Origin in its one spelling; None for `null` and for what is none."""
    try:
        found = read_address(value.decode("ascii"))
    except UnicodeDecodeError:
        return None
    return found.origin if isinstance(found, ServerAddress) and not found.path and not value.endswith(b"/") else None


def _is_own(origin: str, scope: Scope) -> bool:
    """Whether an origin is the host and port that the request was sent to. Who ends TLS may change the scheme."""
    scheme = origin.partition("://")[0]
    hosts = values_of(scope, b"host")
    try:
        own = read_address(f"{scheme}://{hosts[0].decode('ascii')}") if len(hosts) == 1 else ""
    except UnicodeDecodeError:
        return False
    return isinstance(own, ServerAddress) and scheme in PORTS and own.origin == origin


def _crosses(scope: Scope) -> bool:
    """Whether another site's page sends this by itself: no person followed a link of it."""
    sites = {value.strip().lower() for value in values_of(scope, b"sec-fetch-site")}
    followed = scope["method"] in SAFE and values_of(scope, b"sec-fetch-mode") == [b"navigate"]
    framed = bool({b"iframe", b"frame", b"embed", b"object"} & set(values_of(scope, b"sec-fetch-dest")))
    return bool(sites & {b"cross-site", b"same-site"}) and (framed or not followed)


def _varied(message: Message) -> list[tuple[bytes, bytes]]:
    """The headers of an answer, Origin among those that it varies by."""
    headers = list(message.get("headers", ()))
    varies = [value for name, value in headers if name.lower() == b"vary"]
    others = [(name, value) for name, value in headers if name.lower() != b"vary"]
    return [*others, (b"vary", b", ".join([*varies, b"Origin"])) if varies else VARY]


def _shared(origin: bytes) -> Iterator[tuple[bytes, bytes]]:
    yield b"access-control-allow-origin", origin
    yield b"access-control-expose-headers", EXPOSED


def _preflight(scope: Scope) -> Iterator[tuple[bytes, bytes]]:
    yield b"access-control-allow-methods", METHODS
    yield b"access-control-allow-headers", ALLOWED
    yield b"access-control-max-age", REMEMBERED
    if values_of(scope, b"access-control-request-private-network"):
        yield b"access-control-allow-private-network", b"true"
