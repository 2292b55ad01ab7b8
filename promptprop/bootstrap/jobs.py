"""Jobs composed: the queue with its store for whoever dispatches runs, and the worker that runs them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from promptprop import __version__
from promptprop.bootstrap.configuration import SystemClock, open_database, project_folder
from promptprop.domain.errors import Interrupted, PromptPropError, RunLocked, RunNotFound, StorageError, UsageError
from promptprop.domain.models import Json
from promptprop.ports import ENDED, EventSink, RunRow

if TYPE_CHECKING:
    from promptprop.adapters.jobs.executors import Roster
    from promptprop.adapters.jobs.queue import DbosQueue
    from promptprop.adapters.jobs.supervisor import Supervisor
    from promptprop.adapters.storage.store import SqlStore
    from promptprop.services.dispatch import Dispatch
    from promptprop.services.engine import Engine

log = logging.getLogger("promptprop.jobs")

CONCURRENCY = 4  # runs that a worker has in hand at once
LOCKED_SECONDS = 600.0  # for which a worker waits for another process that has the run
RETRY_SECONDS = 1.0
TAKEN_SECONDS = 5.0  # for which an executor's id must be taken, until its worker counts as alive
RECONNECT_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # after which a run goes on whose database had gone away
CALLS_SECONDS = 6.0  # for calls that are under way when a run is interrupted: a worker drains within 10
PRELOADED = ("domain.config", "services.course", "bootstrap.outputs", "adapters.models.ledger", "metrics.scoring")


def build_queue(url: str) -> DbosQueue:
    """The queue of the runs at `url`; opens when it is used, or asked to by `ping`."""
    from promptprop.adapters.jobs.queue import DbosQueue

    return DbosQueue(url, build_roster(url))


def build_roster(url: str) -> Roster:
    """The executors that work on the runs at `url`, as far as this host knows them."""
    from promptprop.adapters.jobs.executors import Roster
    from promptprop.adapters.jobs.places import slots_folder

    return Roster(url, slots_folder(url, project_folder()))


def build_dispatch(store: SqlStore, queue: DbosQueue) -> Dispatch:
    """What queues, pauses and cancels runs, over a store and its queue."""
    from promptprop.services.dispatch import Dispatch

    return Dispatch(store, queue, SystemClock(), run_locks(store.url))


def run_locks(url: str) -> Callable[[str], AbstractContextManager[None]]:
    """What keeps other processes off a run."""
    from promptprop.adapters.storage.locks import run_lock

    return partial(run_lock, url)


def job_version() -> str:
    """Which workers may take up whose jobs: those of one revision of the database and one major version."""
    from promptprop.adapters.storage.migrate import HEAD

    return f"{__version__.partition('.')[0]}-{HEAD}"


@dataclass(frozen=True, slots=True)
class Post:
    """A worker's place: how many runs at once, and its executor id: a name, else a free slot, `slot` before others."""

    concurrency: int = CONCURRENCY
    executor: str | None = None
    slot: int | None = None


async def run_worker(
    url: str,
    environment: Mapping[str, str],
    post: Post,
    stopping: asyncio.Event,
    ready: Callable[[str], None] = lambda _executor: None,
) -> str:
    """Take up runs until `stopping` is set, then drain; `ready` is told the executor id, which is returned, too.

    Raises StorageError where database or queue are out of reach, UsageError where the executor is taken.
    """
    from promptprop.adapters.jobs.places import jobs_url
    from promptprop.adapters.jobs.worker import Station, Worker

    roster = build_roster(url)
    slot = await asyncio.to_thread(roster.take, post.executor, post.slot)
    with contextlib.closing(slot), contextlib.closing(open_database(url)) as store:
        queue = build_queue(url)
        dispatch = build_dispatch(store, queue)
        attend = Attendant(store, url, environment, dispatch)
        station = Station(jobs_url(url), slot, roster, job_version(), post.concurrency)
        worker = Worker(station, attend.attend, dispatch.settle, dispatch.returned)
        preloading: asyncio.Future[None] | None = None

        def begin() -> None:
            nonlocal preloading
            preloading = asyncio.get_running_loop().run_in_executor(None, preload)
            ready(slot.name)

        try:
            await worker.work(stopping, begin)
        finally:
            if preloading is not None:
                await preloading
            await queue.close()
    return slot.name


def preload() -> None:
    """Load what every run needs, so that the first one need not wait for it."""
    import importlib

    for name in PRELOADED:
        importlib.import_module(f"promptprop.{name}")


class Attendant:
    """Works on jobs: brings each run to its end, as a command does that has no terminal."""

    def __init__(
        self,
        store: SqlStore,
        url: str,
        environment: Mapping[str, str],
        dispatch: Dispatch,
        locked_seconds: float = LOCKED_SECONDS,
    ) -> None:
        """One engine for all runs of the worker."""
        from promptprop.bootstrap.assembly import build_engine

        self._store = store
        self._environment = environment
        self._engine: Engine = build_engine(store, url, environment, CALLS_SECONDS)
        self._dispatch = dispatch
        self._locked_seconds = locked_seconds

    async def attend(self, run_id: str) -> Mapping[str, Json]:
        """Bring a run to its end; says which end. What goes wrong in a run ends the run, not the job.

        Raises what no run can be blamed for.
        """
        from promptprop.adapters.logs import bind

        with bind(run_id=run_id):
            try:
                return await self._attend(run_id)
            except RunNotFound:
                log.info("the run %s was removed: there is nothing to do", run_id[:8])
                return {"status": "gone"}
            except PromptPropError as error:
                return await self._give_up(run_id, error)
            except Exception:
                log.exception("the worker failed at the run %s", run_id[:8])
                raise

    async def _attend(self, run_id: str) -> Mapping[str, Json]:
        run = self._store.run(run_id)
        if run.status in ("finished", "cancelled"):  # taken up before, by a worker that died over the last words
            await self._leave_files(run)
            return {"status": run.status}
        error: PromptPropError | None = None
        try:
            await self._run(run)
        except (Interrupted, asyncio.CancelledError):
            log.info("the run %s was interrupted", run_id[:8])
        except RunLocked:
            raise
        except PromptPropError as ended:
            error = ended
        if self._store.run_head(run_id).status not in ENDED:  # it never began, or its end could not be stored
            if error is not None:
                raise error
            await self._dispatch.close_run(run_id, self._store.ending(run_id))
        files = asyncio.ensure_future(self._leave_files(run))
        try:
            await asyncio.shield(files)
        except asyncio.CancelledError:  # the run is over: these are its last words
            await files
        head = self._store.run_head(run_id)
        told = {"error": error.code, "message": error.message} if error else {}
        return {"status": head.status, "reason": head.stop_reason or "", **told}

    async def _run(self, run: RunRow) -> None:
        """Run the engine, once nobody else works on the run, and anew where the database's server went away meanwhile.

        Raises RunLocked, StorageError where that takes too long.
        """
        from promptprop.bootstrap.assembly import inbox_reviewer

        clock, reviewer, pauses = SystemClock(), inbox_reviewer(self._store, run), list(RECONNECT_SECONDS)
        until = clock.monotonic() + self._locked_seconds
        while True:
            try:
                await self._engine.run(run.id, sinks=self._sinks(run), reviewer=reviewer, inbox=self._store)
            except RunLocked as locked:
                if clock.monotonic() > until:
                    raise
                log.info("%s; waiting for it", locked.message)
                await asyncio.sleep(RETRY_SECONDS)
            except StorageError as lost:
                if type(lost) is not StorageError or not pauses:  # a full disk and the like are for people
                    raise
                log.warning("the run %s goes on in %g s: %s", run.id[:8], pauses[0], lost.message)
                await asyncio.sleep(pauses.pop(0))
            else:
                return

    def _sinks(self, run: RunRow) -> list[EventSink]:
        from promptprop.bootstrap.outputs import build_tracking
        from promptprop.domain.config import RunConfig
        from promptprop.services.ticks import StoredTicks

        config = RunConfig.model_validate(run.snapshot["config"])
        tracking = build_tracking(self._engine, run, config, self._environment)
        ticks = StoredTicks(self._store, SystemClock())
        return [ticks, *([tracking] if tracking else [])]

    async def _give_up(self, run_id: str, error: PromptPropError) -> Mapping[str, Json]:
        """Say in the run itself what kept it from running, unless another process has it."""
        log.error("the run %s stopped: %s", run_id[:8], error.message)
        if not isinstance(error, RunLocked):
            with contextlib.suppress(RunLocked, UsageError):
                await self._dispatch.close_run(run_id, "failed", error.message)
        return {"status": "stopped", "reason": "failed", "error": error.code, "message": error.message}

    async def _leave_files(self, run: RunRow) -> None:
        """Write the run's folder, as far as the run came; where that fails the run itself is safe."""
        from promptprop.bootstrap.outputs import write_run_folder

        if not self._store.last_seq(run.id):
            return
        try:
            await asyncio.to_thread(lambda: write_run_folder(run, self._engine.report(run.id)))
        except StorageError as unwritable:
            log.warning("the files of the run %s are not written: %s", run.id[:8], unwritable.message)


def build_supervisor(
    url: str, workers: int, concurrency: int, environment: Mapping[str, str], *, quiet: bool = False
) -> Supervisor:
    """What keeps a server's workers alive. Where the database is stands in their environment: it may hold a secret."""
    import sys

    from promptprop.adapters.jobs.supervisor import Supervisor
    from promptprop.bootstrap.configuration import DATABASE_VARIABLE

    command = [sys.executable, "-m", "promptprop", "worker", "--supervised", "--concurrency", str(concurrency)]
    command += ["--quiet"] if quiet else []
    return Supervisor(workers, command, {**environment, DATABASE_VARIABLE: url})


def recover_executor(url: str, executor: str, patience: float = TAKEN_SECONDS) -> list[str]:
    """Queue the jobs again that an executor had which is gone for good; returns the ids of their runs.

    Raises UsageError where a worker is that executor: on this host, or, with a database server, on any; that is told
    after `patience` seconds, since workers hold the ids of others for a moment, to see whether they are at work.
    """
    from promptprop.adapters.jobs.executors import checked

    name = checked(executor)
    with contextlib.closing(open_database(url, must_exist=True)) as store:
        slot = build_roster(url).wait(name, patience)
        if slot is None:
            remedy = "stop that worker first; of a host that is gone the database's server knows after a minute"
            raise UsageError(f"the executor {name!r} is at work", remedy=remedy)
        with contextlib.closing(slot):  # nobody can become it meanwhile
            return asyncio.run(_recovered(store, url, name))


async def _recovered(store: SqlStore, url: str, executor: str) -> list[str]:
    queue = build_queue(url)
    try:
        found = list(await queue.recover(executor))
        await build_dispatch(store, queue).returned(found)
    finally:
        await queue.close()
    return found
