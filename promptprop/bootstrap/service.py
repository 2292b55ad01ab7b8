"""What a server does with runs: begin them as jobs, stop them, let them go on, and take down what people decide."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from promptprop.domain.errors import UsageError
from promptprop.domain.events import CapRaised, ErrorsRetried, Event, RewriteReviewed, body_of
from promptprop.domain.models import Json

if TYPE_CHECKING:
    from promptprop.adapters.files.config import LoadedConfig
    from promptprop.adapters.storage.store import SqlStore
    from promptprop.bootstrap.checks import CheckRequest
    from promptprop.bootstrap.gates import Outlook
    from promptprop.bootstrap.requests import Lender
    from promptprop.domain.people import Wish
    from promptprop.ports import RunRow
    from promptprop.ports.jobs import JobQueue
    from promptprop.services.dispatch import Dispatch, Wanted
    from promptprop.services.engine import Engine


T = TypeVar("T")


async def off_the_loop(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """What `work` gives, on a loop of its own in a thread: it reads files and may compute for seconds."""
    return await asyncio.to_thread(lambda: asyncio.run(work()))


class TooManyRuns(UsageError):
    """An owner has as many runs queued and running as it may."""

    code = "too_many_runs"


class NotPossible(UsageError):
    """A run is in a state in which this cannot be done."""

    code = "not_possible"


class NotFound(UsageError):
    """A part of a run that does not exist is asked for."""

    code = "not_found"


@dataclass(frozen=True, slots=True)
class Order:
    """Who wants a run, and how soon: a higher `priority` goes first. `owner` is a token's id, or empty."""

    owner: str = ""
    max_runs: int | None = None
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Service:
    """The runs of a server."""

    store: SqlStore = field(repr=False)
    engine: Engine = field(repr=False)
    queue: JobQueue = field(repr=False)
    dispatch: Dispatch = field(repr=False)
    lender: Lender

    def load(
        self, config: Mapping[str, Json] | None, yaml: str | None = None, dataset: str | None = None
    ) -> LoadedConfig:
        """The configuration that a request gives as exactly one of both, confined; `dataset` is a stored one's id.

        Reads files: to be called in a thread. Raises ConfigError, UsageError.
        """
        from promptprop.bootstrap.requests import load_request

        given = yaml if config is None else config
        if given is None or (config is not None and yaml is not None):
            raise UsageError("exactly one of config and yaml is wanted", remedy="send the configuration in one form")
        return load_request(given, self.lender, dataset)

    async def begin(self, loaded: LoadedConfig, activity: str, options: Mapping[str, Json], order: Order) -> RunRow:
        """Store a new run and hand it to the workers.

        Raises TooManyRuns, DataError, and ConfigError, ModelError for one that could only fail: a missing key is told
        here where the workers are the server's own.
        """
        from promptprop.bootstrap.preparation import create_run, prepare, require_capped, require_rewriter

        if activity == "optimize":
            require_rewriter(loaded.config)
            require_capped(loaded.config)
        await self._require_answerable(loaded, activity)

        async def create() -> RunRow:
            prepared = await prepare(self.store, loaded, most_rows=self.lender.serve.limits.rows)
            return await create_run(self.store, prepared, activity, options, owner=order.owner)

        return await self.submit(create, order)

    async def check(self, loaded: LoadedConfig, request: CheckRequest, order: Order) -> tuple[RunRow, Outlook]:
        """Store a new check, hand it to the workers, and tell what it will see.

        Raises what `begin` does, BaselineMissing, and NotComparable.
        """
        from promptprop.bootstrap.checks import begin_check

        told: list[Outlook] = []
        most = self.lender.serve.limits.rows
        await self._require_answerable(loaded, "check")

        async def create() -> RunRow:
            return await begin_check(self.store, loaded, request, told.append, owner=order.owner, most_rows=most)

        return await self.submit(create, order), told[0]

    async def submit(self, create: Callable[[], Coroutine[Any, Any, RunRow]], order: Order) -> RunRow:
        """Store what `create` makes, where the owner may have one more run, and hand it to the workers.

        `create` runs in a thread.
        Raises TooManyRuns, and what `create` does.
        """
        if self.store.live_runs_of(order.owner) >= self.most_runs(order):  # before rows are read for nothing
            raise self._too_many(order)
        run = await off_the_loop(create)
        if await self.dispatch.submit(run.id, order.priority, most_live=self.most_runs(order)) == "full":
            await self.store.delete_run(run.id)
            raise self._too_many(order)
        return self.store.run(run.id)

    def most_runs(self, order: Order) -> int:
        """How many runs the owner may have queued and running at once."""
        return self.lender.serve.limits.runs if order.max_runs is None else order.max_runs

    async def end(self, run_id: str, ending: Wanted, author: str = "") -> bool:
        """Pause or cancel a run; tells whether it is over by now. Raises NotPossible for one that came to its end."""
        run = self.store.run(run_id)
        if run.status == "finished":
            raise NotPossible(f"run {run.id[:8]} is finished: it cannot be {ending} any more")
        return await self.dispatch.end(run.id, ending, author)

    async def resume(
        self, run_id: str, order: Order, caps: Mapping[str, Json] | None = None, *, retry_errors: bool = False
    ) -> RunRow:
        """Let a run that stopped go on, with larger caps where they are given.

        Raises NotPossible, TooManyRuns, RunLocked, and ConfigError for caps beyond those of the server.
        """
        run = self._unfinished(run_id)
        wanted: list[Event] = [CapRaised(dict(caps))] if caps else []
        wanted += [ErrorsRetried()] if retry_errors else []
        await self.intervene(run.id, wanted, order.owner)
        if await self.dispatch.submit(run.id, order.priority, most_live=self.most_runs(order)) == "full":
            raise self._too_many(order)
        return self.store.run(run.id)

    async def intervene(self, run_id: str, events: Sequence[Event], author: str = "") -> list[Wish]:
        """Leave for a run what a person decides; it takes it at its next decision. Raises NotPossible, ConfigError."""
        from promptprop.bootstrap.requests import require_within

        for event in events:
            if isinstance(event, CapRaised):
                require_within(event.caps, self.lender.serve.budget)
        run = self._unfinished(run_id) if events else self.store.run(run_id)
        wishes = [await self.store.leave_wish(run.id, event.kind, body_of(event), author) for event in events]
        if run.status == "stopped" and any(isinstance(event, RewriteReviewed) for event in events):
            await self.dispatch.submit(run.id)  # it has paused for this word
        return wishes

    async def remove(self, run_id: str, *, purge: bool = False) -> None:
        """Erase a run that is over. Raises NotPossible for one that is not, RunNotFound, RunLocked."""
        from promptprop.adapters.storage.locks import run_lock

        run = self.store.run(run_id)
        job = await self.queue.state(run.id)
        if job is not None and job.live:
            raise NotPossible(f"run {run.id[:8]} is {run.status}", remedy="cancel it first")
        with run_lock(self.store.url, run.id):
            await self.store.delete_run(run.id, purge=purge)

    async def _require_answerable(self, loaded: LoadedConfig, activity: str) -> None:
        """Raises ConfigError, ModelError where a run could not ask its models."""
        from promptprop.bootstrap.models import require_answerable

        keys = self.lender.has_workers
        await asyncio.to_thread(require_answerable, loaded.config, loaded.environment, activity, keys=keys)

    def _unfinished(self, run_id: str) -> RunRow:
        """The run. Raises NotPossible where it has come to its end, RunNotFound."""
        run = self.store.run(run_id)
        if run.status == "finished":
            raise NotPossible(f"run {run.id[:8]} is finished: what it found stands", remedy="begin a new run")
        return run

    def _too_many(self, order: Order) -> TooManyRuns:
        return TooManyRuns(
            f"{self.most_runs(order)} runs are queued or running, and this token may have no more at once",
            remedy="wait until one ends, or cancel one",
        )
