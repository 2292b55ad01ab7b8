"""Who asks: a bearer token with a scope, or a program on this machine, which needs none."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool

from promptprop.ports.service import SCOPES, Scope
from promptprop.server.context import Context, context_of
from promptprop.server.guards.hosts import named_host
from promptprop.server.problems import Refused
from promptprop.server.settings import is_loopback_address

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="promptprop"'}
FORWARDED = re.compile(
    r"forwarded|via|x-forwarded-.+|x-(?:original-.+|real-ip|client-ip)|true-client-ip|cf-connecting-ip"
)
bearer = HTTPBearer(
    auto_error=False,
    scheme_name="token",
    description="A token of `promptprop token create`; none is needed on loopback.",
)
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `id` is the token's, empty for a program on this machine that sent none."""

    id: str
    name: str
    scope: Scope
    max_runs: int | None = None


LOCAL = Caller("", "this machine", "admin")


async def caller_of(request: Request, given: Credentials = None) -> Caller:
    """The caller of a request. Raises Refused (401) where a token is missing, unknown, expired or revoked."""
    context = context_of(request)
    if "authorization" in request.headers:
        caller = await _of_token(context, given.credentials if given else "")
    elif is_local(request) and context.settings.serve.tokens == "elsewhere":
        caller = LOCAL
    else:
        raise Refused(401, "no_token", "this needs a token", remedy="send Authorization: Bearer …", headers=CHALLENGE)
    request.state.actor = caller.id or "local"
    return caller


async def _of_token(context: Context, secret: str) -> Caller:
    row = await run_in_threadpool(context.store.find_token, secret) if secret else None
    if row is None:
        remedy = "`promptprop token list` shows the tokens that there are"
        raise Refused(401, "bad_token", "this token is unknown, revoked or expired", remedy=remedy, headers=CHALLENGE)
    await context.store.touch_token(row.id)
    return Caller(row.id, row.name, row.scope, row.max_runs)


def is_local(request: Request) -> bool:
    """Whether a request comes from a program on this machine, by its address, for this machine, and by no proxy.

    Behind a proxy every client has the proxy's address: a request that says that it was forwarded needs a token, and so
    does one in HTTP/1.0, which some proxies speak without saying so.
    """
    client = request.client
    if client is None or not is_loopback_address(client.host):
        return False
    if any(FORWARDED.fullmatch(name) for name in request.headers) or request.scope.get("http_version") == "1.0":
        return False
    return is_loopback_host(request.headers.get("host", ""))


def is_loopback_host(host: str) -> bool:
    """Whether a Host header names this machine.

    >>> is_loopback_host("localhost:8000"), is_loopback_host("[::1]:8000"), is_loopback_host("127.0.0.1.example.com")
    (True, True, False)
    """
    name = named_host(host.encode("latin-1", "replace"))
    try:
        return name is not None and ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def requiring(scope: Scope) -> Callable[..., Awaitable[Caller]]:
    """A dependency that lets callers of at least this scope pass. Raises Refused (401, 403)."""

    async def require(caller: Annotated[Caller, Depends(caller_of)]) -> Caller:
        if SCOPES.index(caller.scope) < SCOPES.index(scope):
            raise Refused(403, "scope", f"the token has the scope {caller.scope}, and this needs {scope}")
        return caller

    return require


Reader = Annotated[Caller, Depends(requiring("read"))]
Runner = Annotated[Caller, Depends(requiring("run"))]
Admin = Annotated[Caller, Depends(requiring("admin"))]
