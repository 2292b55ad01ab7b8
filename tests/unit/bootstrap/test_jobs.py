from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from memory_queue import MemoryQueue
from store_rows import run_row

from promptprop.adapters.storage.store import SqlStore, open_store
from promptprop.bootstrap import jobs as module
from promptprop.bootstrap.configuration import DATABASE_VARIABLE, SystemClock
from promptprop.bootstrap.jobs import (
    Attendant,
    build_roster,
    build_supervisor,
    job_version,
    preload,
    recover_executor,
    run_locks,
)
from promptprop.domain.errors import (
    ConfigError,
    Interrupted,
    PromptPropError,
    RunLocked,
    StorageError,
    StorageFull,
    TooManyErrors,
    UsageError,
)
from promptprop.domain.events import RunStopped
from promptprop.services.dispatch import Dispatch

RUN = "run-1"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqlStore]:
    """With one run that is queued."""
    monkeypatch.chdir(tmp_path)
    with closing(open_store(f"sqlite:///{tmp_path}/runs.db")) as opened:
        snapshot = {"config": {"tracking": {}}, "options": {}}
        asyncio.run(opened.create_run(run_row(RUN, status="queued", snapshot=snapshot)))
        yield opened


class Played(Attendant):
    """An attendant whose engine does what the test says: `acts` are errors to raise, or None to finish, in turns."""

    def __init__(
        self, store: SqlStore, *acts: BaseException | None, status: str = "", locked_seconds: float = 60.0
    ) -> None:
        dispatch = Dispatch(store, MemoryQueue(), SystemClock(), run_locks(store.url))
        super().__init__(store, store.url, {}, dispatch, locked_seconds=locked_seconds)
        self.acts, self.status, self.passes = list(acts), status, 0
        self._engine.run = self.play  # type: ignore[method-assign]

    async def play(self, run_id: str, **_: Any) -> Any:
        self.passes += 1
        act = self.acts.pop(0)
        if self.status:
            await self._store.change_status(run_id, ("queued",), self.status, "errors")
        if act is not None:
            raise act
        await self._store.change_status(run_id, ("queued", "running"), "finished", "done")

    def _sinks(self, run: Any) -> list[Any]:
        return []


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(module, "RECONNECT_SECONDS", (0.0, 0.0))


def told(store: SqlStore) -> tuple[str, str | None]:
    head = store.run_head(RUN)
    return head.status, head.stop_reason


async def test_a_run_that_finishes_is_a_job_that_is_done(store: SqlStore) -> None:
    assert await Played(store, None).attend(RUN) == {"status": "finished", "reason": "done"}


async def test_a_run_that_was_removed_leaves_nothing_to_do(store: SqlStore) -> None:
    assert await Played(store).attend("unknown") == {"status": "gone"}


@pytest.mark.parametrize("status", ["finished", "cancelled"])
async def test_a_run_that_is_over_is_not_begun_again(store: SqlStore, status: str) -> None:
    await store.change_status(RUN, ("queued",), status)
    attendant = Played(store)
    assert (await attendant.attend(RUN))["status"] == status
    assert attendant.passes == 0


async def test_an_error_that_ended_a_run_ends_its_job_and_is_told(store: SqlStore) -> None:
    outcome = await Played(store, TooManyErrors("too many"), status="stopped").attend(RUN)
    assert outcome == {"status": "stopped", "reason": "errors", "error": "too_many_errors", "message": "too many"}


async def test_a_run_that_could_not_begin_says_why(store: SqlStore) -> None:
    outcome = await Played(store, ConfigError("no such key")).attend(RUN)
    assert (outcome["status"], outcome["reason"], outcome["error"]) == ("stopped", "failed", "config")
    assert told(store) == ("stopped", "failed")
    (event,) = [one.event for one in store.events(RUN)]
    assert isinstance(event, RunStopped)
    assert "no such key" in event.detail


@pytest.mark.parametrize("end", [Interrupted("interrupted"), asyncio.CancelledError()])
@pytest.mark.parametrize(("wish", "status"), [("", "stopped"), ("paused", "stopped"), ("cancelled", "cancelled")])
async def test_a_run_that_is_interrupted_before_it_began_ends_as_it_was_asked_to(
    store: SqlStore, end: BaseException, wish: str, status: str
) -> None:
    if wish:
        await store.leave_wish(RUN, wish, {})
    outcome = await Played(store, end).attend(RUN)
    assert outcome == {"status": status, "reason": wish or "interrupted"}
    assert told(store) == (status, wish or "interrupted")


async def test_a_run_that_another_process_has_is_waited_for(store: SqlStore) -> None:
    locked = RunLocked("process 7 has it")
    attendant = Played(store, locked, locked, None)
    assert (await attendant.attend(RUN))["status"] == "finished"
    assert attendant.passes == 3


async def test_a_run_that_another_process_keeps_is_left_to_it(store: SqlStore) -> None:
    locked = RunLocked("process 7 has it")
    outcome = await Played(store, *[locked] * 1000, locked_seconds=0.05).attend(RUN)
    assert (outcome["error"], outcome["message"]) == ("run_locked", "process 7 has it")
    assert told(store) == ("queued", None)


async def test_a_run_goes_on_when_its_database_is_back(store: SqlStore) -> None:
    attendant = Played(store, StorageError("gone"), StorageError("gone"), None)
    assert (await attendant.attend(RUN))["status"] == "finished"


@pytest.mark.parametrize("error", [StorageError("gone"), StorageFull("full")])
async def test_a_run_stops_where_its_database_stays_away(store: SqlStore, error: PromptPropError) -> None:
    outcome = await Played(store, *[error] * 9).attend(RUN)
    assert (outcome["status"], outcome["message"]) == ("stopped", error.message)


async def test_what_no_run_can_be_blamed_for_fails_the_job(store: SqlStore, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ZeroDivisionError):
        await Played(store, ZeroDivisionError("oops")).attend(RUN)
    assert "the worker failed at the run" in caplog.text


def test_the_address_of_the_database_stands_on_no_command_line() -> None:
    supervisor = build_supervisor("postgresql://me:s3cret@db/runs", 2, 3, {"KEY": "value"})
    assert not any("s3cret" in part for part in supervisor.command)
    assert supervisor.environment == {"KEY": "value", DATABASE_VARIABLE: "postgresql://me:s3cret@db/runs"}
    assert supervisor.count == 2


def test_workers_of_a_quiet_server_are_quiet() -> None:
    told, quiet = (build_supervisor("sqlite:///runs.db", 1, 1, {}, quiet=quiet) for quiet in (False, True))
    assert ("--quiet" in told.command, "--quiet" in quiet.command) == (False, True)


def test_jobs_are_taken_up_by_workers_of_one_revision_and_major_version() -> None:
    major, revision = job_version().split("-")
    assert major.isdigit()
    assert revision.isdigit()


def test_what_is_loaded_early_exists() -> None:
    preload()


def test_a_worker_that_is_at_work_here_is_not_recovered(store: SqlStore) -> None:
    with closing(build_roster(store.url).take("busy")), pytest.raises(UsageError, match="at work"):
        recover_executor(store.url, "busy", 0.1)


def test_a_worker_that_another_one_just_looks_after_is_recovered_all_the_same(store: SqlStore) -> None:
    looking = build_roster(store.url).take("gone")
    done = threading.Timer(0.3, looking.close)
    done.start()
    assert recover_executor(store.url, "gone") == []
    done.join()


def test_a_worker_that_had_nothing_in_hand_leaves_nothing_to_recover(store: SqlStore) -> None:
    assert recover_executor(store.url, "gone") == []
