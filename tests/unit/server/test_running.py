"""A server's surroundings: where it listens, whom it refuses to listen to, and what it puts right now and then."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from serving import Station, station
from store_rows import run_row

from promptprop.domain.errors import UsageError
from promptprop.domain.serve_config import ServeConfig
from promptprop.ports.service import AuditRow
from promptprop.server.running import AUDIT_ROUND, DAY_ROUNDS, listening, require_tokens, tidy, url_of
from promptprop.server.settings import ServerSettings


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Station]:
    monkeypatch.chdir(tmp_path)
    async with station(tmp_path, ServeConfig(audit_days=20)) as running:
        yield running


def settings(*hosts: str, **serve: object) -> ServerSettings:
    return ServerSettings("sqlite:///runs.db", {}, ServeConfig.model_validate(serve), Path(), hosts=hosts)


async def test_a_run_that_lost_its_job_is_queued_again_in_the_first_round(server: Station) -> None:
    long_ago = datetime.now(timezone.utc) - timedelta(minutes=5)
    await server.store.create_run(run_row("run-1", status="queued", created_at=long_ago, updated_at=long_ago))
    await tidy(server.context, 0)
    assert (await server.queue.depth()).queued == 1


async def test_once_a_day_old_rows_leave_the_audit_log(server: Station) -> None:
    now = datetime.now(timezone.utc)
    rows = [
        AuditRow(now - timedelta(days=days), str(days), "", "POST /api/v1/runs", "", status, "::1")
        for days in (1, 19, 21)
        for status in (202, 403)
    ]
    await server.store.record_audit(rows)
    for number in (0, AUDIT_ROUND - 1, AUDIT_ROUND + 1, DAY_ROUNDS):
        await tidy(server.context, number)
    assert len(server.store.audit_page(10)) == 6
    await tidy(server.context, AUDIT_ROUND + DAY_ROUNDS)
    assert sorted({row.request_id for row in server.store.audit_page(10)}) == ["1", "19"]


def test_a_port_that_is_taken_is_told_with_a_remedy() -> None:
    with closing(listening("127.0.0.1", 0)) as first:
        port = first.getsockname()[1]
        assert url_of(first) == f"http://127.0.0.1:{port}"
        assert first.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
        with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1 port {port}") as refused:
            listening("127.0.0.1", port)
        assert "--port" in refused.value.remedy


def test_an_address_of_another_machine_is_told_with_a_remedy() -> None:
    with pytest.raises(UsageError, match=r"cannot listen on 192\.0\.2\.1") as refused:
        listening("192.0.2.1", 0)
    assert "--host" in refused.value.remedy


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
def test_others_are_not_let_in_before_there_is_a_token(host: str) -> None:
    with pytest.raises(UsageError, match="no token"):
        require_tokens(settings("127.0.0.1", host), has_tokens=False)
    require_tokens(settings("127.0.0.1", host), has_tokens=True)


def test_this_machine_needs_no_token_unless_the_settings_say_so() -> None:
    require_tokens(settings("127.0.0.1", "::1"), has_tokens=False)
    with pytest.raises(UsageError, match="always needed"):
        require_tokens(settings("127.0.0.1", tokens="always"), has_tokens=False)
    require_tokens(settings("127.0.0.1", tokens="always"), has_tokens=True)
