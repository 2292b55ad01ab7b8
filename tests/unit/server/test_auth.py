"""Who is taken for a program on this machine, and who is not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from fastapi import Request

from promptprop.server.auth import is_local, is_loopback_host
from promptprop.server.settings import is_loopback_address


def request(client: str | None, *headers: tuple[str, str]) -> Request:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers]
    return Request({"type": "http", "headers": raw, "client": (client, 5) if client else None})


@pytest.mark.parametrize("client", ["127.0.0.1", "::1", "127.8.9.1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]:8000", "[::1]"])
def test_a_program_on_this_machine_that_asks_for_this_machine_is_local(client: str, host: str) -> None:
    assert is_local(request(client, ("Host", host)))


@pytest.mark.parametrize("client", ["10.0.0.1", "::2", None, "localhost.example.com", ""])
def test_another_address_is_not(client: str | None) -> None:
    assert not is_local(request(client, ("Host", "localhost")))


@pytest.mark.parametrize(
    "headers",
    [
        [("X-Forwarded-For", "127.0.0.1")],
        [("Forwarded", "for=127.0.0.1")],
        [("X-Real-IP", "127.0.0.1")],
        [("Via", "1.1 proxy")],
        [("X-Forwarded-Proto", "https")],
        [("CF-Connecting-IP", "127.0.0.1")],
    ],
)
def test_whoever_came_through_a_proxy_is_not(headers: Sequence[tuple[str, str]]) -> None:
    assert not is_local(request("127.0.0.1", ("Host", "localhost"), *headers))


def test_a_proxy_that_speaks_an_older_http_is_not_this_machine() -> None:
    asked = request("127.0.0.1", ("Host", "localhost"))
    assert is_local(asked)
    asked.scope["http_version"] = "1.0"
    assert not is_local(asked)


@pytest.mark.parametrize(
    "host", ["example.com", "127.0.0.1.example.com", "localhost.example.com", "", "[::2]:80", "localhost@evil", "0"]
)
def test_who_asks_for_another_host_is_not(host: str) -> None:
    assert not is_loopback_host(host)


@pytest.mark.parametrize(
    ("host", "expected"), [("0.0.0.0", False), ("::", False), ("::1", True), ("127.0.0.2", True), ("example", False)]
)
def test_addresses_to_listen_on_are_told_apart(host: str, *, expected: bool) -> None:
    assert is_loopback_address(host) is expected
