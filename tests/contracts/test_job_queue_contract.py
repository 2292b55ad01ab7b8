"""What every JobQueue must do; a worker is played by `take`."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable

import pytest
from memory_queue import MemoryQueue

from promptprop.adapters.jobs.places import QUEUE
from promptprop.adapters.jobs.queue import DbosQueue
from promptprop.domain.errors import UsageError
from promptprop.ports import JobQueue, QueueDepth

Take = Callable[[JobQueue, str], "str | None"]


def take_in_memory(queue: JobQueue, executor: str) -> str | None:
    assert isinstance(queue, MemoryQueue)
    return queue.take(executor)


def take_by_dbos(queue: JobQueue, executor: str) -> str | None:
    """As the loop of a worker does it, one job at a time."""
    assert isinstance(queue, DbosQueue)
    database = queue._client()._sys_db
    line = queue._client().register_queue(QUEUE, worker_concurrency=1)
    found, _ = database.start_queued_workflows(line, executor, "v1", None, owner_xid=uuid.uuid4().hex)
    return str(found[0]).rpartition(":")[0] if found else None


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def queue(request: pytest.FixtureRequest, tmp_path: object) -> AsyncIterator[JobQueue]:
    if request.param == "memory":
        yield MemoryQueue()
        return
    url = f"sqlite:///{tmp_path}/promptprop.db"
    if request.param == "postgresql":
        url = str(request.getfixturevalue("postgres_url"))
    opened = DbosQueue(url)
    yield opened
    await opened.close()


@pytest.fixture
def take(queue: JobQueue) -> Take:
    return take_in_memory if isinstance(queue, MemoryQueue) else take_by_dbos


async def started(take: Take, queue: JobQueue, executor: str) -> str | None:
    return await asyncio.to_thread(take, queue, executor)


async def test_a_run_that_was_never_submitted_has_no_job(queue: JobQueue) -> None:
    assert await queue.state("unknown") is None
    assert await queue.states(["unknown", "other"]) == {}


async def test_a_submitted_run_waits_at_its_place(queue: JobQueue) -> None:
    for run_id in ("one", "two"):
        await queue.submit(run_id)
    states = await queue.states(["one", "two"])
    assert {run_id: (state.status, state.place, state.attempt) for run_id, state in states.items()} == {
        "one": ("queued", 1, 1),
        "two": ("queued", 2, 1),
    }
    assert all(state.live and not state.executor and not state.starts for state in states.values())
    assert await queue.depth() == QueueDepth(2, 0)


async def test_submitting_a_live_run_again_changes_nothing(queue: JobQueue, take: Take) -> None:
    await queue.submit("one")
    before = await queue.state("one")
    await queue.submit("one", priority=7)
    assert await queue.state("one") == before
    assert await started(take, queue, "host-0") == "one"
    running = await queue.state("one")
    await queue.submit("one")
    assert await queue.state("one") == running


async def test_two_who_submit_a_run_at_once_queue_one_job(queue: JobQueue) -> None:
    await asyncio.gather(*(queue.submit("one") for _ in range(8)))
    assert await queue.depth() == QueueDepth(1, 0)


async def test_a_higher_priority_goes_first_and_equals_go_in_their_order(queue: JobQueue, take: Take) -> None:
    for run_id, priority in (("late", -1000), ("first usual", 0), ("second usual", 0), ("urgent", 1000)):
        await queue.submit(run_id, priority)
    due = ["urgent", "first usual", "second usual", "late"]
    assert [state.run_id for state in await queue.live()] == due
    assert [await started(take, queue, "host-0") for _ in range(5)] == [*due, None]


async def test_a_priority_out_of_range_is_refused(queue: JobQueue) -> None:
    with pytest.raises(UsageError, match="1001"):
        await queue.submit("one", 1001)
    assert await queue.state("one") is None


async def test_a_job_that_runs_says_who_has_it(queue: JobQueue, take: Take) -> None:
    await queue.submit("one", 3)
    await started(take, queue, "host-0")
    state = await queue.state("one")
    assert state is not None
    assert (state.status, state.executor, state.starts, state.place, state.priority) == (
        "running",
        "host-0",
        1,
        None,
        3,
    )
    assert state.started_at is not None
    assert await queue.depth() == QueueDepth(0, 1, ("host-0",))


async def test_a_queued_job_that_is_cancelled_is_never_taken(queue: JobQueue, take: Take) -> None:
    await queue.submit("one")
    await queue.submit("two")
    await queue.cancel("one")
    state = await queue.state("one")
    assert state is not None
    assert (state.status, state.live) == ("cancelled", False)
    assert await started(take, queue, "host-0") == "two"
    assert await started(take, queue, "host-0") is None


async def test_cancelling_a_run_without_a_live_job_does_nothing(queue: JobQueue) -> None:
    await queue.cancel("unknown")
    await queue.submit("one")
    await queue.cancel("one")
    before = await queue.state("one")
    await queue.cancel("one")
    assert await queue.state("one") == before
    assert await queue.state("unknown") is None


async def test_a_run_whose_job_is_over_gets_another_one(queue: JobQueue, take: Take) -> None:
    await queue.submit("one")
    await started(take, queue, "host-0")
    await queue.cancel("one")
    await queue.submit("one", 5)
    state = await queue.state("one")
    assert state is not None
    assert (state.status, state.attempt, state.priority, state.starts) == ("queued", 2, 5, 0)


async def test_the_jobs_of_an_executor_that_is_gone_are_queued_again_once(queue: JobQueue, take: Take) -> None:
    for run_id in ("one", "two", "three"):
        await queue.submit(run_id)
    await started(take, queue, "gone-0")
    await started(take, queue, "gone-0")
    await started(take, queue, "here-0")
    assert sorted(await queue.recover("gone-0")) == ["one", "two"]
    assert await queue.recover("gone-0") == []
    assert await queue.recover("never-0") == []
    states = await queue.states(["one", "two", "three"])
    assert [states[one].status for one in ("one", "two", "three")] == ["queued", "queued", "running"]
    assert await started(take, queue, "here-0") == "one"
    again = await queue.state("one")
    assert again is not None
    assert (again.executor, again.starts) == ("here-0", 2)


async def test_states_of_many_runs_are_told_at_once(queue: JobQueue) -> None:
    await queue.submit("run-7")
    await queue.submit("run-77")
    asked = [f"run-{number}" for number in range(450)]
    assert sorted(await queue.states(asked)) == ["run-7", "run-77"]


async def test_a_queue_may_be_closed_twice(queue: JobQueue) -> None:
    await queue.ping()
    await queue.close()
    await queue.close()
