"""Answers that are read carry a tag, and are not sent twice."""

from __future__ import annotations

from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route

from promptprop.server import etags
from promptprop.server.etags import ETags


def client(answer: Any, path: str = "/api/v1/x") -> httpx.AsyncClient:
    async def route(_request: Request) -> Any:
        return answer() if callable(answer) and not isinstance(answer, JSONResponse) else answer

    app = ETags(Starlette(routes=[Route(path, route, methods=["GET", "POST"])]))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://t")


async def test_the_same_answer_has_the_same_tag_and_costs_a_304() -> None:
    async with client(lambda: JSONResponse({"a": 1})) as http:
        first = await http.get("/api/v1/x")
        again = await http.get("/api/v1/x", headers={"If-None-Match": first.headers["etag"]})
    assert first.json() == {"a": 1}
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])


async def test_a_weak_tag_and_one_of_several_count_too() -> None:
    async with client(lambda: JSONResponse([])) as http:
        tag = (await http.get("/api/v1/x")).headers["etag"]
        for sent in (f'"other", W/{tag}', "*"):
            assert (await http.get("/api/v1/x", headers={"If-None-Match": sent})).status_code == 304


async def test_another_answer_has_another_tag() -> None:
    values = iter([{"a": 1}, {"a": 2}])
    async with client(lambda: JSONResponse(next(values))) as http:
        first = await http.get("/api/v1/x")
        second = await http.get("/api/v1/x", headers={"If-None-Match": first.headers["etag"]})
    assert second.status_code == 200
    assert second.json() == {"a": 2}


async def test_errors_posts_texts_and_other_paths_are_left_alone() -> None:
    for answer, path, method in (
        (lambda: JSONResponse({}, 404), "/api/v1/x", "GET"),
        (lambda: JSONResponse({}), "/api/v1/x", "POST"),
        (lambda: PlainTextResponse("x"), "/api/v1/x", "GET"),
        (lambda: JSONResponse({}), "/api/models", "GET"),
    ):
        async with client(answer, path) as http:
            assert "etag" not in (await http.request(method, path)).headers


async def test_a_long_answer_goes_out_whole_and_untagged(monkeypatch: Any) -> None:
    monkeypatch.setattr(etags, "LARGEST", 10)

    async def parts() -> Any:
        yield b"[1,2,3,4,5"
        yield b",6,7,8,9]"

    async with client(lambda: StreamingResponse(parts(), media_type="application/json")) as http:
        answer = await http.get("/api/v1/x")
    assert answer.json() == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert "etag" not in answer.headers
