"""What every answer tells a browser: guess no types, frame nothing, load nothing from elsewhere, keep no secrets."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from promptprop.server.guards.answers import values_of

PAGE = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    b"connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
NO_PAGE = b"default-src 'none'; frame-ancestors 'none'"
ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
POLICY = b"content-security-policy"
CACHE = b"cache-control"


class Headers:
    """Adds security headers. A page may bring a policy of its own; what a token was used for is never cached."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add them to the answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        secret = bool(values_of(scope, b"authorization"))

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": _headers(list(message.get("headers", ())), secret=secret)}
            await send(message)

        await self.app(scope, receive, guarded)


def _headers(given: list[tuple[bytes, bytes]], *, secret: bool) -> list[tuple[bytes, bytes]]:
    names = {name.lower(): value for name, value in given}
    replaced = {name for name, _ in ALWAYS} | {b"server"} | ({CACHE} if secret else set())
    kept = [(name, value) for name, value in given if name.lower() not in replaced]
    page = names.get(b"content-type", b"").lower().startswith((b"text/html", b"image/svg", b"application/xhtml"))
    added = [*ALWAYS, *([(POLICY, PAGE if page else NO_PAGE)] if POLICY not in names else [])]
    if secret or CACHE not in names:
        added.append((CACHE, b"no-store" if secret else b"no-cache"))
    return [*kept, *added]
