"""How large, how deep and how slow a request's body may be. Nothing is collected: parts are passed on as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from promptprop.server.guards.answers import refuse, values_of
from promptprop.server.guards.nesting import DEEPEST, Nesting

MB = 1_000_000
UNDER_WAY = 128 * MB  # what bodies that are read as a whole may take together
SILENCE = 20.0  # seconds between two parts
PATIENCE = 30.0  # seconds for a whole body, and one more for each of these bytes:
PACE = 10_000
CLOSE = [(b"connection", b"close")]  # what is left of the body is not read


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Bytes of an upload and of any other body, and the paths that take uploads."""

    json: int = 8 * MB
    upload: int = 100 * MB
    uploads: tuple[str, ...] = ()
    under_way: int = UNDER_WAY
    silence: float = SILENCE
    patience: float = PATIENCE
    pace: int = PACE


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a body is not taken."""

    status: int
    code: str
    detail: str
    remedy: str = ""
    headers: Iterable[tuple[bytes, bytes]] = ()


class Bodies:
    """Refuses bodies that are too large, nested too deeply, compressed, or that come too slowly.

    What announces its length is refused before it is read; else the application below is told that the client went
    away, and whatever it makes of that is replaced by the refusal.
    """

    def __init__(self, app: ASGIApp, limits: BodyLimits) -> None:
        """Wrap `app`."""
        self.app = app
        self._limits = limits
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is within the limits."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if refusal := self._refusal(scope):
            await _answer(scope, send, refusal)
            return
        body = _Body(receive, self._limits, upload=is_upload(scope, self._limits.uploads), is_json=_is_json(scope))
        body.counted = self._counted
        try:
            await self.app(scope, body.receive, body.sending(send))
        except Exception:
            if body.refusal is None:  # else it is what the application makes of a client that went away
                raise
        finally:
            body.release()
        if body.refusal is not None and not body.begun:
            await _answer(scope, send, body.refusal)

    def _counted(self, size: int) -> bool:
        """Count what is held for an application that reads its body as a whole; False where it is too much."""
        self._under_way += size
        return self._under_way <= self._limits.under_way

    def _refusal(self, scope: Scope) -> Refusal | None:
        """What is wrong before anything is read."""
        if any(value.strip().lower() not in (b"", b"identity") for value in values_of(scope, b"content-encoding")):
            return Refusal(415, "encoding", "a request's body is sent as it is, not compressed", headers=CLOSE)
        most = self._limits.upload if is_upload(scope, self._limits.uploads) else self._limits.json
        for value in values_of(scope, b"content-length"):
            if not value.isdigit() or len(value) > 18:
                return Refusal(400, "length", "Content-Length is no number of bytes", headers=CLOSE)
            if int(value) > most:
                return _too_large(most)
        return None


class _Body:
    """The receiving side of one request."""

    counted: Callable[[int], bool]

    def __init__(self, receive: Receive, limits: BodyLimits, *, upload: bool, is_json: bool) -> None:
        self._receive = receive
        self._limits = limits
        self._most = limits.upload if upload else limits.json
        self._streamed = upload
        self._nesting = Nesting() if is_json and not upload else None
        self._deadline = asyncio.get_running_loop().time() + limits.patience
        self._read = 0
        self._over = False
        self._held = 0
        self.begun = False
        self.refusal: Refusal | None = None

    async def receive(self) -> Message:
        """The next part; a disconnect once the body is refused. After the body there is no deadline."""
        if self._over:
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), self._left())
        except (asyncio.TimeoutError, TimeoutError):
            self.refusal = Refusal(408, "slow", "the body comes too slowly", headers=CLOSE)
            return self._gone()
        if message["type"] != "http.request":
            self._over = True
            return message
        self._over = not message.get("more_body", False)
        self.refusal = self._judged(message.get("body", b""))
        return self._gone() if self.refusal else message

    def sending(self, send: Send) -> Send:
        """The sending side: an answer to a refused body is kept back, unless it had begun before."""

        async def passed(message: Message) -> None:
            if self.refusal is not None and not self.begun:
                return
            self.begun = True
            self.release()
            await send(message)

        return passed

    def release(self) -> None:
        """Count no longer what was read: whoever answers has taken from it what was needed."""
        self.counted(-self._held)
        self._held = 0

    def _left(self) -> float:
        earned = self._read / self._limits.pace
        return max(0.001, min(self._limits.silence, self._deadline + earned - asyncio.get_running_loop().time()))

    def _gone(self) -> Message:
        self._over = True
        self._receive = _gone_for_good
        return {"type": "http.disconnect"}

    def _judged(self, part: bytes) -> Refusal | None:
        self._read += len(part)
        if self._read > self._most:
            return _too_large(self._most)
        if not self._streamed:
            self._held += len(part)
            if not self.counted(len(part)):
                headers = [*CLOSE, (b"retry-after", b"5")]
                return Refusal(503, "busy", "too many bodies are being read", "send it again later", headers)
        if self._nesting is not None and part:
            if b"\x00" in part:
                return Refusal(400, "encoding", "JSON is sent as UTF-8", headers=CLOSE)
            if self._nesting.deepest(part) > DEEPEST:
                return Refusal(400, "nesting", f"JSON is nested deeper than {DEEPEST} levels", headers=CLOSE)
        return None


async def _gone_for_good() -> Message:
    return {"type": "http.disconnect"}


def is_upload(scope: Scope, uploads: Iterable[str]) -> bool:
    """Whether a request uploads a file: what is below takes it part by part, and parses none of it as it comes."""
    return scope["method"] in ("POST", "PUT") and scope["path"] in uploads


def _is_json(scope: Scope) -> bool:
    """Whether a body may be parsed as JSON: by its type, or where it names none."""
    kinds = values_of(scope, b"content-type")
    return not kinds or any(b"json" in kind.lower() for kind in kinds)


def _too_large(most: int) -> Refusal:
    return Refusal(413, "too_large", f"the body is larger than {most:,} bytes", "send less", CLOSE)


async def _answer(scope: Scope, send: Send, refusal: Refusal) -> None:
    await refuse(
        scope, send, refusal.status, refusal.code, refusal.detail, remedy=refusal.remedy, headers=refusal.headers
    )
