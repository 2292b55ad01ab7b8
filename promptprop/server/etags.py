"""ETags: JSON that is read is tagged by its bytes, so that asking again costs a 304 where nothing has changed."""

from __future__ import annotations

import hashlib
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

PREFIX = "/api/v1/"
LARGEST = 4 * 2**20  # longer answers go out as they come


class ETags:
    """Tags GET answers of the native API that are JSON, and answers 304 to a tag that still holds."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hold the answer back until it is whole; streams and other kinds pass by untouched."""
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith(PREFIX):
            await self.app(scope, receive, send)
            return
        await self.app(scope, receive, _Tagging(scope, send))


class _Tagging:
    """The sending side of one answer."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.known = _known_tags(scope)
        self.send = send
        self.start: Message | None = None
        self.body: list[bytes] = []

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if not _taggable(message):
                await self.send(message)
                return
            self.start = message
            return
        if self.start is None:
            await self.send(message)
            return
        self.body.append(message.get("body", b""))
        size = sum(map(len, self.body))
        if message.get("more_body") and size <= LARGEST:
            return
        await self._finish(message, whole=not message.get("more_body"))

    async def _finish(self, message: Message, *, whole: bool) -> None:
        start, self.start = self.start, None
        assert start is not None  # noqa: S101 - set by the caller
        body = b"".join(self.body)
        if not whole:
            await self.send(start)
            await self.send({**message, "body": body})
            return
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'.encode()
        headers = [*start["headers"], (b"etag", tag)]
        if tag in self.known or b"*" in self.known:
            kept = [(name, value) for name, value in headers if name not in (b"content-length", b"content-type")]
            await self.send({**start, "status": 304, "headers": kept})
            await self.send({"type": "http.response.body", "body": b""})
            return
        await self.send({**start, "headers": headers})
        await self.send({**message, "body": body})


def _taggable(message: Message) -> bool:
    headers: dict[bytes, bytes] = dict(message["headers"])
    return message["status"] == 200 and headers.get(b"content-type", b"").startswith(b"application/json")


def _known_tags(scope: Scope) -> set[bytes]:
    pairs: list[tuple[bytes, Any]] = [pair for pair in scope["headers"] if pair[0] == b"if-none-match"]
    return {tag.strip().removeprefix(b"W/") for _, value in pairs for tag in value.split(b",")}
