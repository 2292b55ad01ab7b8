"""Which pages may call from a browser."""

from __future__ import annotations

import pytest
from asgi_calls import Echo, call

from promptprop.server.guards.origins import Origins

FRONT = "http://localhost:3000"
ASKS = [("access-control-request-method", "POST"), ("access-control-request-headers", "x-evil")]


def guard(app: Echo, *origins: str) -> Origins:
    return Origins(app, origins or (FRONT, "https://app.example.com"))


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
async def test_a_program_sends_no_origin_and_gets_no_marks(method: str) -> None:
    answer = await call(guard(Echo()), method=method)
    assert (answer.status, answer.header("access-control-allow-origin"), answer.header("vary")) == (200, None, "Origin")


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:8000", "localhost:8000"),
        ("https://prompts.example.com", "prompts.example.com"),
        ("https://prompts.example.com", "prompts.example.com:443"),
        ("http://[::1]:8000", "[::1]:8000"),
        ("http://LOCALHOST:8000", "localhost:8000"),
    ],
)
async def test_the_servers_own_pages_may_call(origin: str, host: str) -> None:
    answer = await call(guard(Echo()), method="POST", headers=[("origin", origin)], host=host)
    assert (answer.status, answer.header("access-control-allow-origin")) == (200, None)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_allowed_origin_may_read_the_answer(method: str) -> None:
    answer = await call(guard(Echo()), method=method, headers=[("origin", FRONT)])
    assert answer.status == 200
    assert answer.header("access-control-allow-origin") == FRONT
    assert answer.header("access-control-expose-headers") == "Location, ETag, X-Request-ID, Retry-After"
    assert answer.header("access-control-allow-credentials") is None


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "",
        "*",
        "http://localhost:3001",
        "https://localhost:3000",
        "http://localhost:3000.evil.example",
        "http://localhost:3000/",
        "http://localhost:3000, http://evil.example",
        "http://localhost:3000@evil.example",
        "http://evil.example#http://localhost:3000",
        "http://localhost:8001",
        "file://",
        "chrome-extension://abc",
        "http://\xe4pp.example",
        "http://localhost",
    ],
)
async def test_pages_of_other_origins_may_not_call(origin: str, method: str) -> None:
    app = Echo()
    answer = await call(guard(app), method=method, headers=[("origin", origin), *ASKS])
    assert (answer.status, app.scopes) == (403, [])
    assert answer.header("access-control-allow-origin") is None
    assert answer.header("vary") == "Origin"


async def test_two_origins_are_refused_even_if_both_are_allowed() -> None:
    answer = await call(guard(Echo()), headers=[("origin", FRONT), ("origin", FRONT)])
    assert answer.status == 403


async def test_a_browsers_question_is_answered_without_the_application() -> None:
    app = Echo()
    answer = await call(guard(app), method="OPTIONS", headers=[("origin", FRONT), *ASKS])
    assert (answer.status, answer.body, app.scopes) == (204, b"", [])
    assert answer.header("access-control-allow-origin") == FRONT
    assert "x-evil" not in (answer.header("access-control-allow-headers") or "").lower()
    assert "authorization" in (answer.header("access-control-allow-headers") or "").lower()
    assert answer.header("access-control-allow-private-network") is None


async def test_a_public_page_that_is_allowed_may_reach_this_machine() -> None:
    asks = [*ASKS, ("access-control-request-private-network", "true")]
    answer = await call(guard(Echo()), method="OPTIONS", headers=[("origin", "https://app.example.com"), *asks])
    assert answer.header("access-control-allow-private-network") == "true"


@pytest.mark.parametrize(
    ("method", "site", "status"),
    [
        ("POST", "cross-site", 403),
        ("DELETE", "Same-Site", 403),
        ("POST", "same-origin", 200),
        ("POST", "none", 200),
        ("GET", "cross-site", 403),
        ("GET", "none", 200),
    ],
)
async def test_what_a_browser_says_of_other_sites_is_believed(method: str, site: str, status: int) -> None:
    answer = await call(guard(Echo()), method=method, headers=[("sec-fetch-site", site), ("sec-fetch-mode", "no-cors")])
    assert answer.status == status


@pytest.mark.parametrize(
    ("method", "dest", "status"), [("GET", "document", 200), ("GET", "iframe", 403), ("POST", "document", 403)]
)
async def test_a_link_of_another_site_may_lead_here_and_a_frame_or_a_form_may_not(
    method: str, dest: str, status: int
) -> None:
    said = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", dest)]
    assert (await call(guard(Echo()), method=method, headers=said)).status == status


async def test_an_answer_that_varies_by_more_says_so_in_one_header() -> None:
    answer = await call(guard(Echo(headers=[(b"vary", b"Accept")])), headers=[("origin", FRONT)])
    assert answer.header("vary") == "Accept, Origin"
