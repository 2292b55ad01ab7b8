"""What both clients share: how they connect, and what they make of a failure to."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from promptprop import __version__
from promptprop.client.call import Call
from promptprop.client.errors import Unreachable

BASE_URL = "http://127.0.0.1:8000"
TOKEN_VARIABLE = "PROMPTPROP_TOKEN"  # noqa: S105 - the name of a variable
TIMEOUT = 60.0
UPLOAD_SECONDS = 240.0  # a server takes three minutes at most to read what it was sent
CHUNK = 256 * 1024


def options(base_url: str, token: str | None, timeout: float) -> dict[str, Any]:
    """How httpx is to connect. An explicit token goes before PROMPTPROP_TOKEN; an empty one means none."""
    secret = os.environ.get(TOKEN_VARIABLE, "") if token is None else token
    headers = {"Accept": "application/json", "User-Agent": f"promptprop-client/{__version__}"}
    if secret:
        headers["Authorization"] = f"Bearer {secret}"
    return {
        "base_url": base_url,
        "headers": headers,
        "timeout": httpx.Timeout(timeout, connect=min(timeout, 10.0)),
        "follow_redirects": False,  # a token goes to no other server
    }


def headers_of(call: Call[Any]) -> dict[str, str]:
    """The headers of a call, the same at every attempt."""
    own = dict(call.headers)
    if call.keyed:
        own["Idempotency-Key"] = uuid.uuid4().hex
    if isinstance(call.upload, Path):
        own["Content-Length"] = str(call.upload.stat().st_size)
    return own


def request_of(call: Call[Any], headers: Mapping[str, str], timeout: httpx.Timeout) -> dict[str, Any]:
    """What httpx is to send, a streamed body apart."""
    sent: dict[str, Any] = {"method": call.method, "url": call.path, "params": call.query(), "headers": headers}
    if call.body is not None:
        sent["json"] = call.body
    if call.upload is not None and timeout.read is not None:
        sent["timeout"] = reading(timeout, max(timeout.read, UPLOAD_SECONDS))
    if isinstance(call.upload, bytes):
        sent["content"] = call.upload
    return sent


def reading(timeout: httpx.Timeout, silence: float) -> httpx.Timeout:
    """The same timeouts, with another one between two pieces of an answer."""
    return httpx.Timeout(connect=timeout.connect, write=timeout.write, pool=timeout.pool, read=silence)


def unreachable(error: httpx.TransportError, base_url: httpx.URL) -> Unreachable:
    """The error of a request that got no answer."""
    said = str(error) or type(error).__name__
    return Unreachable(
        f"no answer from {base_url.copy_with(userinfo=b'')}: {said}",
        remedy="is `promptprop serve` running there, and the address right?",
    )


def chunks(file: Path) -> Iterator[bytes]:
    """The bytes of a file, some at a time."""
    with file.open("rb") as opened:
        while chunk := opened.read(CHUNK):
            yield chunk


async def achunks(file: Path) -> AsyncIterator[bytes]:
    """`chunks`, read in a thread."""
    import asyncio

    with await asyncio.to_thread(file.open, "rb") as opened:
        while chunk := await asyncio.to_thread(opened.read, CHUNK):
            yield chunk
