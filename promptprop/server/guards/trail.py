"""The audit trail: what was changed and who was turned away, written in the background."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timezone
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from promptprop.adapters.logs import redact
from promptprop.ports.service import TURNED_AWAY, AuditRow
from promptprop.server.guards.identity import address_of, route_of
from promptprop.server.guards.origins import SAFE
from promptprop.server.guards.rates import Buckets

log = logging.getLogger("promptprop.audit")
MOST_WAITING = 1_000
MOST_AT_ONCE = 200
REFUSALS_PER_MINUTE = 60  # rows of who was turned away, of each status; a flood of them must not fill the disk
LONGEST_TARGET = 200
READ_SECONDS = 2.0  # a reader waits for rows on their way; a flood of them must not hold it for ever

Record = Callable[[Sequence[AuditRow]], Awaitable[Any]]


class Trail:
    """Rows on their way to the audit log. Taking one never waits; what does not fit is counted and told."""

    def __init__(self, record: Record) -> None:
        """`record` stores rows."""
        self._record = record
        self._waiting: asyncio.Queue[AuditRow] = asyncio.Queue(MOST_WAITING)
        self._writer: asyncio.Task[None] | None = None
        self._refusals = Buckets(REFUSALS_PER_MINUTE, REFUSALS_PER_MINUTE)
        self.lost = 0

    def add(self, row: AuditRow) -> None:
        """Take a row; one too many is left out, and how many there were is told in the log."""
        if row.status in TURNED_AWAY and self._refusals.take(str(row.status)):
            self._lose(1)
            return
        try:
            self._waiting.put_nowait(row)
        except asyncio.QueueFull:
            self._lose(1)
            return
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write(), name="audit")

    async def flush(self) -> None:
        """Wait until everything that was taken is stored, or could not be."""
        while self._writer is not None and not self._writer.done():
            await asyncio.shield(self._writer)

    async def told(self, seconds: float = READ_SECONDS) -> None:
        """Wait until what was taken can be read back, so that who reads finds its own last act; `seconds` at most."""
        try:
            await asyncio.wait_for(self.flush(), seconds)
        except asyncio.TimeoutError:
            log.warning("the audit log is behind: it is read as it stands")

    async def _write(self) -> None:
        while not self._waiting.empty():
            rows = [self._waiting.get_nowait() for _ in range(min(MOST_AT_ONCE, self._waiting.qsize()))]
            try:
                await self._record(rows)
            except Exception:
                log.exception("the audit log cannot be written")
                self._lose(len(rows))

    def _lose(self, count: int) -> None:
        before, self.lost = self.lost, self.lost + count
        if before // 1000 != self.lost // 1000 or before == 0:
            log.warning("%d rows were left out of the audit log so far", self.lost)


class Audit:
    """Notes each request that may change something, and each that was turned away."""

    def __init__(self, app: ASGIApp, trail: Trail) -> None:
        """Wrap `app`."""
        self.app = app
        self._trail = trail

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note how the request ends: once its answer begins, so that a long stream stands there as it is going on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        noted = False

        def note(status: int) -> None:
            nonlocal noted
            if not noted and (status in TURNED_AWAY or (scope["method"] not in SAFE and status != 429)):
                self._trail.add(_row(scope, status))
            noted = True

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                note(message["status"])
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except BaseException:
            note(500)
            raise
        note(499)


def _row(scope: Scope, status: int) -> AuditRow:
    """The row of a request: of its contents and its query nothing, of its path what is printed and no secret."""
    state = scope.get("state", {})
    path = redact("".join(char if char.isprintable() else "?" for char in scope["path"][:LONGEST_TARGET]))
    return AuditRow(
        at=datetime.now(timezone.utc),
        request_id=state.get("request_id", ""),
        actor=state.get("actor", ""),
        action=f"{scope['method'][:10]} {route_of(scope)}",
        target=path,
        status=status,
        address=address_of(scope),
    )
