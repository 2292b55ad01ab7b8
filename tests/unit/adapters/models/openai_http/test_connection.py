from __future__ import annotations

import asyncio
import gzip
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from loopback import answering, completion
from yarl import URL

from promptprop.adapters.logs import redact, register_secret
from promptprop.adapters.models.failures import ProxyUnauthorised, Target
from promptprop.adapters.models.openai_http import connection as subject
from promptprop.adapters.models.openai_http.connection import Connection, find_proxy
from promptprop.domain.errors import (
    CallTimedOut,
    ConnectionDropped,
    EndpointUnreachable,
    RequestRefused,
    UnreadableAnswer,
    WrongAddress,
)

KEY = "key-of-this-host"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def connect(url: str) -> Connection:
    return Connection(Target("openai/m", url, KEY), url, {"Authorization": f"Bearer {KEY}"})


async def post(url: str, body: bytes = b"{}", timeout: float = 10.0, **headers: str) -> tuple[int, bytes]:
    connection = connect(url)
    try:
        status, _, answer = await connection.post("chat/completions", body, timeout, headers, {})
    finally:
        await connection.close()
    return status, answer


@pytest.fixture
async def raw_server() -> AsyncIterator[Callable[..., object]]:
    """Opens a port where a handler of raw bytes answers, and gives the address."""
    servers = []

    async def serve(handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]) -> str:
        server = await asyncio.start_server(handler, "127.0.0.1", 0)  # type: ignore[arg-type]  # handlers are coroutines
        servers.append(server)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"

    yield serve
    for server in servers:
        server.close()


async def request_of(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    return head + await reader.readexactly(length)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_and_the_key_stays_here(status: int) -> None:
    async with answering(completion()) as other:
        headers = {"Location": f"{other.url}/chat/completions?token=t0ken"}
        async with answering(b"", status, headers) as server:
            with pytest.raises(WrongAddress) as caught:
                await post(server.url)
            assert len(server.seen) == 1
    assert other.seen == []
    assert URL(other.url).authority in caught.value.message
    assert "t0ken" not in str(caught.value)
    assert "api_base" in caught.value.remedy
    assert caught.value.policy == "stop"


async def test_a_redirect_to_nowhere_is_an_error_too() -> None:
    for location in ("/login", "http://[", ""):
        async with answering(b"", 302, {"Location": location}) as server:
            with pytest.raises(WrongAddress):
                await post(server.url)


async def test_a_redirect_to_an_address_with_the_key_in_it_does_not_show_it() -> None:
    register_secret("Canary/Redirect0815")
    for location in ("https://Canary/Redirect0815.example/", "https://me:Canary/Redirect0815@host"):
        async with answering(b"", 302, {"Location": location}) as server:
            with pytest.raises(WrongAddress) as caught:
                await post(server.url)
        assert "canary" not in str(caught.value).lower()


async def test_the_query_of_an_address_goes_with_every_request() -> None:
    async with answering(completion()) as server:
        await post(f"{server.url}?api-version=2")
    assert server.seen[0][0].endswith("/v1/chat/completions?api-version=2")


async def test_an_endless_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "LONGEST_ANSWER", 100_000)
    async with answering(b"x" * 99_999) as server:
        assert len((await post(server.url))[1]) == 99_999
    async with answering(b"x" * 1_000_000) as server:
        with pytest.raises(UnreadableAnswer, match="an answer of more than"):
            await post(server.url)
    async with answering(gzip.compress(b"x" * 10_000_000), headers={"Content-Encoding": "gzip"}) as server:
        with pytest.raises(UnreadableAnswer, match="an answer of more than"):
            await post(server.url)


async def test_an_answer_in_many_pieces_is_put_together() -> None:
    body = bytes(range(256)) * 20_000
    async with answering(body) as server:
        assert await post(server.url) == (200, body)


async def test_a_large_body_is_sent_whole() -> None:
    async with answering(b"{}") as server:
        await post(server.url, b"x" * 3_000_000)
    assert server.seen[0][2] == b"x" * 3_000_000


async def test_cookies_of_an_answer_are_not_sent_back() -> None:
    async with answering(b"{}", headers={"Set-Cookie": "session=1; Path=/"}) as server:
        connection = connect(server.url)
        for _ in range(2):
            await connection.post("chat/completions", b"{}", 10.0, {}, {})
        await connection.close()
    assert [("Cookie" in headers) for _, headers, _ in server.seen] == [False, False]


async def test_headers_and_query_of_a_request_come_on_top() -> None:
    async with answering(b"{}") as server:
        connection = connect(server.url)
        await connection.post("embeddings", b"{}", 10.0, {"x-team": "blue"}, {"v": "a b"})
        await connection.close()
    path, headers, _ = server.seen[0]
    assert path == "/v1/embeddings?v=a+b"
    assert (headers["x-team"], headers["Authorization"]) == ("blue", f"Bearer {KEY}")


async def test_a_netrc_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    async with answering(b"{}") as server:
        await post(server.url)
    assert server.seen[0][1]["Authorization"] == f"Bearer {KEY}"


async def test_a_name_in_the_address_authenticates_where_there_is_no_key() -> None:
    async with answering(b"{}") as server:
        url = server.url.replace("http://", "http://me:pa%20ss@")
        for headers in ({}, {"Authorization": "Bearer k"}):
            connection = Connection(Target("openai/m", url, None), url, headers)
            await connection.post("chat/completions", b"{}", 10.0, {}, {})
            await connection.close()
    assert [headers["Authorization"] for _, headers, _ in server.seen] == ["Basic bWU6cGEgc3M=", "Bearer k"]


async def test_requests_go_through_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async with answering(b"{}") as proxy:
        address = URL(proxy.url).with_path("").with_user("me").with_password("pr0xyPassw0rd")
        monkeypatch.setenv("HTTP_PROXY", str(address))
        await post("http://models.invalid/v1")
        monkeypatch.setenv("NO_PROXY", "models.invalid")
        with pytest.raises(EndpointUnreachable):
            await post("http://models.invalid/v1")
    (path, headers, _), *more = proxy.seen
    assert path == "http://models.invalid/v1/chat/completions"
    assert headers["Proxy-Authorization"].startswith("Basic ")
    assert more == []
    assert "pr0xyPassw0rd" not in redact("of pr0xyPassw0rd")


async def test_a_proxy_sees_its_own_password_and_not_the_key(
    raw_server: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    address = URL(await raw_server(refuse)).with_path("")  # type: ignore[misc]  # the fixture's own coroutine
    monkeypatch.setenv("HTTPS_PROXY", str(address.with_user("me").with_password("pass")))
    with pytest.raises(ProxyUnauthorised) as caught:
        await post("https://models.invalid/v1", **{"x-secret": "of-this-model"})
    assert f"127.0.0.1:{address.port}" in caught.value.message
    assert "HTTPS_PROXY" in caught.value.remedy
    assert "me:pass" not in str(caught.value)
    assert seen[0].startswith(b"CONNECT models.invalid:443")
    assert b"Proxy-Authorization: Basic bWU6cGFzcw==" in seen[0]
    assert KEY.encode() not in seen[0]
    assert b"of-this-model" not in seen[0]


@pytest.mark.parametrize(("variable", "url"), [("HTTP_PROXY", "http"), ("HTTPS_PROXY", "https")])
async def test_a_proxy_that_does_not_run_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, variable: str, url: str
) -> None:
    monkeypatch.setenv(variable, "http://me:pr0xyPassw0rd@127.0.0.1:9")
    with pytest.raises(EndpointUnreachable) as caught:
        await post(f"{url}://models.invalid/v1")
    assert "through the proxy 127.0.0.1:9" in caught.value.message
    assert variable in caught.value.remedy
    assert "pr0xyPassw0rd" not in str(caught.value)


async def test_a_proxy_that_does_not_run_is_no_matter_to_a_server_on_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with answering(b"{}") as server:
        assert (await post(server.url))[0] == 200


async def test_an_answer_that_announces_its_size_is_refused_before_it_is_read(
    raw_server: Callable[..., object],
) -> None:
    async def boast(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 60000000\r\n\r\n{")
        await reader.read()  # nothing more is ever sent
        writer.close()

    with pytest.raises(UnreadableAnswer, match="an answer of more than 16 MB"):
        await post(await raw_server(boast))  # type: ignore[misc]  # the fixture's own coroutine


def test_no_proxy_is_asked_for_a_server_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "proxy.example:3128")
    assert find_proxy(URL("http://localhost:11434/v1")) == (None, None)


def test_a_proxy_may_be_for_one_scheme_or_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_proxy(URL("https://a.example/v1")) == (None, None)
    monkeypatch.setenv("ALL_PROXY", "proxy.example:3128")
    assert find_proxy(URL("https://a.example/v1")) == (URL("http://proxy.example:3128"), None)
    monkeypatch.setenv("HTTPS_PROXY", "http://other.example:1")
    assert find_proxy(URL("https://a.example/v1")) == (URL("http://other.example:1"), None)
    assert find_proxy(URL("http://a.example/v1")) == (URL("http://proxy.example:3128"), None)


async def test_a_request_whose_kept_connection_drops_is_not_sent_again(raw_server: Callable[..., object]) -> None:
    seen: list[bytes] = []

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await request_of(reader))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        seen.append(await request_of(reader))
        writer.close()

    connection = connect(await raw_server(once))  # type: ignore[misc]  # the fixture's own coroutine
    await connection.post("chat/completions", b"{}", 10.0, {}, {})
    with pytest.raises(ConnectionDropped) as caught:
        await connection.post("chat/completions", b"{}", 10.0, {}, {})
    await connection.close()
    assert caught.value.unconfirmed
    assert len(seen) == 2


@pytest.mark.parametrize(
    "answer",
    [b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", b"\x16\x03\x01\x00\x05hello"],
)
async def test_what_is_not_http_is_an_unreadable_answer(raw_server: Callable[..., object], answer: bytes) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(answer)
        writer.close()

    with pytest.raises(UnreadableAnswer):
        await post(await raw_server(greet))  # type: ignore[misc]  # the fixture's own coroutine


@pytest.mark.parametrize("url", ["", "models.example/v1", "ftp://models.example", "http://", "http://[/v1"])
def test_what_is_no_address_is_said(url: str) -> None:
    with pytest.raises(EndpointUnreachable, match="no connection"):
        connect(url)


async def test_a_header_that_cannot_be_written_is_refused_without_being_shown() -> None:
    async with answering(b"{}") as server:
        with pytest.raises(RequestRefused) as caught:
            await post(server.url, **{"x-team": "s3cret\r\nx: y"})
    assert server.seen == []
    assert "s3cret" not in str(caught.value)


async def test_a_deadline_that_passed_says_how_long_it_was(raw_server: Callable[..., object]) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    with pytest.raises(CallTimedOut, match=r"within 1 s"):
        await post(await raw_server(hang), timeout=1.0)  # type: ignore[misc]  # the fixture's own coroutine


async def test_a_closed_connection_opens_again() -> None:
    async with answering(b"{}") as server:
        connection = connect(server.url)
        for _ in range(2):
            assert (await connection.post("chat/completions", b"{}", 10.0, {}, {}))[0] == 200
            await connection.close()
            await connection.close()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for localhost that signs itself, and a server's context with it."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subjects = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-out", str(cert)]
    subprocess.run([*made, "-keyout", str(key), *subjects], check=True, capture_output=True, timeout=60)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    return cert, context


async def test_a_certificate_is_believed_where_ssl_cert_file_names_its_authority(
    certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, context = certificate
    async with answering(b"{}", tls=context) as server:
        with pytest.raises(EndpointUnreachable) as caught:
            await post(server.url)
        monkeypatch.setenv("SSL_CERT_FILE", str(cert))
        assert (await post(server.url))[0] == 200
    assert "SSL_CERT_FILE" in caught.value.remedy
