"""Whom a request is meant for: a page elsewhere whose name is made to lead here (DNS rebinding) is not answered."""

from __future__ import annotations

import re
from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from promptprop.domain.serve_config import host_name
from promptprop.server.guards.answers import refuse, values_of

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::[0-9]{1,5})?")


def named_host(value: bytes) -> str | None:
    """The host of a Host header in its one spelling, the port left out; None where it names none.

    >>> named_host(b"LocalHost.:8000"), named_host(b"[0::1]"), named_host(b"localhost@evil.example")
    ('localhost', '::1', None)
    """
    match = _HOST.fullmatch(value)
    return host_name(match[1].decode()) if match else None


class Hosts:
    """Answers requests for this machine's own names and the configured ones, on any port, and no others.

    `probes` are paths that load balancers ask by address, or without any Host: they tell nothing, so that will do.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = (), probes: Iterable[str] = ()) -> None:
        """Wrap `app`; `hosts` are in their one spelling."""
        self.app = app
        self._hosts = frozenset((*LOOPBACK, *hosts))
        self._probes = frozenset(probes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is meant for this server."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = values_of(scope, b"host")
        if not scope["path"].startswith("/"):  # GET http://elsewhere/ or OPTIONS *
            await refuse(scope, send, 400, "target", "the target of a request is a path")
        elif scope["path"] in self._probes and len(given) < 2:
            await self.app(scope, receive, send)
        elif len(given) != 1:
            await refuse(scope, send, 400, "host", "a request names one Host")
        elif named_host(given[0]) in self._hosts:
            await self.app(scope, receive, send)
        else:
            remedy = "call it localhost, or have its name listed under serve.hosts"
            await refuse(scope, send, 421, "host", "this server does not answer to that name", remedy=remedy)
