"""Workers in processes of their own, on runs against a loopback server that counts."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from job_kills import kill_servers, lose_a_worker
from job_kit import Project
from openai_server import OpenAIServer
from postgres_server import PostgresServer

from promptprop.adapters.jobs.executors import host
from promptprop.domain.events import RunResumed, RunStopped

SLOW = 0.05  # seconds that an answer takes


@pytest.fixture
async def project(
    tmp_path: Path, openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Project]:
    """Runs of 4 rows."""
    monkeypatch.chdir(tmp_path)
    made = Project(tmp_path, openai_server.url)
    yield made
    await made.close()


@pytest.fixture
async def long_project(
    tmp_path: Path, openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Project]:
    """Runs of 200 rows, 10 s each."""
    monkeypatch.chdir(tmp_path)
    openai_server.latency = SLOW
    made = Project(tmp_path, openai_server.url, rows=200)
    yield made
    await made.close()


async def test_queued_runs_are_brought_to_their_end_and_leave_their_files(
    project: Project, openai_server: OpenAIServer
) -> None:
    run_ids = await project.queued(3)
    assert {project.head(run_id).status for run_id in run_ids} == {"queued"}
    worker = project.work()
    await project.until_ended(run_ids)
    assert {project.head(run_id).status for run_id in run_ids} == {"finished"}
    assert openai_server.stats.requests == 12
    assert project.stop(worker) == 0
    for run_id in run_ids:
        job = await project.job(run_id)
        assert job.status == "done"
        assert (job.attempt, job.starts, job.executor) == (1, 1, f"{host()}-0")
        folder = project.folder / ".promptprop" / "runs" / run_id[:8]
        assert json.loads((folder / "result.json").read_text(encoding="utf-8"))["run_id"] == run_id


async def test_urgent_runs_go_first(project: Project) -> None:
    usual, late, urgent = await project.queued(1), await project.queued(1, -5), await project.queued(1, 5)
    project.work("--concurrency", "1")
    await project.until_ended([*usual, *late, *urgent])
    assert sorted([*usual, *late, *urgent], key=lambda run_id: project.head(run_id).updated_at) == [
        *urgent,
        *usual,
        *late,
    ]


async def test_a_run_that_cannot_be_begun_says_why_and_can_be_resumed(
    project: Project, openai_server: OpenAIServer
) -> None:
    (run_id,) = await project.queued(1)
    model = project.store.run(run_id).snapshot["config"]["models"]["task"]
    snapshot = dict(project.store.run(run_id).snapshot)
    broken = {
        **snapshot,
        "config": {**snapshot["config"], "models": {"task": {**model, "api_key": "${env:ABSENT_KEY}"}}},
    }
    await project.store.update_run(run_id, snapshot=broken)
    worker = project.work()
    await project.until_ended([run_id])
    assert (project.head(run_id).status, project.head(run_id).stop_reason) == ("stopped", "failed")
    (told,) = [one.event for one in project.store.events(run_id)]
    assert isinstance(told, RunStopped)
    assert (told.reason, "ABSENT_KEY" in told.detail) == ("failed", True)
    await project.store.update_run(run_id, snapshot=snapshot)
    assert await project.dispatch.submit(run_id) == "queued"
    await project.until(lambda: project.head(run_id).status == "finished")
    assert (await project.job(run_id)).attempt == 2
    assert [one.event.kind for one in project.store.events(run_id)][:2] == ["run_stopped", "run_started"]
    assert project.stop(worker) == 0
    assert openai_server.stats.requests == 4


async def test_a_drained_worker_gives_its_runs_back_and_the_next_one_pays_nothing_twice(
    long_project: Project, openai_server: OpenAIServer
) -> None:
    run_ids = await long_project.queued(2)
    first = long_project.work()
    for run_id in run_ids:
        await long_project.until_running(run_id)
    await long_project.until(lambda: openai_server.stats.requests > 6)
    began = time.monotonic()
    assert long_project.stop(first) == 0
    assert time.monotonic() - began < 10
    for run_id in run_ids:
        assert long_project.head(run_id).status == "queued"
        assert (await long_project.job(run_id)).status == "queued"
        assert RunStopped("interrupted") in [one.event for one in long_project.store.events(run_id)]
    openai_server.latency = 0.0
    long_project.work()
    await long_project.until_ended(run_ids)
    assert {long_project.head(run_id).status for run_id in run_ids} == {"finished"}
    assert RunResumed() in [one.event for one in long_project.store.events(run_ids[0])]
    assert openai_server.stats.requests <= 400 + 2  # what was in flight may be asked again


async def test_a_killed_worker_finds_its_runs_again_when_it_starts(
    long_project: Project, openai_server: OpenAIServer
) -> None:
    run_ids = await long_project.queued(2)
    first = long_project.work()
    await long_project.until(lambda: openai_server.stats.requests > 6)
    long_project.stop(first, signal.SIGKILL)
    openai_server.latency = 0.0
    long_project.work()
    await long_project.until_ended(run_ids)
    assert {long_project.head(run_id).status for run_id in run_ids} == {"finished"}
    assert openai_server.stats.requests <= 400 + 2
    for run_id in run_ids:
        job = await long_project.job(run_id)
        assert (job.attempt, job.starts, job.executor) == (1, 2, f"{host()}-0")


async def test_the_runs_of_a_killed_worker_are_taken_over_by_another_on_its_host(
    long_project: Project, openai_server: OpenAIServer
) -> None:
    (run_id,) = await long_project.queued(1)
    first = long_project.work("--executor", "first")
    await long_project.until_running(run_id)
    second = long_project.work("--executor", "second")
    await long_project.until(lambda: "second takes up runs" in long_project.logs())
    long_project.stop(first, signal.SIGKILL)
    openai_server.latency = 0.0
    await long_project.until_ended([run_id])
    assert (await long_project.job(run_id)).executor == "second"
    assert long_project.stop(second) == 0


async def test_a_run_that_a_command_works_on_is_waited_for(long_project: Project, openai_server: OpenAIServer) -> None:
    run_id = await long_project.run()
    command = long_project.command("runs", "resume", run_id)
    await long_project.until_running(run_id)
    await long_project.queue.submit(run_id)
    long_project.work()
    await long_project.until(lambda: "waiting for it" in long_project.logs())
    openai_server.latency = 0.0
    assert command.wait(60) == 0
    await long_project.until(lambda: openai_server.stats.in_flight == 0)
    await long_project.until_ended([run_id])
    assert openai_server.stats.requests == 200


async def test_a_second_signal_ends_a_worker_at_once(long_project: Project, openai_server: OpenAIServer) -> None:
    openai_server.latency = 25.0  # a drain takes six seconds
    await long_project.queued(1)
    worker = long_project.work()
    await long_project.until(lambda: openai_server.stats.requests > 0)
    worker.send_signal(signal.SIGTERM)
    await long_project.until(lambda: "stopping" in long_project.logs())
    assert long_project.stop(worker) == 143


async def test_a_run_that_is_cancelled_ends_within_seconds_and_says_so(
    long_project: Project, openai_server: OpenAIServer
) -> None:
    (run_id,) = await long_project.queued(1)
    worker = long_project.work()
    await long_project.until_running(run_id)
    began = time.monotonic()
    assert await long_project.dispatch.end(run_id, "cancelled", "somebody") is False
    await long_project.until_ended([run_id])
    print(f"cancelled after {time.monotonic() - began:.2f} s")
    assert (long_project.head(run_id).status, long_project.head(run_id).stop_reason) == ("cancelled", "cancelled")
    assert long_project.store.events(run_id)[-1].event == RunStopped("cancelled")
    assert (await long_project.job(run_id)).status == "cancelled"
    assert openai_server.stats.requests < 200
    assert await long_project.dispatch.end(run_id, "cancelled") is True
    assert long_project.stop(worker) == 0
    assert "Traceback" not in long_project.logs()


async def test_a_paused_run_goes_on_where_it_stopped(long_project: Project, openai_server: OpenAIServer) -> None:
    (run_id,) = await long_project.queued(1)
    long_project.work()
    await long_project.until(lambda: openai_server.stats.requests > 6)
    await long_project.dispatch.end(run_id, "paused")
    await long_project.until_ended([run_id])
    assert (long_project.head(run_id).status, long_project.head(run_id).stop_reason) == ("stopped", "paused")
    openai_server.latency = 0.0
    assert await long_project.dispatch.submit(run_id) == "queued"
    await long_project.until(lambda: long_project.head(run_id).status == "finished")
    assert (await long_project.job(run_id)).attempt == 2
    assert openai_server.stats.requests <= 200 + 1


async def test_a_queued_run_that_is_cancelled_is_over_at_once_and_never_begun(
    project: Project, openai_server: OpenAIServer
) -> None:
    cancelled, other = await project.queued(2)
    assert await project.dispatch.end(cancelled, "cancelled") is True
    assert project.head(cancelled).status == "cancelled"
    worker = project.work()
    await project.until_ended([other])
    assert project.stop(worker) == 0
    assert project.head(cancelled).status == "cancelled"
    assert openai_server.stats.requests == 4


async def test_calls_that_take_long_keep_no_worker_from_draining_in_time(
    long_project: Project, openai_server: OpenAIServer
) -> None:
    openai_server.latency = 25.0
    (run_id,) = await long_project.queued(1)
    worker = long_project.work()
    await long_project.until(lambda: openai_server.stats.requests > 0)
    began = time.monotonic()
    assert long_project.stop(worker) == 0
    assert time.monotonic() - began < 10
    assert long_project.head(run_id).status == "queued"
    assert long_project.store.events(run_id)[-1].event == RunStopped("interrupted")


async def test_queued_runs_finish_although_their_server_is_killed(
    tmp_path: Path, openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    openai_server.latency = 0.02
    project = Project(tmp_path, openai_server.url, rows=15)
    try:
        tally = await kill_servers(project, openai_server, 6, 1, 1)
    finally:
        await project.close()
    assert tally.deaths == 1


async def test_the_runs_of_a_lost_host_are_recovered_by_command(
    tmp_path: Path, openai_server: OpenAIServer, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    openai_server.latency = 0.02
    other = tmp_path / "other-host"
    other.mkdir()
    project = Project(tmp_path, openai_server.url, postgres_url, rows=15)
    try:
        await lose_a_worker(project, openai_server, 8, other)
        assert "runs of lost are queued again" in project.logs()
        assert "0 runs of lost are queued again" in project.logs()
    finally:
        await project.close()


async def test_a_run_goes_on_by_itself_after_its_database_server_has_ended_all_connections(
    tmp_path: Path,
    openai_server: OpenAIServer,
    postgres_server: PostgresServer,
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    openai_server.latency = 0.02
    project = Project(tmp_path, openai_server.url, postgres_url, rows=60)
    try:
        run_ids = await project.queued(2)
        worker = project.work()
        await project.until(lambda: openai_server.stats.requests > 20)
        ended = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s "
            "AND application_name NOT IN (%s, 'dbos_transact_client')"  # the test has connections of its own
        )
        own = f"promptprop {socket.gethostname()[:30]} pid {os.getpid()}"
        postgres_server.execute(ended, postgres_url.partition("?")[0].rpartition("/")[2], own)
        await project.until(lambda: all(project.head(run_id).status == "finished" for run_id in run_ids))
        assert RunResumed() in [one.event for one in project.store.events(run_ids[0])]
        assert {(await project.job(run_id)).attempt for run_id in run_ids} == {1}
        assert openai_server.stats.requests <= 120 + 2
        assert project.stop(worker) == 0
    finally:
        await project.close()
