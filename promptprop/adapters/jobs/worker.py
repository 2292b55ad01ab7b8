"""The worker's side of the queue: DBOS takes jobs up, and each one runs on the worker's own event loop."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from promptprop.adapters.jobs.executors import Roster, Slot
from promptprop.adapters.jobs.places import APPLICATION, QUEUE, SCHEMA, WORKFLOW
from promptprop.adapters.jobs.queue import adopt, prepare, requeue
from promptprop.adapters.storage.connection import sqlite_file, translate, translated
from promptprop.domain.errors import StorageError
from promptprop.domain.models import Json

log = logging.getLogger("promptprop.jobs")

Job = Callable[[str], Awaitable[Mapping[str, Json]]]
POLL_SECONDS = 0.45  # how soon a queued job is seen; each look takes 2 ms of processor time
SERVER_POLL_SECONDS = 0.8  # and 4 ms at a server
ROUND_SECONDS = 5.0  # how soon what others left behind is seen
MOST_STARTS = 10  # of one job: one whose workers die again and again is given up; drains do not count
CALM_STARTS = 2  # a job that was there at more deaths is under suspicion: it runs without others that are
SHUFFLE_SECONDS = 0.5  # in which those under suspicion come to their turns, in another order each time
DRAIN_SECONDS = 7.5  # for runs to stop in good order: those that take longer are taken up elsewhere as after a kill
THREADS_SECONDS = 1.0
SELDOM_SECONDS = 60.0  # how often DBOS looks after what is not used here
OWN_QUEUE = "_dbos_internal_queue"


@dataclass(frozen=True, slots=True)
class Station:
    """Where a worker works: the jobs' database, its executor id among others, and what it may take up."""

    url: str
    slot: Slot
    roster: Roster
    version: str
    concurrency: int = 4

    @property
    def executor(self) -> str:
        """The executor id."""
        return self.slot.name


@dataclass(slots=True)
class Worker:
    """Takes up jobs until it is told to stop. One in a process: DBOS knows but one of itself."""

    station: Station
    job: Job
    tidy: Callable[[], Awaitable[object]]
    returned: Callable[[Sequence[str]], Awaitable[None]]
    draining: asyncio.Event = field(default_factory=asyncio.Event)
    alone: asyncio.Lock = field(default_factory=asyncio.Lock)
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    async def work(self, stopping: asyncio.Event, ready: Callable[[], None] = lambda: None) -> None:
        """Work until `stopping` is set, then drain: runs are interrupted, and their jobs go back to the queue.

        `ready` is called when work begins, `tidy` then and every few seconds, `returned` with the runs whose jobs wait
        again. Raises StorageError where the queue is out of reach, UsageError where another worker has become this one.
        """
        dbos = self._launch()
        rounds = asyncio.create_task(self._rounds(dbos))
        ended = asyncio.create_task(stopping.wait())
        log.info("the worker %s takes up runs", self.station.executor, extra={"concurrency": self.station.concurrency})
        ready()
        try:
            await asyncio.wait({rounds, ended}, return_when=asyncio.FIRST_COMPLETED)
            if rounds.done():
                rounds.result()
        finally:
            ended.cancel()
            rounds.cancel()
            await asyncio.wait({rounds, ended})
            await self._drain(dbos)

    def _launch(self) -> Any:
        """DBOS, at work on this thread's event loop."""
        with translated(self.station.url):
            prepare(self.station.url)
        from dbos import DBOS, DBOSPortableJSONSerializer

        from promptprop.adapters.jobs.vendor import quiet

        config: dict[str, Any] = {
            "name": APPLICATION,
            "system_database_url": self.station.url,
            "dbos_system_schema": SCHEMA,
            "serializer": DBOSPortableJSONSerializer(),
            "executor_id": self.station.executor,
            "application_version": self.station.version,
            "sys_db_pool_size": 4,
            "max_executor_threads": 8,
            "notification_listener_polling_interval_sec": SELDOM_SECONDS,  # nobody here waits for notifications
            "notification_coalesce_sec": SELDOM_SECONDS,  # nor sends any: DBOS would look for some each 10 ms
            "scheduler_polling_interval_sec": SELDOM_SECONDS,  # nor is anything scheduled
            "run_migrations": False,
        }
        dbos = DBOS(config=config)
        quiet()

        async def attend(run_id: str) -> Mapping[str, Json]:
            status = await asyncio.to_thread(dbos._sys_db.get_workflow_status, DBOS.workflow_id)
            return await self._attend(run_id, status["recovery_attempts"] if status else 1)

        step = DBOS.step(name="work", preemptible=True)(attend)

        async def run(run_id: str) -> Any:
            return await step(run_id)

        DBOS.workflow(name=WORKFLOW, max_recovery_attempts=MOST_STARTS)(run)
        # a queue of DBOS's own kind, held in memory: each worker has a concurrency of its own, and polls need one query
        poll = SERVER_POLL_SECONDS if sqlite_file(self.station.url) is None else POLL_SECONDS
        dbos._registry._register_internal_queue(
            QUEUE, worker_concurrency=self.station.concurrency, polling_interval_sec=poll
        )
        dbos._registry._register_internal_queue(OWN_QUEUE, polling_interval_sec=SELDOM_SECONDS)
        DBOS.launch()
        dbos._background_jobs_stop_event.set()  # every second it looks for delays and time limits, which no job has
        DBOS.set_latest_application_version(self.station.version)  # also where a newer one was tried and given up
        return dbos

    async def _attend(self, run_id: str, starts: int) -> Mapping[str, Json]:
        """Work on one job. While the worker drains, CancelledError leaves the job as one that is not done.

        A job that brings its worker down would take those beside it along, again and again, until all are given up:
        jobs that were there at several deaths take turns, so that all but the guilty one come to their ends.
        """
        task = asyncio.current_task()
        if self.draining.is_set() or task is None:
            raise asyncio.CancelledError
        self.tasks.add(task)
        try:
            if starts > CALM_STARTS:
                log.warning("the run %s takes turns: it was there when workers died", run_id[:8])
                await asyncio.sleep(random.SystemRandom().uniform(0.0, SHUFFLE_SECONDS))
                async with self.alone:
                    outcome = await self.job(run_id)
            else:
                outcome = await self.job(run_id)
        finally:
            self.tasks.discard(task)
        if self.draining.is_set() and outcome.get("reason") == "interrupted":
            raise asyncio.CancelledError
        return outcome

    async def _rounds(self, dbos: Any) -> None:
        while True:
            try:
                await asyncio.to_thread(self.station.slot.keep)
            except StorageError as away:
                log.warning("whether the executor id is still ours cannot be told: %s", away.message)
            try:
                await self.returned(await asyncio.to_thread(self._take_over, dbos))
                await self.tidy()
            except Exception:
                log.exception("what others left behind could not be looked up; it is tried again")
            await asyncio.sleep(ROUND_SECONDS)

    def _take_over(self, dbos: Any) -> list[str]:
        """Queue again what executors of this host had in hand that work no more, and what an older version had."""
        database, moved = dbos._sys_db, []
        for name in self.station.roster.known():
            slot = None if name == self.station.executor else self.station.roster.attempt(name)
            if slot is None:
                continue
            try:  # while the lock is ours nobody else can be this executor
                if found := requeue(database, name):
                    log.warning("jobs of the executor %s, which has ended, that are queued again: %d", name, len(found))
                    moved += found
            finally:
                slot.close()
        adopt(database, self.station.version)
        return moved

    async def _drain(self, dbos: Any) -> None:
        """Stop in good order: no new jobs, runs interrupted, jobs back in the queue. Takes less than ten seconds."""
        self.draining.set()
        for event in dbos.background_thread_stop_events:
            event.set()
        taking = [one for one in threading.enumerate() if one.name.startswith("queue-worker-")]
        tasks = set(self.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            log.info("runs in hand: %d; they are interrupted, and their jobs go back to the queue", len(tasks))
            _, late = await asyncio.wait(tasks, timeout=DRAIN_SECONDS)
            if late:
                log.warning("runs that did not stop within %g seconds: %d", DRAIN_SECONDS, len(late))
        for thread in taking:
            await asyncio.to_thread(thread.join, THREADS_SECONDS)
        if recording := set(dbos._workflow_tasks):  # what came of runs that are over is being written
            await asyncio.wait(recording, timeout=THREADS_SECONDS)
        try:
            back = await asyncio.to_thread(requeue, dbos._sys_db, self.station.executor, forgive=True)
        except Exception as error:
            raise translate(error) from error
        await self.returned(back)
        log.info("the worker %s ends; jobs that are back in the queue: %d", self.station.executor, len(back))


def leave() -> None:
    """Let DBOS go; only where the process goes on, as in tests: it waits for its threads."""
    from dbos import DBOS

    with suppress(Exception):
        DBOS.destroy(destroy_registry=True)
