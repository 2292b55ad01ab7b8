from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from memory_queue import MemoryQueue
from store_rows import run_row

from promptprop.adapters.storage.store import SqlStore, open_store
from promptprop.domain.errors import RunLocked, RunNotFound
from promptprop.domain.events import RunFinished, RunStarted, RunStopped, StoredEvent
from promptprop.domain.people import ENDINGS
from promptprop.services.dispatch import Dispatch

STARTED = RunStarted("name", "evaluate", "", 0, {}, {}, {}, False)


class Clock:
    """The machine's time, and as much more as the test says."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(timezone.utc) + self.ahead

    def monotonic(self) -> float:
        return 0.0


class Desk:
    """A dispatch over a store of its own; runs in `held` are locked by somebody else."""

    def __init__(self, store: SqlStore) -> None:
        self.store = store
        self.queue = MemoryQueue()
        self.clock = Clock()
        self.held: set[str] = set()
        self.dispatch = Dispatch(store, self.queue, self.clock, self.lock)

    def lock(self, run_id: str) -> AbstractContextManager[None]:
        @contextmanager
        def held() -> Iterator[None]:
            if run_id in self.held:
                raise RunLocked("somebody has it")
            self.held.add(run_id)
            yield
            self.held.discard(run_id)

        return held()

    async def run(self, run_id: str, status: str = "created", *events: object) -> str:
        await self.store.create_run(run_row(run_id, status=status))
        for seq, event in enumerate(events, 1):
            await self.store.append(StoredEvent(run_id, seq, self.clock.now(), event, {}))  # type: ignore[arg-type]
        return run_id

    def told(self, run_id: str) -> tuple[str, str | None]:
        head = self.store.run_head(run_id)
        return head.status, head.stop_reason

    def later(self) -> None:
        """All rows are old."""
        self.clock.ahead += timedelta(minutes=1)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with closing(open_store(f"sqlite:///{tmp_path}/runs.db")) as store:
        yield Desk(store)


@pytest.mark.parametrize("status", ["created", "stopped", "cancelled"])
async def test_a_run_that_is_not_under_way_can_be_queued(status: str, desk: Desk) -> None:
    run_id = await desk.run("run-1", status)
    assert await desk.dispatch.submit(run_id, 5) == "queued"
    assert desk.told(run_id) == ("queued", None)
    job = await desk.queue.state(run_id)
    assert job is not None
    assert (job.status, job.priority) == ("queued", 5)


async def test_a_run_that_is_queued_or_finished_stays_as_it_is(desk: Desk) -> None:
    await desk.run("run-1")
    await desk.run("run-2", "finished")
    await desk.dispatch.submit("run-1")
    assert await desk.dispatch.submit("run-1") == "elsewhere"
    assert await desk.dispatch.submit("run-2") == "elsewhere"
    assert desk.queue.log == [("submit", "run-1")]


async def test_a_run_that_nobody_knows_cannot_be_queued_or_ended(desk: Desk) -> None:
    with pytest.raises(RunNotFound):
        await desk.dispatch.submit("unknown")
    with pytest.raises(RunNotFound):
        await desk.dispatch.end("unknown", "cancelled")


async def test_an_owner_has_no_more_live_runs_than_allowed(desk: Desk) -> None:
    for number in range(3):
        await desk.run(f"run-{number}")
    assert [await desk.dispatch.submit(f"run-{number}", most_live=2) for number in range(3)] == [
        "queued",
        "queued",
        "full",
    ]
    assert desk.told("run-2") == ("created", None)


async def test_a_run_whose_command_was_killed_can_be_queued(desk: Desk) -> None:
    run_id = await desk.run("run-1", "running", STARTED)
    assert await desk.dispatch.submit(run_id) == "queued"
    assert [one.event for one in desk.store.events(run_id)] == [STARTED, RunStopped("interrupted")]


async def test_a_run_that_a_command_has_cannot_be_queued(desk: Desk) -> None:
    run_id = await desk.run("run-1", "running", STARTED)
    desk.held.add(run_id)
    with pytest.raises(RunLocked):
        await desk.dispatch.submit(run_id)
    assert desk.told(run_id) == ("running", None)


async def test_an_older_wish_to_end_a_run_does_not_end_it_anew(desk: Desk) -> None:
    run_id = await desk.run("run-1", "stopped")
    await desk.store.leave_wish(run_id, "paused", {})
    await desk.dispatch.submit(run_id)
    assert desk.store.ending(run_id) == "interrupted"


@pytest.mark.parametrize("ending", ENDINGS)
async def test_a_queued_run_is_over_at_once(ending: str, desk: Desk) -> None:
    run_id = await desk.run("run-1")
    await desk.dispatch.submit(run_id)
    assert await desk.dispatch.end(run_id, ending, "me") is True  # type: ignore[arg-type]
    assert desk.told(run_id) == ("cancelled" if ending == "cancelled" else "stopped", ending)
    assert [one.event for one in desk.store.events(run_id)] == [RunStopped(ending)]
    assert desk.queue.take("host-0") is None
    assert desk.store.wishes(run_id) == []


async def test_a_run_in_a_worker_is_left_to_it(desk: Desk) -> None:
    run_id = await desk.run("run-1")
    await desk.dispatch.submit(run_id)
    desk.queue.take("host-0")
    assert await desk.dispatch.end(run_id, "cancelled", "me") is False
    assert desk.told(run_id) == ("queued", None)
    assert desk.store.ending(run_id) == "cancelled"
    assert [wish.author for wish in desk.store.wishes(run_id)] == ["me"]
    job = await desk.queue.state(run_id)
    assert job is not None
    assert job.status == "cancelled"


async def test_a_run_of_a_command_is_left_to_it(desk: Desk) -> None:
    run_id = await desk.run("run-1", "running", STARTED)
    desk.held.add(run_id)
    assert await desk.dispatch.end(run_id, "paused") is False
    assert desk.store.ending(run_id) == "paused"


@pytest.mark.parametrize(
    ("status", "ending"),
    [("finished", "cancelled"), ("finished", "paused"), ("cancelled", "paused"), ("stopped", "paused")],
)
async def test_a_run_that_is_over_stays_as_it_is(status: str, ending: str, desk: Desk) -> None:
    run_id = await desk.run("run-1", status)
    assert await desk.dispatch.end(run_id, ending) is True  # type: ignore[arg-type]
    assert desk.told(run_id) == (status, None)
    assert desk.store.wishes(run_id) == []


async def test_a_stopped_run_can_be_cancelled(desk: Desk) -> None:
    run_id = await desk.run("run-1", "stopped", STARTED, RunStopped("interrupted"))
    assert await desk.dispatch.end(run_id, "cancelled") is True
    assert desk.told(run_id) == ("cancelled", "cancelled")


# --- what a crash leaves behind -------------------------------------------------------------------------------------


async def test_a_run_whose_server_died_before_it_had_a_job_is_queued(desk: Desk) -> None:
    run_id = await desk.run("run-1", "queued")
    desk.later()
    assert await desk.dispatch.settle() == 1
    assert (await desk.queue.live())[0].run_id == run_id
    assert await desk.dispatch.settle() == 0


async def test_a_run_that_changed_a_moment_ago_is_left_alone(desk: Desk) -> None:
    await desk.run("run-1", "queued")
    await desk.store.change_status("run-1", ("queued",), "queued")
    assert await desk.dispatch.settle() == 0


async def test_a_run_whose_worker_died_over_its_cancellation_is_cancelled(desk: Desk) -> None:
    run_id = await desk.run("run-1", "queued", STARTED)
    await desk.queue.submit(run_id)
    desk.queue.take("host-0")
    await desk.dispatch.end(run_id, "cancelled")
    await desk.store.change_status(run_id, ("queued",), "running")
    desk.later()
    desk.held.add(run_id)
    assert await desk.dispatch.settle() == 0
    desk.held.clear()
    assert await desk.dispatch.settle() == 1
    assert desk.told(run_id) == ("cancelled", "cancelled")
    assert desk.store.events(run_id)[-1].event == RunStopped("cancelled")


async def test_a_run_that_wore_its_workers_out_is_stopped_and_says_why(desk: Desk) -> None:
    run_id = await desk.run("run-1", "running", STARTED)
    await desk.queue.submit(run_id)
    desk.queue.take("host-0")
    desk.queue.finish(run_id, "its workers died again and again")
    desk.later()
    assert await desk.dispatch.settle() == 1
    assert desk.told(run_id) == ("stopped", "failed")
    assert desk.store.events(run_id)[-1].event == RunStopped("failed", "its workers died again and again")


async def test_a_run_that_was_queued_while_its_worker_had_its_last_words_is_queued_anew(desk: Desk) -> None:
    run_id = await desk.run("run-1", "queued", STARTED, RunStopped("paused"))
    await desk.queue.submit(run_id)
    desk.queue.take("host-0")
    desk.queue.finish(run_id)
    desk.later()
    assert await desk.dispatch.settle() == 1
    job = await desk.queue.state(run_id)
    assert job is not None
    assert (job.status, job.attempt) == ("queued", 2)


async def test_a_job_that_is_about_to_be_over_is_waited_for(desk: Desk) -> None:
    run_id = await desk.run("run-1", "stopped")
    await desk.queue.submit(run_id)
    desk.queue.take("host-0")
    submitting = asyncio.create_task(desk.dispatch.submit(run_id))
    await asyncio.sleep(0.1)
    desk.queue.finish(run_id)
    assert await submitting == "queued"
    job = await desk.queue.state(run_id)
    assert job is not None
    assert (job.status, job.attempt) == ("queued", 2)


async def test_a_run_whose_job_waits_again_says_so(desk: Desk) -> None:
    run_id = await desk.run("run-1", "running", STARTED)
    await desk.queue.submit(run_id)
    desk.later()
    assert await desk.dispatch.settle() == 1
    assert desk.told(run_id) == ("queued", None)


async def test_runs_of_commands_and_runs_that_are_well_are_left_alone(desk: Desk) -> None:
    await desk.run("run-1", "running", STARTED)
    await desk.run("run-2", "running", STARTED)
    await desk.queue.submit("run-2")
    desk.queue.take("host-0")
    await desk.run("run-3", "queued")
    await desk.queue.submit("run-3")
    desk.later()
    assert await desk.dispatch.settle() == 0


async def test_however_many_runs_are_settled(desk: Desk) -> None:
    for number in range(250):
        await desk.run(f"run-{number}", "queued")
    desk.later()
    assert await desk.dispatch.settle() == 250
    assert (await desk.queue.depth()).queued == 250


async def test_runs_whose_jobs_came_back_say_queued_unless_they_are_over(desk: Desk) -> None:
    for number, status in enumerate(("stopped", "running", "finished"), 1):
        await desk.queue.submit(await desk.run(f"run-{number}", status))
    await desk.dispatch.returned(["run-1", "run-2", "run-3"])
    assert [desk.told(f"run-{number}")[0] for number in (1, 2, 3)] == ["queued", "queued", "finished"]


async def test_runs_that_a_worker_has_taken_up_again_meanwhile_do_not_say_queued(desk: Desk) -> None:
    await desk.queue.submit(await desk.run("run-1", "running"))
    desk.held.add("run-1")  # a worker has it, and is about to tell the queue
    await desk.queue.submit(await desk.run("run-2", "running"), 1)
    assert desk.queue.take("host-0") == "run-2"
    await desk.run("run-3", "stopped")  # and its job is over
    await desk.dispatch.returned(["run-1", "run-2", "run-3"])
    assert [desk.told(f"run-{number}")[0] for number in (1, 2, 3)] == ["running", "running", "stopped"]


async def test_a_run_that_has_finished_is_not_told_to_have_stopped(desk: Desk) -> None:
    run_id = await desk.run("run-1", "running", STARTED, RunFinished("done"))
    await desk.dispatch.close_run(run_id, "failed", "late")
    assert desk.store.events(run_id)[-1].event == RunFinished("done")
