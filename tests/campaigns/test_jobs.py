"""Queued runs outlive their servers: fifty of them, and two hosts of which one is lost."""

from __future__ import annotations

import json
import time
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
            tally = await kill_servers(project, server, RUNS, 2, 2, whole=True)
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


@pytest.mark.campaign
async def test_a_run_that_kills_its_workers_keeps_no_other_from_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deadly.py").write_text("import os\n\n\ndef score(output, example):\n    os._exit(9)\n", "utf-8")
    with OpenAIServer(latency=LATENCY) as server:
        project = Project(tmp_path, server.url, rows=ROWS)
        try:
            document = json.loads(project.config.read_text("utf-8"))
            harmless = document["metrics"]
            document["metrics"] = [{"id": "m", "type": "python", "function": "deadly.py:score"}]
            project.config.write_text(json.dumps(document), "utf-8")
            (deadly,) = await project.queued(1)
            project.config.write_text(json.dumps({**document, "metrics": harmless}), "utf-8")
            others = await project.queued(7)
            began = time.monotonic()
            process = project.serve(1)
            await project.until_ended(others, 120)
            innocent = time.monotonic() - began
            await project.until_ended([deadly], 300)
            assert {project.head(run_id).status for run_id in others} == {"finished"}
            assert (project.head(deadly).status, project.head(deadly).stop_reason) == ("stopped", "failed")
            deaths = (await project.job(deadly)).starts - 1
            assert project.stop(process) == 0
        finally:
            await project.close()
    whole = time.monotonic() - began
    given_up = f"given up after {deaths} deaths and {whole:.0f} s"
    print(f"\na deadly run among 7 others: they finished after {innocent:.0f} s, it was {given_up}")
