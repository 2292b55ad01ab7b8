"""Queued runs outlive their servers: fifty of them, and two hosts of which one is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from job_kills import kill_servers, lose_a_worker
from job_kit import Project
from openai_server import OpenAIServer

RUNS = 50
ROWS = 20
LATENCY = 0.02


@pytest.mark.campaign
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_fifty_queued_runs_finish_although_their_server_is_killed_twice(
    database: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    url = str(request.getfixturevalue("postgres_url")) if database == "postgresql" else ""
    with OpenAIServer(latency=LATENCY) as server:
        project = Project(tmp_path, server.url, url, rows=ROWS)
        try:
            tally = await kill_servers(project, server, RUNS, 2, 2)
        finally:
            await project.close()
    print(f"\n{database}: {tally.line(RUNS)}")


@pytest.mark.campaign
async def test_no_run_of_a_worker_that_is_lost_for_good_is_lost(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    other = tmp_path / "other-host"
    other.mkdir()
    with OpenAIServer(latency=LATENCY) as server:
        project = Project(tmp_path, server.url, postgres_url, rows=ROWS)
        try:
            tally = await lose_a_worker(project, server, RUNS, other)
        finally:
            await project.close()
    print(f"\npostgresql, one host lost: {tally.line(RUNS)}")
