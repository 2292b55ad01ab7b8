"""Who asked for what, and how it ended: an id for every request, and a line in the log for every answer."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from promptprop.adapters.logs import bind
from promptprop.server.guards.answers import refuse, values_of

log = logging.getLogger("promptprop.access")
HEADER = b"x-request-id"
CLIENT_GONE = 499  # as others write it: nobody was there to be answered
_SANE = re.compile(rb"[A-Za-z0-9._-]{8,64}")


class Identity:
    """Gives each request an id, the client's where it is sane, and writes one line when it is over.

    A failure before the answer has begun is answered here, should nobody below have done so;
    so is the server's end.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on under its id; a websocket is turned away, since there are none here."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        with bind(request_id=request_id):
            await _Course(scope, send, request_id).run(self.app, receive)


class _Course:
    """One request from its begin to its end."""

    def __init__(self, scope: Scope, send: Send, request_id: str) -> None:
        self._scope = scope
        self._send = send
        self._header = (HEADER, request_id.encode())
        self._status = 0

    async def run(self, app: ASGIApp, receive: Receive) -> None:
        began = time.monotonic()
        try:
            await app(self._scope, receive, self._passed)
        except asyncio.CancelledError:
            if not self._status:  # the server is ending, and would answer that a mistake was made
                remedy = "send it again once the server is back"
                await refuse(self._scope, self._passed, 503, "ending", "the server is ending", remedy=remedy)
            raise
        except Exception:
            if self._status:
                raise
            log.exception("a request failed before it was answered")
            sentence = "an internal error; the server's log tells what happened under this request's id"
            await refuse(self._scope, self._passed, 500, "internal", sentence)
        finally:
            self._tell(time.monotonic() - began)

    async def _passed(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            others = [header for header in message.get("headers", ()) if header[0].lower() != HEADER]
            message = {**message, "headers": [*others, self._header]}
        await self._send(message)

    def _tell(self, seconds: float) -> None:
        scope = self._scope
        extra = {
            "method": scope["method"],
            "route": route_of(scope),
            "status": self._status or CLIENT_GONE,
            "seconds": round(seconds, 4),
            "actor": scope["state"].get("actor", ""),
            "address": address_of(scope),
        }
        log.info("%(method)s %(route)s %(status)s", extra, extra=extra)


def route_of(scope: Scope) -> str:
    """The template of the route that answered; nothing of a path that no route knows, which may hold anything."""
    return str(getattr(scope.get("route"), "path", "")) or "(no route)"


def address_of(scope: Scope) -> str:
    """The client's address, empty where there is none."""
    return str(scope["client"][0]) if scope.get("client") else ""


def _request_id(scope: Scope) -> str:
    given = values_of(scope, HEADER)
    return given[0].decode() if len(given) == 1 and _SANE.fullmatch(given[0]) else uuid.uuid4().hex
