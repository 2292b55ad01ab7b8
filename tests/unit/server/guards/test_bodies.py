"""How large, how deep and how slow a body may be."""

from __future__ import annotations

import asyncio
import dataclasses
import tracemalloc
from collections.abc import Iterator

import pytest
from asgi_calls import Answered, Echo, call, scope_of
from starlette.types import Message, Receive, Scope, Send

from promptprop.server.guards.bodies import Bodies, BodyLimits

LIMITS = BodyLimits(json=100, upload=1000, uploads=("/api/v1/datasets",))
JSON = ("content-type", "application/json")


async def post(limits: BodyLimits, parts: list[bytes], *headers: tuple[str, str], path: str = "/x") -> Answered:
    return await call(Bodies(Echo(), limits), path, "POST", headers, parts=parts)


async def test_what_is_within_the_limit_arrives_whole() -> None:
    answer = await post(LIMITS, [b'["', b"x" * 90, b'"]'], JSON)
    assert (answer.status, answer.json) == (200, {"size": 94})


async def test_an_announced_length_over_the_limit_is_refused_before_anything_is_read() -> None:
    app = Echo()

    async def never() -> None:
        raise AssertionError("read")

    answer = await call(Bodies(app, LIMITS), "/x", "POST", [("content-length", "101"), JSON], parts=[never, b""])
    assert (answer.status, answer.json["code"], app.scopes) == (413, "too_large", [])
    assert answer.header("connection") == "close"


@pytest.mark.parametrize("length", ["-1", "1e9", "abc", "9" * 19, "+5", " ", "0x10"])
async def test_a_length_that_is_no_number_is_refused(length: str) -> None:
    assert (await post(LIMITS, [b""], ("content-length", length))).status == 400


async def test_what_comes_in_parts_is_counted() -> None:
    answer = await post(LIMITS, [b"x" * 60, b"x" * 60, b""])
    assert (answer.status, answer.json["code"]) == (413, "too_large")
    assert len([message for message in answer.messages if message["type"] == "http.response.start"]) == 1


async def test_what_the_application_makes_of_a_client_that_went_away_is_replaced() -> None:
    async def polite(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        await send({"type": "http.response.start", "status": 400, "headers": []})
        await send({"type": "http.response.body", "body": b"unreadable"})

    answer = await call(Bodies(polite, LIMITS), "/x", "POST", parts=[b"x" * 101])
    assert (answer.status, answer.json["code"]) == (413, "too_large")


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8", "application/ld+json", None])
async def test_json_that_is_nested_too_deeply_is_refused(kind: str | None) -> None:
    limits = dataclasses.replace(LIMITS, json=10_000)
    headers = [("content-type", kind)] if kind else []
    assert (await post(limits, [b"[" * 64, b"]" * 64], *headers)).status == 200
    answer = await post(limits, [b"[" * 40, b'{"a":' * 25], *headers)
    assert (answer.status, answer.json["code"]) == (400, "nesting")


async def test_other_kinds_are_not_read_as_json() -> None:
    assert (await post(LIMITS, [b"[" * 90], ("content-type", "application/yaml"))).status == 200


@pytest.mark.parametrize("document", ["[]", '{"a": "é"}'])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32"])
async def test_json_in_an_encoding_that_hides_its_depth_is_refused(document: str, encoding: str) -> None:
    assert (await post(LIMITS, [document.encode(encoding)], JSON)).status == 400


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity, gzip"])
async def test_a_compressed_body_is_refused(encoding: str) -> None:
    assert (await post(LIMITS, [b"x"], ("content-encoding", encoding))).status == 415


async def test_an_upload_has_a_limit_of_its_own() -> None:
    for path, kind, size, status in (
        ("/api/v1/datasets", "text/csv", 1000, 200),
        ("/api/v1/datasets", "text/csv", 1001, 413),
        ("/api/v1/datasets", "application/json", 1000, 200),
        ("/api/v1/datasets/x", "text/csv", 101, 413),
        ("/api/v1/runs", "text/csv", 101, 413),
    ):
        answer = await post(LIMITS, [b"x" * (size - 1), b"x"], ("content-type", kind), path=path)
        assert answer.status == status, (path, kind, size)


async def test_an_upload_is_not_collected() -> None:
    part = b"x" * 1_000_000

    def parts() -> Iterator[bytes]:
        yield from (part for _ in range(50))

    limits = BodyLimits(upload=50_000_000, uploads=("/up",), under_way=10)
    tracemalloc.start()
    try:
        answer = await call(Bodies(Echo(), limits), "/up", "POST", [("content-type", "text/csv")], parts=parts())
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
    assert answer.json == {"size": 50_000_000}


@pytest.mark.parametrize("limits", [dataclasses.replace(LIMITS, silence=0.01), dataclasses.replace(LIMITS, patience=0)])
async def test_a_body_that_does_not_come_is_given_up(limits: BodyLimits) -> None:
    async def silence() -> None:
        await asyncio.sleep(30)

    answer = await call(Bodies(Echo(), limits), "/x", "POST", parts=[b"x", silence, b"x"])
    assert (answer.status, answer.json["code"]) == (408, "slow")


async def test_a_stream_is_not_cut_while_the_client_only_listens() -> None:
    async def streaming(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        gone = asyncio.create_task(receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(3):
            await asyncio.sleep(0.02)
            await send({"type": "http.response.body", "body": b"%d" % number, "more_body": True})
        assert not gone.done()
        gone.cancel()
        await send({"type": "http.response.body", "body": b""})

    limits = dataclasses.replace(LIMITS, silence=0.01, patience=0.01)
    answer = await call(Bodies(streaming, limits), "/x", "POST", parts=[b"{}"])
    assert [message.get("body") for message in answer.messages[1:]] == [b"0", b"1", b"2", b""]


async def test_bodies_under_way_are_bounded_together_and_let_go_once_answered() -> None:
    limits = dataclasses.replace(LIMITS, under_way=150)
    hold, begun = asyncio.Event(), asyncio.Event()
    after: list[int] = []

    async def holding(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if scope["path"] == "/hold":
            begun.set()
            await hold.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        after.append(guard._under_way)
        await send({"type": "http.response.body", "body": b""})

    guard = Bodies(holding, limits)
    first = asyncio.create_task(call(guard, "/hold", "POST", parts=[b"x" * 100]))
    await begun.wait()
    busy = await call(guard, "/x", "POST", parts=[b"x" * 100])
    assert (busy.status, busy.header("retry-after")) == (503, "5")
    hold.set()
    assert (await first).status == 200
    assert after[-1] == 0
    assert (await call(guard, "/x", "POST", parts=[b"x" * 100])).status == 200
    assert guard._under_way == 0


async def test_a_failure_of_the_application_is_not_hidden() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await call(Bodies(broken, LIMITS))


async def test_a_client_that_goes_away_is_passed_on() -> None:
    seen: list[Message] = []

    async def listening(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(await receive())

    async def gone() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        raise AssertionError(message)

    await Bodies(listening, LIMITS)(scope_of(method="POST"), gone, send)
    assert seen == [{"type": "http.disconnect"}]
