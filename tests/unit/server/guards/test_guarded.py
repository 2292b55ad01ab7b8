"""The guards together, in their order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from asgi_calls import Echo, call, scope_of
from starlette.types import Message, Receive, Scope, Send

from promptprop.domain.serve_config import ServeConfig
from promptprop.ports.service import AuditRow
from promptprop.server.guards import UPLOADS, GuardSettings, guarded
from promptprop.server.guards.bodies import BodyLimits
from promptprop.server.guards.trail import Trail

SECURE = ("x-request-id", "x-content-type-options", "content-security-policy", "vary")


@pytest.mark.parametrize(
    ("status", "call_of"),
    [
        (421, {"host": "evil.example"}),
        (403, {"headers": [("origin", "http://evil.example")]}),
        (413, {"headers": [("content-length", "9999999999")], "method": "POST"}),
        (200, {}),
    ],
)
async def test_every_answer_has_an_id_and_the_headers_a_refusal_too(status: int, call_of: dict[str, object]) -> None:
    answer = await call(guarded(Echo(), GuardSettings()), **call_of)  # type: ignore[arg-type]
    assert answer.status == status
    assert all(answer.header(name) for name in SECURE if not (status == 421 and name == "vary"))
    if status != 200:
        assert answer.json["request_id"] == answer.header("x-request-id")
        assert answer.header("content-type") == "application/problem+json"


async def test_whoever_is_turned_away_by_host_or_origin_uses_nothing_up_and_is_noted() -> None:
    rows: list[AuditRow] = []

    async def record(found: Sequence[AuditRow]) -> None:
        rows.extend(found)

    trail = Trail(record)
    app = guarded(Echo(), GuardSettings(rate_per_minute=4, trail=trail))
    for _ in range(20):
        await call(app, host="evil.example")
        await call(app, headers=[("origin", "http://evil.example")])
    assert (await call(app)).status == 200
    assert (await call(app)).status == 429
    await trail.flush()
    assert {row.status for row in rows} == {421, 403}


async def test_the_body_of_whoever_asks_too_often_is_not_read() -> None:
    app = guarded(Echo(), GuardSettings(rate_per_minute=4))
    await call(app)

    async def never() -> None:
        raise AssertionError("read")

    assert (await call(app, method="POST", parts=[never, b""])).status == 429


async def test_a_stream_passes_part_by_part() -> None:
    sent: asyncio.Queue[Message] = asyncio.Queue()
    steps = [asyncio.Event() for _ in range(3)]

    async def streaming(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        for number, step in enumerate(steps):
            await send({"type": "http.response.body", "body": b"id: %d\n\n" % number, "more_body": True})
            await step.wait()
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        await sent.put(message)

    task = asyncio.create_task(guarded(streaming, GuardSettings())(scope_of(), receive, send))
    assert (await sent.get())["status"] == 200
    for number, step in enumerate(steps):
        assert (await sent.get())["body"] == b"id: %d\n\n" % number
        step.set()
    await task


def test_settings_are_those_of_the_configuration() -> None:
    serve = ServeConfig.model_validate(
        {"hosts": ["a.example"], "origins": ["https://b.example"], "limits": {"json_mb": 1, "body_mb": 2}}
    )
    settings = GuardSettings.of(serve)
    assert (settings.hosts, settings.origins) == (("a.example",), ("https://b.example",))
    assert settings.bodies == BodyLimits(json=1_000_000, upload=2_000_000, uploads=UPLOADS)


def test_an_address_that_is_listened_on_is_a_host() -> None:
    assert GuardSettings.of(ServeConfig(), listening=("192.0.2.7", "2001:DB8::1")).hosts == ("192.0.2.7", "2001:db8::1")
    assert GuardSettings.of(ServeConfig(), listening=("0.0.0.0", "::")).hosts == ()


async def test_lifespan_reaches_the_application() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    async def none(*_: Message) -> Message:
        return {}

    await guarded(app, GuardSettings())({"type": "lifespan"}, none, none)
    assert seen == ["lifespan"]
