"""Health, readiness, metrics, and errors that were not foreseen."""

from __future__ import annotations

import logging
from typing import Any

import httpx
import pytest
from serving import LOCAL, STRANGER, Finished, Station

from promptprop.adapters.storage.connection import sqlite_file
from promptprop.domain.errors import StorageError
from promptprop.server.app import build_app
from promptprop.server.metrics import RequestCounts


def raw(server: Station, client: tuple[str, int] = LOCAL, **options: Any) -> httpx.AsyncClient:
    """A client whose paths begin at the root."""
    transport = httpx.ASGITransport(build_app(server.context), client=client, **options)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


async def test_whoever_asks_is_told_that_the_process_lives_and_is_ready(server: Station) -> None:
    async with raw(server, STRANGER) as http:
        alive, ready = await http.get("/healthz"), await http.get("/readyz")
    assert alive.json()["status"] == "ok"
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")


async def test_a_server_that_is_about_to_end_is_not_ready(server: Station) -> None:
    server.context.draining = True
    async with raw(server) as http:
        answer = await http.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (503, "draining")


@pytest.mark.parametrize("part", ["database", "queue"])
async def test_a_part_that_is_away_makes_it_unready(
    server: Station, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> Any:
        raise StorageError("it cannot be reached")

    async def gone(*_: Any) -> Any:
        return away()

    where: Any = server.store if part == "database" else server.queue
    monkeypatch.setattr(where, "run_counts" if part == "database" else "depth", away if part == "database" else gone)
    async with raw(server) as http:
        answer = await http.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
    assert answer.json()[part]["ok"] is False


async def test_a_database_whose_file_was_removed_makes_it_unready(
    server: Station, caplog: pytest.LogCaptureFixture
) -> None:
    file = sqlite_file(server.context.settings.url)
    assert file is not None
    file.rename(file.with_suffix(".away"))
    async with raw(server) as http:
        answer = await http.get("/readyz")
    assert answer.json()["database"] == {"ok": False, "detail": "cannot be used (its file was removed)"}
    assert "no longer there" in caplog.text


async def test_metrics_count_runs_and_hold_no_text_of_anyones(full_server: Station, finished: Finished) -> None:
    async with raw(full_server) as http:
        text = (await http.get("/metrics")).text
        refused = await raw(full_server, STRANGER).get("/metrics")
    assert 'promptprop_runs{status="finished"} 2' in text
    assert "promptprop_queue_jobs_queued 0" in text
    assert finished.optimization not in text
    assert "desk" not in text
    assert refused.status_code == 401


def test_answers_are_counted_by_route_and_time() -> None:
    counts = RequestCounts()
    for seconds in (0.004, 0.02, 99.0):
        counts.count("GET", '/api/"x"', 200, seconds)
    lines = list(counts.lines())
    labels = 'method="GET",route="/api/\\"x\\""'
    assert f'promptprop_http_requests_total{{{labels},status="200"}} 3' in lines
    assert f'promptprop_http_seconds_bucket{{{labels},le="0.025"}} 2' in lines
    assert f'promptprop_http_seconds_bucket{{{labels},le="+Inf"}} 3' in lines
    assert f"promptprop_http_seconds_count{{{labels}}} 3" in lines


async def test_a_mistake_of_ours_is_logged_and_not_shown(
    server: Station, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("secret inside")

    monkeypatch.setattr(server.store, "run_page", broken)
    with caplog.at_level(logging.ERROR, "promptprop.server"):
        async with raw(server, raise_app_exceptions=False) as http:
            answer = await http.get("/api/v1/runs")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret" not in answer.text
    assert "secret inside" in caplog.text


async def test_a_path_that_is_not_there_and_a_method_that_is_not_known_are_problems(server: Station) -> None:
    async with raw(server) as http:
        absent, wrong = await http.get("/api/v1/nothing"), await http.put("/api/v1/runs")
    for answer, status in ((absent, 404), (wrong, 405)):
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert isinstance(answer.json()["detail"], str)


async def test_a_probe_may_ask_for_the_head_alone(server: Station) -> None:
    async with raw(server, STRANGER) as http:
        for path in ("/healthz", "/readyz"):
            answer = await http.head(path)
            assert answer.status_code == 200
