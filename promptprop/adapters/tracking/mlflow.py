"""The sink that tracks a run in MLflow, from a thread of its own; and the command that opens MLflow's UI."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

from promptprop.adapters.logs import bind, redact
from promptprop.adapters.tracking.records import Records, records_of
from promptprop.domain.errors import UsageError
from promptprop.domain.events import StoredEvent
from promptprop.domain.history import History, advance
from promptprop.domain.models import Proposal
from promptprop.ports import Tick

if TYPE_CHECKING:
    from promptprop.adapters.tracking.client import Destination, TrackedRun

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Farewell:
    """The last item of the queue: what is written once the run is over."""

    candidates: Mapping[str, Proposal] = field(default_factory=dict)
    artifacts: Mapping[str, str] = field(default_factory=dict)
    ended: Callable[[], object] = lambda: None


class MlflowSink:
    """Tracks one run in MLflow. `accept` only queues; nothing that goes wrong reaches the run.

    The first thing that goes wrong is logged as a warning and kept in `problem`, to be shown with the run's summary.
    A run that is resumed continues its MLflow run: events that it has accepted before may be accepted again.
    """

    def __init__(
        self,
        destination: Destination,
        *,
        candidates: Callable[[], Mapping[str, Proposal]] = dict,
        artifacts: Callable[[], Mapping[str, str]] = dict,
        close_seconds: float = 20.0,
    ) -> None:
        """`candidates` (by id) and `artifacts` (text by file name) are called by `close`, in its thread.

        `close` waits at most `close_seconds`.
        """
        self.problem: str | None = None
        self._destination = destination
        self._candidates = candidates
        self._artifacts = artifacts
        self._close_seconds = close_seconds
        self._queue: SimpleQueue[StoredEvent | _Farewell] = SimpleQueue()
        self._thread: Thread | None = None
        self._seen = 0
        self._history = History()  # the thread's

    def accept(self, event: StoredEvent) -> None:
        """Queue one stored event; the first starts the thread."""
        if event.seq <= self._seen:
            return
        self._seen = event.seq
        self._queue.put(event)
        if self._thread is None:
            self._thread = Thread(target=self._work, args=(event.run_id,), name="promptprop-mlflow", daemon=True)
            self._thread.start()

    def tick(self, tick: Tick) -> None:
        """Ticks are not tracked."""

    async def close(self) -> None:
        """Write what is pending, the candidates and the artifacts. Never raises, and waits no longer than it may."""
        if self._thread is None:
            return
        found: dict[str, Mapping[str, Proposal]] = {}
        texts: dict[str, Mapping[str, str]] = {}
        self._attempt("read the candidates", lambda: found.update(all=self._candidates()))
        self._attempt("write the report", lambda: texts.update(all=self._artifacts()))
        done, loop = asyncio.Event(), asyncio.get_running_loop()
        ended = partial(loop.call_soon_threadsafe, done.set)
        self._queue.put(_Farewell(found.get("all", {}), texts.get("all", {}), ended))
        try:
            await asyncio.wait_for(done.wait(), self._close_seconds)
        except asyncio.TimeoutError:
            self._complain(f"MLflow did not finish within {self._close_seconds:g} seconds; tracking is incomplete")

    # --- the thread ---------------------------------------------------------------------------------------------

    def _work(self, run_id: str) -> None:
        """Write batches of what is queued, until the farewell. Where the run cannot be opened, nothing is written."""
        with bind(run_id=run_id):
            opened: list[TrackedRun] = []
            self._attempt("open the run", lambda: opened.append(self._open(run_id)))
            run = opened[0] if opened else None
            for batch, farewell in self._batches():
                if run is not None:
                    self._attempt("log events", partial(self._write, run, batch))
                    self._say_farewell(run, farewell)
                with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                    farewell.ended()

    def _write(self, run: TrackedRun, batch: Sequence[StoredEvent]) -> None:
        """Fold the events one by one, and write what they say at once."""
        records = Records()
        for event in batch:
            self._history = advance(self._history, event)
            records = records.plus(records_of(event, self._history))
        run.log(records)

    def _open(self, run_id: str) -> TrackedRun:
        from promptprop.adapters.tracking.client import TrackedRun

        return TrackedRun(self._destination, run_id)

    def _batches(self) -> Iterator[tuple[list[StoredEvent], _Farewell]]:
        """What lies in the queue, each time that something does; the last batch comes with the farewell of `close`."""
        while True:
            batch: list[StoredEvent] = []
            item = self._queue.get()
            try:
                while not isinstance(item, _Farewell):
                    batch.append(item)
                    item = self._queue.get_nowait()
            except Empty:
                yield batch, _Farewell()
                continue
            yield batch, item
            return

    def _say_farewell(self, run: TrackedRun, farewell: _Farewell) -> None:
        """Register the candidates in the order they were stored; only a sealed test makes a winner."""
        tested = self._history.test
        winner_id = tested.winner_id if tested else None
        for candidate_id, proposal in farewell.candidates.items():
            step = partial(run.register, proposal, winner=candidate_id == winner_id)
            self._attempt(f"register candidate {candidate_id}", step)
        for filename, text in farewell.artifacts.items():
            self._attempt(f"store {filename}", partial(run.attach, filename, text))

    def _attempt(self, what: str, action: Callable[[], object]) -> None:
        """Do it; a failure of any kind is told and ends here, for tracking must not end a run."""
        try:
            action()
        except Exception as error:
            LOG.debug("MLflow could not %s", what, exc_info=True)
            self._complain(f"MLflow could not {what}: {_first_line(error)}")

    def _complain(self, problem: str) -> None:
        """Warn the first time, and note what follows from it."""
        problem = redact(problem)
        if self.problem is None:
            self.problem = problem
            LOG.warning("%s. The run goes on without.", problem)
        else:
            LOG.info("%s", problem)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{lines[0]} ({type(error).__name__})" if lines else type(error).__name__


@dataclass(frozen=True, slots=True)
class UiCommand:
    """A command line with the environment variables that it needs on top of the current ones."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]

    def replace_process(self) -> None:
        """Become this command; does not return."""
        os.execve(self.argv[0], self.argv, {**os.environ, **self.environment})  # noqa: S606 - our own interpreter


def open_ui(uri: str, port: int = 5000, host: str = "127.0.0.1") -> UiCommand:
    """The command that serves MLflow's UI on this store. A uri with a password goes by the environment, not by argv.

    Raises UsageError where the uri is a server that already has a UI.
    """
    if uri.startswith(("http://", "https://")):
        raise UsageError(f"{redact(uri)} is a server with a UI of its own", remedy="open that address in a browser")
    argv = [sys.executable, "-m", "mlflow", "ui", "--host", host, "--port", str(port), "--workers", "1"]
    # without job execution the UI starts in seconds: it would load evaluation libraries and start a job runner
    environment = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    if redact(uri) != uri:
        environment["MLFLOW_BACKEND_STORE_URI"] = uri
    else:
        argv += ["--backend-store-uri", uri]
    return UiCommand(tuple(argv), environment)
