"""Request ids, and a line in the log for each request."""

from __future__ import annotations

import asyncio
import json
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from asgi_calls import Answered, Echo, call, scope_of
from starlette.types import Message, Receive, Scope, Send

from promptprop.adapters.logs import JsonLines
from promptprop.server.guards.identity import Identity


async def test_a_sane_id_is_taken_and_answered() -> None:
    app = Echo()
    answer = await call(Identity(app), headers=[("x-request-id", "abc-123.DEF_4")])
    assert answer.header("x-request-id") == app.scopes[0]["state"]["request_id"] == "abc-123.DEF_4"


@pytest.mark.parametrize("given", ["short", "x" * 65, "has space", "a\r\nSet-Cookie: x", "ü" * 8, "<script>", ""])
async def test_any_other_id_is_replaced(given: str) -> None:
    answer = await call(Identity(Echo()), headers=[("x-request-id", given)])
    assert answer.header("x-request-id") not in {given, None}


async def test_two_ids_are_none() -> None:
    answer = await call(Identity(Echo()), headers=[("x-request-id", "a" * 8), ("x-request-id", "b" * 8)])
    assert answer.header("x-request-id") not in {"a" * 8, "b" * 8}


async def test_the_id_of_the_application_does_not_stand_beside_it() -> None:
    answer = await call(Identity(Echo(headers=[(b"X-Request-ID", b"own")])))
    assert answer.values("X-Request-ID") == []
    assert len(answer.values("x-request-id")) == 1


async def test_the_log_tells_the_template_of_the_route_and_nothing_of_the_path(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def routed(scope: Scope) -> None:
        scope["route"] = SimpleNamespace(path="/api/v1/runs/{run_id}")
        scope["state"]["actor"] = "token1"

    with caplog.at_level(logging.INFO, "promptprop.access"):
        await call(Identity(Echo(before=routed)), "/api/v1/runs/pp_secret")
        await call(Identity(Echo(status=404)), "/pp_secret")
    assert [record.getMessage() for record in caplog.records] == [
        "GET /api/v1/runs/{run_id} 200",
        "GET (no route) 404",
    ]
    assert caplog.records[0].actor == "token1"  # type: ignore[attr-defined]
    assert "pp_secret" not in "".join(map(JsonLines().format, caplog.records))


async def test_lines_within_a_request_bear_its_id(caplog: pytest.LogCaptureFixture) -> None:
    lines: list[str] = []

    def logged(_scope: Scope) -> None:
        record = logging.makeLogRecord({"msg": "inside"})
        lines.append(JsonLines().format(record))

    await call(Identity(Echo(before=logged)), headers=[("x-request-id", "abcdefgh")])
    assert '"request_id": "abcdefgh"' in lines[0]


async def test_a_failure_before_the_answer_is_answered_without_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("/etc/secret")

    answer = await call(Identity(broken))
    assert (answer.status, answer.json["code"]) == (500, "internal")
    assert b"secret" not in answer.body
    assert "ValueError" in caplog.text


async def test_a_failure_after_the_answer_has_begun_is_the_servers() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError("late")

    with pytest.raises(ValueError, match="late"):
        await call(Identity(broken))


async def test_websockets_are_turned_away() -> None:
    answered = Answered()

    async def send(message: Any) -> None:
        answered.messages.append(message)

    app = Echo()
    await Identity(app)({"type": "websocket"}, send, send)  # type: ignore[arg-type]
    assert [message["type"] for message in answered.messages] == ["websocket.close"]
    assert app.scopes == []


async def test_a_request_that_the_end_of_the_server_cuts_off_is_told_to_come_again() -> None:
    async def cut_off(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise asyncio.CancelledError

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    with pytest.raises(asyncio.CancelledError):
        await Identity(cut_off)(scope_of(), none_comes, send)
    assert sent[0]["status"] == 503
    assert json.loads(sent[1]["body"])["code"] == "ending"


async def none_comes() -> Message:
    raise AssertionError("nothing is read")
