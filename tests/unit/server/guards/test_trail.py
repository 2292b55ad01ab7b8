"""The audit trail: what was changed and who was turned away."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timezone
from types import SimpleNamespace

import pytest
from asgi_calls import Echo, call
from starlette.types import Receive, Scope, Send

from promptprop.ports.service import AuditRow
from promptprop.server.guards.trail import MOST_WAITING, REFUSALS_PER_MINUTE, Audit, Trail


class Book:
    """Keeps what is recorded."""

    def __init__(self) -> None:
        self.rows: list[AuditRow] = []
        self.open = asyncio.Event()
        self.open.set()
        self.kept = asyncio.Event()
        self.broken = False

    async def record(self, rows: Sequence[AuditRow]) -> None:
        await self.open.wait()
        if self.broken:
            raise OSError("disk full")
        self.rows += rows
        self.kept.set()


def known(scope: Scope) -> None:
    scope["route"] = SimpleNamespace(path="/api/v1/runs/{run_id}/cancel")
    scope.setdefault("state", {}).update(actor="token1", request_id="abcdefgh")


@pytest.mark.parametrize(
    ("method", "status", "noted"),
    [
        ("GET", 200, False),
        ("GET", 404, False),
        ("GET", 401, True),
        ("GET", 403, True),
        ("GET", 421, True),
        ("HEAD", 200, False),
        ("OPTIONS", 204, False),
        ("POST", 202, True),
        ("POST", 422, True),
        ("POST", 429, False),
        ("GET", 429, False),
        ("DELETE", 204, True),
        ("BREW", 405, True),
    ],
)
async def test_changes_and_refusals_are_noted_and_reads_are_not(method: str, status: int, noted: bool) -> None:
    book = Book()
    trail = Trail(book.record)
    await call(Audit(Echo(status=status), trail), method=method)
    await trail.flush()
    assert [row.status for row in book.rows] == ([status] if noted else [])


async def test_a_row_tells_who_did_what_and_nothing_of_its_contents() -> None:
    book = Book()
    trail = Trail(book.record)
    secret = [("authorization", "Bearer pp_verysecret"), ("cookie", "pp_verysecret")]
    await call(
        Audit(Echo(status=202, before=known), trail),
        "/api/v1/runs/ab\r\n\x1b[31mc/cancel",
        "POST",
        secret,
        parts=[b'{"key": "pp_verysecret"}'],
        client="192.0.2.7",
    )
    await trail.flush()
    [row] = book.rows
    assert (row.actor, row.action, row.status) == ("token1", "POST /api/v1/runs/{run_id}/cancel", 202)
    assert (row.target, row.request_id) == ("/api/v1/runs/ab???[31mc/cancel", "abcdefgh")
    assert (row.address, row.at.tzinfo) == ("192.0.2.7", timezone.utc)
    assert "verysecret" not in repr(row)


async def test_what_looks_like_a_key_in_a_path_is_blacked_out() -> None:
    book = Book()
    trail = Trail(book.record)
    await call(Audit(Echo(status=404), trail), "/sk-abcdefgh12345678/" + "x" * 5000, "POST")
    await trail.flush()
    assert "sk-abc" not in book.rows[0].target
    assert len(book.rows[0].target) <= 220


async def test_a_stream_is_noted_when_it_begins() -> None:
    book, going = Book(), asyncio.Event()
    trail = Trail(book.record)

    async def streaming(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await going.wait()
        await send({"type": "http.response.body", "body": b""})

    task = asyncio.create_task(call(Audit(streaming, trail), method="POST"))
    await book.kept.wait()
    going.set()
    await task
    await trail.flush()
    assert len(book.rows) == 1


async def test_what_fails_and_what_is_never_answered_is_noted_too() -> None:
    book = Book()
    trail = Trail(book.record)

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("mine")

    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        return

    with pytest.raises(ValueError, match="mine"):
        await call(Audit(broken, trail), method="POST")
    await call(Audit(silent, trail), method="POST")
    await trail.flush()
    assert [row.status for row in book.rows] == [500, 499]


async def test_a_slow_log_holds_nobody_up_and_what_does_not_fit_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    book = Book()
    book.open.clear()
    trail = Trail(book.record)
    for _ in range(MOST_WAITING + 500):
        await call(Audit(Echo(), trail), method="POST")
    assert trail.lost > 0
    assert "left out of the audit log" in caplog.text
    book.open.set()
    await trail.flush()
    assert len(book.rows) + trail.lost == MOST_WAITING + 500


async def test_a_flood_of_refusals_does_not_fill_the_log_nor_keep_changes_out() -> None:
    book = Book()
    trail = Trail(book.record)
    for _ in range(900):
        await call(Audit(Echo(status=401), trail))
    await call(Audit(Echo(status=202), trail), method="POST")
    await trail.flush()
    assert REFUSALS_PER_MINUTE < len(book.rows) < REFUSALS_PER_MINUTE + 20
    assert book.rows[-1].status == 202


async def test_a_flood_of_one_kind_of_refusal_keeps_out_none_of_another() -> None:
    book = Book()
    trail = Trail(book.record)
    for _ in range(300):
        await call(Audit(Echo(status=401), trail))
    await call(Audit(Echo(status=421), trail))
    await trail.flush()
    assert book.rows[-1].status == 421


async def test_who_reads_the_log_waits_for_rows_on_their_way_but_not_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    book = Book()
    book.open.clear()
    trail = Trail(book.record)
    await call(Audit(Echo(), trail), method="POST")
    await trail.told(0.01)
    assert "behind" in caplog.text
    asyncio.get_running_loop().call_later(0.05, book.open.set)
    await trail.told(60)
    assert len(book.rows) == 1


async def test_a_log_that_cannot_be_written_is_told_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    book = Book()
    book.broken = True
    trail = Trail(book.record)
    await call(Audit(Echo(), trail), method="POST")
    await trail.flush()
    assert "cannot be written" in caplog.text
    book.broken = False
    await call(Audit(Echo(), trail), method="POST")
    await trail.flush()
    assert (len(book.rows), trail.lost) == (1, 1)
