"""Connections of clients: who does not say what it wants does not keep one."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 20.0  # for the head of a request, once the connection is there or a part of the head has come


class Connection(H11Protocol):
    """uvicorn's connection, which is closed where the head of a request takes too long.

    By itself uvicorn waits for ever for the first byte and for the rest of a head, and a client could hold all
    descriptors of the process. Between two requests its own `timeout_keep_alive` holds.
    """

    head_seconds = HEAD_SECONDS
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Wait on while a head is not whole."""
        super().data_received(data)
        if str(self.conn.their_state) != "IDLE":
            self._rest()
        elif self._late is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._rest()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._late = self.loop.call_later(self.head_seconds, self.transport.close)

    def _rest(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
