"""Whom a request is meant for."""

from __future__ import annotations

import pytest
from asgi_calls import Echo, call

from promptprop.server.guards.hosts import Hosts


def guard(app: Echo) -> Hosts:
    return Hosts(app, ["prompts.example.com", "192.0.2.7"], ["/healthz"])


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:1",
        "localhost.:8000",
        "127.0.0.1:65535",
        "[::1]:8000",
        "[0:0:0:0:0:0:0:1]",
        "prompts.example.com",
        "Prompts.Example.Com.:443",
        "192.0.2.7:8000",
    ],
)
async def test_own_and_configured_names_are_answered_on_any_port(host: str) -> None:
    assert (await call(guard(Echo()), host=host)).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.nip.io",
        "evil-localhost",
        "127.0.0.2",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0.0.0.0",
        "[::ffff:127.0.0.1]",
        "::1",
        "[::1%25lo]",
        "[localhost]",
        "localhost@evil.example",
        "evil.example@localhost",
        "localhost:80@evil.example",
        "localhost:8000:80",
        "localhost:",
        "localhost:80a",
        "localhost/evil",
        "localhost#",
        "localhost evil.example",
        "localhost,evil.example",
        " localhost",
        "localhost\t",
        "",
        "localhost..",
        "ⅼocalhost".encode().decode("latin-1"),
        "x" * 5000,
    ],
)
async def test_any_other_name_is_misdirected(host: str) -> None:
    app = Echo()
    answer = await call(guard(app), host=host)
    assert (answer.status, answer.json["code"], app.scopes) == (421, "host", [])
    assert "evil" not in answer.body.decode()


async def test_a_request_names_exactly_one_host() -> None:
    for host, headers in (
        (None, []),
        ("localhost", [("host", "evil.example")]),
        ("localhost", [("host", "localhost")]),
    ):
        app = Echo()
        answer = await call(guard(app), host=host, headers=headers)
        assert (answer.status, app.scopes) == (400, [])


@pytest.mark.parametrize("target", ["http://localhost/api/v1/runs", "http://evil.example/", "*", "", "evil.example:80"])
async def test_a_target_is_a_path(target: str) -> None:
    app = Echo()
    assert ((await call(guard(app), target)).status, app.scopes) == (400, [])


async def test_probes_are_answered_under_any_name_or_none() -> None:
    assert (await call(guard(Echo()), "/healthz", host="10.0.0.9:8000")).status == 200
    assert (await call(guard(Echo()), "/healthz/x", host="10.0.0.9:8000")).status == 421
    assert (await call(guard(Echo()), "/healthz", host=None)).status == 200
    assert (await call(guard(Echo()), "/healthz", headers=[("host", "localhost")])).status == 400


async def test_forwarded_hosts_count_for_nothing() -> None:
    answer = await call(guard(Echo()), host="evil.example", headers=[("x-forwarded-host", "localhost")])
    assert answer.status == 421
