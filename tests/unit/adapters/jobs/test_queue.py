from __future__ import annotations

import logging
import sqlite3
import uuid
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from promptprop.adapters.jobs.executors import Roster
from promptprop.adapters.jobs.places import QUEUE
from promptprop.adapters.jobs.queue import DbosQueue, adopt, requeue
from promptprop.adapters.jobs.vendor import quiet
from promptprop.domain.errors import StorageError


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[DbosQueue]:
    url = f"sqlite:///{tmp_path}/state/promptprop.db"
    made = DbosQueue(url, Roster(url, tmp_path / "executors"))
    yield made
    await made.close()


def database_of(queue: DbosQueue) -> Any:
    return queue._client()._sys_db


def take(queue: DbosQueue, executor: str, version: str) -> list[str]:
    line = queue._client().register_queue(QUEUE, worker_concurrency=9)
    found, _ = database_of(queue).start_queued_workflows(line, executor, version, None, owner_xid=uuid.uuid4().hex)
    return [str(one) for one in found]


async def test_the_file_is_made_when_it_is_needed_and_writes_ahead(queue: DbosQueue, tmp_path: Path) -> None:
    file = tmp_path / "state" / "jobs.db"
    assert not file.exists()
    await queue.ping()
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_a_closed_queue_opens_again_when_it_is_asked(queue: DbosQueue) -> None:
    await queue.submit("one")
    await queue.close()
    assert (await queue.depth()).queued == 1


async def test_jobs_whose_file_was_removed_are_not_written_to_nowhere(queue: DbosQueue, tmp_path: Path) -> None:
    await queue.submit("one")
    for file in (tmp_path / "state").glob("jobs.db*"):
        file.unlink()
    with pytest.raises(StorageError, match="was removed"):
        await queue.submit("two")
    await queue.close()
    assert (await queue.depth()).queued == 0


async def test_workers_of_this_host_that_have_no_job_are_known(queue: DbosQueue, tmp_path: Path) -> None:
    slot = Roster("sqlite:///runs.db", tmp_path / "executors").take("idle-0")
    assert (await queue.depth()).executors == ("idle-0",)
    slot.close()
    assert (await queue.depth()).executors == ()


async def test_a_queue_out_of_reach_is_told_as_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StorageError):
        await DbosQueue(f"sqlite:///{tmp_path}/file/promptprop.db").ping()
    with pytest.raises(StorageError, match="cannot be reached"):
        await DbosQueue("postgresql://nobody@127.0.0.1:1/none").ping()


async def test_a_drain_takes_back_that_jobs_were_started(queue: DbosQueue) -> None:
    await queue.submit("one")
    take(queue, "host-0", "v1")
    assert requeue(database_of(queue), "host-0", forgive=True) == ["one"]
    state = await queue.state("one")
    assert state is not None
    assert (state.status, state.starts) == ("queued", 0)
    take(queue, "host-0", "v1")
    requeue(database_of(queue), "host-0")
    counted = await queue.state("one")
    assert counted is not None
    assert (counted.status, counted.starts) == ("queued", 1)


async def test_a_newer_version_takes_the_jobs_that_an_older_one_gave_back(queue: DbosQueue) -> None:
    for run_id in ("one", "two"):
        await queue.submit(run_id)
    take(queue, "old-0", "v1")
    requeue(database_of(queue), "old-0")
    assert take(queue, "new-0", "v2") == []
    adopt(database_of(queue), "v2")
    assert sorted(take(queue, "new-0", "v2")) == ["one:1", "two:1"]


async def test_jobs_in_hand_are_not_taken_over(queue: DbosQueue) -> None:
    await queue.submit("one")
    take(queue, "old-0", "v1")
    adopt(database_of(queue), "v2")
    assert take(queue, "new-0", "v2") == []


def test_what_dbos_says_goes_into_the_log_but_for_what_runs_tell_themselves(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    quiet()
    quiet()
    vendor = logging.getLogger("dbos")
    with caplog.at_level(logging.WARNING):
        vendor.info("Initializing")
        vendor.warning("Workflow one:1 was cancelled during execution. Waiting for the recorded outcome")
        vendor.error("Exception encountered in asynchronous workflow:")
        vendor.warning("Database connection failed")
    assert [record.getMessage() for record in caplog.records] == ["Database connection failed"]
    assert capsys.readouterr().err == ""
