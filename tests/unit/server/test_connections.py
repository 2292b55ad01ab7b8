"""Connections whose client does not say what it wants."""

from __future__ import annotations

import asyncio
from unittest.mock import Mock

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from promptprop.server.connections import Connection

HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Hasty(Connection):
    head_seconds = 0.0


async def never(_scope: Scope, _receive: Receive, _send: Send) -> None:
    await asyncio.Event().wait()


def connected(kind: type[Connection], transport: Mock) -> Connection:
    config = uvicorn.Config(never, http=kind, lifespan="off", log_config=None)
    config.load()
    made = kind(config, ServerState(), {}, asyncio.get_running_loop())
    made.connection_made(transport)
    return made


@pytest.mark.parametrize("sent", [b"", HEAD[:20]])
async def test_who_does_not_finish_a_head_is_cut_off(sent: bytes) -> None:
    closed = asyncio.Event()
    made = connected(Hasty, Mock(close=closed.set))
    if sent:
        made.data_received(sent)
    await closed.wait()


async def test_who_has_sent_a_whole_head_may_wait_for_the_answer() -> None:
    transport = Mock()
    made = connected(Connection, transport)
    for part in (HEAD[:20], HEAD[20:]):
        assert made._late is not None
        made.data_received(part)
    assert made._late is None
    transport.close.assert_not_called()
    for task in made.tasks:
        task.cancel()
