"""The seam to the job queue: runs that wait for a worker, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

JobStatus = Literal["queued", "running", "done", "cancelled", "failed"]
LIVE: tuple[JobStatus, ...] = ("queued", "running")  # the states that a job leaves again
PRIORITIES = range(-1000, 1001)  # a higher one goes first, 0 is usual


@dataclass(frozen=True, slots=True)
class JobState:
    """A run's newest job. `done` says that a worker came to an end with it, not that the run did well.

    `attempt` counts the jobs of the run from 1, `starts` how often workers took up this one; `place` counts from 1 and
    is None unless it is queued; `executor` is the worker that has it or had it last, empty before. `error` says why a
    worker failed.
    """

    run_id: str
    status: JobStatus
    attempt: int
    priority: int
    queued_at: datetime
    place: int | None = None
    executor: str = ""
    starts: int = 0
    started_at: datetime | None = None
    error: str = ""

    @property
    def live(self) -> bool:
        """Whether a worker has it, or will."""
        return self.status in LIVE


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """How much work there is: jobs that wait, jobs that run, and the executors that are known to be at work."""

    queued: int
    running: int
    executors: tuple[str, ...] = ()


class JobQueue(Protocol):
    """Hands run ids to workers. No method blocks the event loop; each raises StorageError where it is out of reach.

    A job is delivered at least once: whoever works on it may find that it is done already.
    """

    async def submit(self, run_id: str, priority: int = 0) -> None:
        """Queue a run; nothing happens where a job of it is live. The priority lies in `PRIORITIES`."""
        ...

    async def cancel(self, run_id: str) -> None:
        """Take the run's live job back: one that waits never starts, one that runs is interrupted within seconds."""
        ...

    async def state(self, run_id: str) -> JobState | None:
        """The run's newest job; None where it never had one."""
        ...

    async def states(self, run_ids: Sequence[str]) -> Mapping[str, JobState]:
        """The same for many runs, without those that never had a job."""
        ...

    async def live(self) -> Sequence[JobState]:
        """All live jobs, those that run first, the others in the order in which they are due."""
        ...

    async def depth(self) -> QueueDepth:
        """How much work there is."""
        ...

    async def recover(self, executor: str) -> Sequence[str]:
        """Queue the jobs again that an executor had, which is gone for good; returns the ids of their runs.

        A second time finds none. Whoever calls it knows that the executor works no more.
        """
        ...

    async def ping(self) -> None:
        """Reach the queue, and open it where that has not been done."""
        ...

    async def close(self) -> None:
        """Release connections. May be called twice."""
        ...
