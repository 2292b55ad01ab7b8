from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from promptprop.adapters.jobs import worker as module
from promptprop.adapters.jobs.executors import Roster, Slot
from promptprop.adapters.jobs.worker import Station, Worker


class Jobs:
    """Jobs that take a moment, and how many were at work at once."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.outcome: Mapping[str, Any] = {"status": "finished", "reason": "done"}

    async def work(self, run_id: str) -> Mapping[str, Any]:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.01)
        self.now -= 1
        return self.outcome


async def nothing(*_: object) -> None:
    pass


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Jobs:
    monkeypatch.setattr(module, "SHUFFLE_SECONDS", 0.001)
    return Jobs()


def worker_of(jobs: Jobs) -> Worker:
    roster = Roster("sqlite:///absent", Path("absent"))
    return Worker(Station(roster.url, Slot("host-0", roster.url, -1), roster, "v1"), jobs.work, nothing, nothing)


async def attend(worker: Worker, starts: Sequence[int]) -> list[Any]:
    tasks = [asyncio.create_task(worker._attend(f"run-{number}", one)) for number, one in enumerate(starts)]
    return await asyncio.gather(*tasks)


async def test_jobs_are_worked_on_side_by_side(jobs: Jobs) -> None:
    assert await attend(worker_of(jobs), [1, 1, 2, 2]) == [jobs.outcome] * 4
    assert jobs.most == 4


async def test_jobs_that_were_there_at_several_deaths_take_turns(jobs: Jobs) -> None:
    assert await attend(worker_of(jobs), [3, 3, 4, 9]) == [jobs.outcome] * 4
    assert jobs.most == 1


async def test_no_job_is_begun_while_the_worker_drains(jobs: Jobs) -> None:
    worker = worker_of(jobs)
    worker.draining.set()
    with pytest.raises(asyncio.CancelledError):
        await attend(worker, [1])
    assert jobs.most == 0


@pytest.mark.parametrize("reason", ["interrupted", "done"])
async def test_a_drained_job_is_done_only_if_its_run_was_not_interrupted(jobs: Jobs, reason: str) -> None:
    worker = worker_of(jobs)
    jobs.outcome = {"status": "stopped", "reason": reason}
    attending = asyncio.create_task(worker._attend("run-1", 1))
    await asyncio.sleep(0)
    worker.draining.set()
    if reason == "interrupted":
        with pytest.raises(asyncio.CancelledError):
            await attending
    else:
        assert await attending == jobs.outcome
    assert worker.tasks == set()
