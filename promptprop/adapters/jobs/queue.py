"""The client's side of the queue: runs go in, states come out. Holds no engine loop and runs no job."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, TypeVar

from promptprop.adapters.jobs.executors import Roster
from promptprop.adapters.jobs.places import APPLICATION, QUEUE, SCHEMA, WORKFLOW, jobs_url
from promptprop.adapters.storage.connection import sqlite_file, translated, write_ahead
from promptprop.domain.errors import StorageError, UsageError
from promptprop.ports import PRIORITIES, JobState, JobStatus, QueueDepth

T = TypeVar("T")

STATUSES: Mapping[str, JobStatus] = {
    "ENQUEUED": "queued",
    "DELAYED": "queued",
    "PENDING": "running",
    "SUCCESS": "done",
    "CANCELLED": "cancelled",
    "ERROR": "failed",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": "failed",
}
LIVE = ["ENQUEUED", "PENDING"]
ASKED = 200  # runs whose jobs are looked up at once
WORN_OUT = "its workers died again and again while they worked on it"


class DbosQueue:
    """`ports.JobQueue` by DBOS. Opens on first use, which creates what is missing; may be shared by threads."""

    def __init__(self, url: str, roster: Roster | None = None) -> None:
        """`url` is the database of the runs; the `roster` knows the executors of this host."""
        self.url = jobs_url(url)
        self._roster = roster
        self._opening = threading.Lock()
        self._opened: Any = None
        self._closed = False

    async def submit(self, run_id: str, priority: int = 0) -> None:
        """Queue a run, unless a job of it is live. Raises UsageError for a priority out of range."""
        if priority not in PRIORITIES:
            remedy = f"give one from {PRIORITIES[0]} to {PRIORITIES[-1]}; 0 is usual, a higher one goes first"
            raise UsageError(f"there is no priority {priority}", remedy=remedy)
        await self._ask(lambda client: _submit(client, run_id, priority))

    async def cancel(self, run_id: str) -> None:
        """Take the run's live jobs back."""

        def work(client: Any) -> None:
            live = [job.workflow_id for job in _jobs_of(client, [run_id]) if job.status in LIVE]
            if live:
                client.cancel_workflows(live)

        await self._ask(work)

    async def state(self, run_id: str) -> JobState | None:
        """The run's newest job."""
        return (await self.states([run_id])).get(run_id)

    async def states(self, run_ids: Sequence[str]) -> Mapping[str, JobState]:
        """The newest job of each run that has one."""
        return await self._ask(lambda client: _states(client, list(run_ids)))

    async def live(self) -> Sequence[JobState]:
        """All live jobs, those that run first."""

        def work(client: Any) -> list[JobState]:
            jobs = _live(client)
            places = _places(jobs)
            states = [_state_of(job, places) for job in jobs]
            return sorted(states, key=lambda state: state.place or 0)

        return await self._ask(work)

    async def depth(self) -> QueueDepth:
        """Jobs that wait and run, and the executors at work: those that have a job, and those on this host."""

        def work(client: Any) -> QueueDepth:
            jobs = _live(client)
            running = [job for job in jobs if job.status == "PENDING"]
            seen = {job.executor_id for job in running} | set(self._roster.held() if self._roster else ())
            return QueueDepth(len(jobs) - len(running), len(running), tuple(sorted(seen)))

        return await self._ask(work)

    async def recover(self, executor: str) -> Sequence[str]:
        """Queue the jobs again that an executor had."""
        return await self._ask(lambda client: requeue(client._sys_db, executor))

    async def ping(self) -> None:
        """Reach the queue."""
        await self._ask(lambda client: client.check_connection())

    async def close(self) -> None:
        """Release connections. May be called twice."""
        await asyncio.to_thread(self._close)

    async def _ask(self, work: Callable[[Any], T]) -> T:
        def asked() -> T:
            with translated():
                return work(self._client())

        return await asyncio.to_thread(asked)

    def _client(self) -> Any:
        with self._opening:
            if self._opened is None or self._closed:
                self._opened, self._closed = open_client(self.url), False
            elif (file := sqlite_file(self.url)) is not None and not file.exists():
                raise StorageError(f"the file of the jobs was removed: {file}", remedy=REMOVED)
            return self._opened

    def _close(self) -> None:
        with self._opening:
            if self._opened is not None and not self._closed:
                self._closed = True
                self._opened.destroy()


REMOVED = "end the server and start it again: what is not over is queued anew"


def open_client(url: str) -> Any:
    """A client of the jobs at `url`; what is missing there is created. Raises StorageError, NotWritable."""
    with translated(url):
        prepare(url)
        from dbos import DBOSClient, DBOSPortableJSONSerializer

        return DBOSClient(
            system_database_url=url,
            dbos_system_schema=SCHEMA,
            serializer=DBOSPortableJSONSerializer(),
            application_name=APPLICATION,
            retry_connection_errors=False,
        )


def prepare(url: str) -> None:
    """Create the tables of DBOS at `url`, or bring them up to date; an SQLite file is set to write ahead."""
    from promptprop.adapters.jobs.vendor import quiet

    quiet()
    file = sqlite_file(url)
    if file is not None:
        import sqlite3
        from contextlib import closing

        file.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(file, timeout=30)) as connection:
            write_ahead(connection)
    from dbos import DBOS

    DBOS.migrate(url, schema=SCHEMA)


def requeue(database: Any, executor: str, *, forgive: bool = False) -> list[str]:
    """Queue the jobs again that an executor has in hand, through a database handle of DBOS; returns their run ids.

    What DBOS does for its own executor as it starts: a job moves only while that executor has it, so that a second call
    moves none. `forgive` takes back that the job was started: its worker ends in good order.
    """
    found = database.list_workflows(status="PENDING", executor_id=executor, load_input=False, load_output=False)
    moved = [job.workflow_id for job in found if database.reenqueue_for_recovery(job.workflow_id, [executor], QUEUE)]
    if forgive and moved:
        jobs = database.tables.workflow_status
        with database.engine.begin() as connection:
            ours = jobs.update().where(jobs.c.workflow_uuid.in_(moved))
            connection.execute(ours.values(recovery_attempts=jobs.c.recovery_attempts - 1))
    return [_run_of(workflow_id) for workflow_id in moved]


def adopt(database: Any, version: str) -> None:
    """Let the newest version take the queued jobs that an older one had in hand before."""
    jobs = database.tables.workflow_status
    left = (jobs.c.status == "ENQUEUED") & (jobs.c.queue_name == QUEUE) & (jobs.c.application_version != version)
    with database.engine.begin() as connection:
        connection.execute(jobs.update().where(left).values(application_version=None))


def _submit(client: Any, run_id: str, priority: int) -> None:
    jobs = _jobs_of(client, [run_id])
    if any(job.status in LIVE for job in jobs):
        return
    attempt = 1 + max((_attempt_of(job.workflow_id) for job in jobs), default=0)
    options = {
        "workflow_name": WORKFLOW,
        "queue_name": QUEUE,
        "workflow_id": f"{run_id}:{attempt}",  # two who submit at once mean the same job
        "priority": PRIORITIES[-1] + 1 - priority,  # DBOS takes the lowest first
    }
    client.enqueue(options, run_id)


def _jobs_of(client: Any, run_ids: list[str], *, errors: bool = False) -> list[Any]:
    found: list[Any] = []
    for start in range(0, len(run_ids), ASKED):
        prefixes = [f"{run_id}:" for run_id in run_ids[start : start + ASKED]]
        found += client.list_workflows(workflow_id_prefix=prefixes, load_input=False, load_output=errors)
    return found


def _live(client: Any) -> list[Any]:
    found: list[Any] = client.list_workflows(status=LIVE, queue_name=QUEUE, load_input=False, load_output=False)
    return found


def _states(client: Any, run_ids: list[str]) -> dict[str, JobState]:
    newest: dict[str, Any] = {}
    for job in sorted(_jobs_of(client, run_ids, errors=True), key=lambda job: _attempt_of(job.workflow_id)):
        newest[_run_of(job.workflow_id)] = job
    waiting = any(STATUSES[job.status] == "queued" for job in newest.values())
    places = _places(_live(client)) if waiting else {}
    return {run_id: _state_of(job, places) for run_id, job in newest.items()}


def _places(jobs: list[Any]) -> dict[str, int]:
    """The place of each queued job in the line."""
    queued = [job for job in jobs if job.status == "ENQUEUED"]
    due = sorted(queued, key=lambda job: (job.priority, job.created_at))
    return {job.workflow_id: place for place, job in enumerate(due, 1)}


def _state_of(job: Any, places: Mapping[str, int]) -> JobState:
    worn_out = job.status == "MAX_RECOVERY_ATTEMPTS_EXCEEDED"
    return JobState(
        run_id=_run_of(job.workflow_id),
        status=STATUSES[job.status],
        attempt=_attempt_of(job.workflow_id),
        priority=PRIORITIES[-1] + 1 - (job.priority or 0),
        queued_at=_time(job.created_at),
        place=places.get(job.workflow_id),
        executor=job.executor_id or "",
        starts=job.recovery_attempts or 0,
        started_at=_time(job.dequeued_at) if job.dequeued_at else None,
        error=WORN_OUT if worn_out else str(job.error) if job.error else "",
    )


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc)


def _run_of(workflow_id: str) -> str:
    return workflow_id.rpartition(":")[0]


def _attempt_of(workflow_id: str) -> int:
    return int(workflow_id.rpartition(":")[2])
