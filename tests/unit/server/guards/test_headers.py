"""What every answer tells a browser."""

from __future__ import annotations

import pytest
from asgi_calls import Echo, call

from promptprop.server.guards.headers import Headers

HTML = (b"content-type", b"text/html; charset=utf-8")


async def test_every_answer_is_guarded() -> None:
    answer = await call(Headers(Echo()))
    for name in ("x-content-type-options", "referrer-policy", "x-frame-options", "content-security-policy"):
        assert answer.header(name)


async def test_a_page_loads_from_its_own_origin_alone() -> None:
    policy = (await call(Headers(Echo(headers=[HTML])))).header("content-security-policy") or ""
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "*" not in policy


async def test_a_page_may_bring_a_policy_of_its_own() -> None:
    own = (b"Content-Security-Policy", b"default-src 'none'; style-src 'unsafe-inline'")
    answer = await call(Headers(Echo(headers=[HTML, own])))
    assert answer.header("content-security-policy") is None
    assert answer.header("Content-Security-Policy") == own[1].decode()


@pytest.mark.parametrize("own", [[], [(b"Cache-Control", b"public, max-age=60")]])
async def test_what_a_token_was_used_for_is_not_stored(own: list[tuple[bytes, bytes]]) -> None:
    answer = await call(Headers(Echo(headers=own)), headers=[("authorization", "Bearer x")])
    assert (answer.header("cache-control"), answer.values("Cache-Control")) == ("no-store", [])


async def test_without_a_token_the_application_decides() -> None:
    answer = await call(Headers(Echo(headers=[(b"cache-control", b"max-age=60")])))
    assert answer.header("cache-control") == "max-age=60"


async def test_what_serves_is_not_told() -> None:
    assert (await call(Headers(Echo(headers=[(b"Server", b"x/1")])))).values("Server") == []
