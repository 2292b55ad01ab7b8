"""The seams: Protocols that services are written against and adapters fulfil. bootstrap.py decides who plays whom.

One contract suite per port runs on every implementation (`tests/contracts/`).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from promptprop.domain.budget import Amount, Budget, Price, Spend
from promptprop.domain.events import Event, StoredEvent
from promptprop.domain.models import (
    Answer,
    Ask,
    Attempts,
    Candidate,
    Cell,
    Evaluation,
    Example,
    Failure,
    Json,
    Judgement,
    Message,
    ModelRequest,
    Outcome,
    Program,
    Proposal,
    Reply,
    Row,
)


class Clock(Protocol):
    """Time, so that tests can hold it."""

    def now(self) -> datetime:
        """The current time in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...


# --- models ---------------------------------------------------------------------------------------------------------


class ModelClient(Protocol):
    """One provider connection: one attempt a call, no retries, no caching.

    Raises a subclass of `ModelError` and nothing else (cancellation apart). The text of a reply is `storable`.
    """

    async def complete(self, request: ModelRequest, timeout: float) -> Reply:
        """Answer one request within `timeout` seconds."""
        ...

    async def embed(self, texts: Sequence[str], timeout: float) -> list[list[float]]:
        """One vector a text, in order."""
        ...

    def price(self) -> Price | None:
        """Money per token, None where it is unknown."""
        ...

    async def close(self) -> None:
        """Release connections. May be called twice."""
        ...


class Ledger(Protocol):
    """The models of one run behind ledger → budget → limiter → retry → deadline.

    Every reply is committed before it is yielded. Equal requests in flight are made once. Reservations are granted in
    the order of the requests. A request that the budget refuses, and all after it, yield an outcome whose failure has
    the code `budget:CAP`.
    """

    def complete_all(self, requests: Iterable[ModelRequest]) -> AsyncGenerator[Outcome, None]:
        """Answer requests in the order asked; failures are outcomes, not exceptions.

        The iterable is read in a window, so that 100,000 requests do not lie in memory at once.
        """
        ...

    @property
    def spend(self) -> Spend:
        """What this run has spent so far, replayed calls included."""
        ...

    @property
    def budget(self) -> Budget:
        """The caps in force."""
        ...

    def raise_caps(self, caps: Mapping[str, Json]) -> None:
        """An intervention took effect: these caps replace the old ones."""
        ...

    def hold(self, reserve: Amount) -> None:
        """Keep this amount out of reach (for FINISH), until it is set anew; zero releases it."""
        ...

    def retry_failures(self) -> None:
        """An intervention took effect: failures recorded before it no longer answer, they are made again."""
        ...

    def take_failures(self) -> list[FailedCall]:
        """The failures since the last time asked, to be committed with the block that holds them."""
        ...

    async def close(self) -> None:
        """Close all clients."""
        ...


# --- storage --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run as the store keeps it. `snapshot` holds config, role templates, dataset fingerprint, engine version.

    status: created, running, finished, stopped, cancelled. `summary` is the last report in short, for lists.
    """

    id: str
    name: str
    activity: str
    status: str
    seed: int
    created_at: datetime
    updated_at: datetime
    snapshot: Mapping[str, Json]
    dataset_id: str
    stop_reason: str | None = None
    active_seconds: float = 0.0
    summary: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """What the ledger knows of a key: a reply, or a failure that is final for this run.

    `paid` tells that this run made the call, so that it counts again on resume. `mine` tells that this run has
    consumed it before (else it is another run's call, which must be pinned before use).
    """

    call_id: int | None
    reply: Reply | None
    failure: Failure | None
    attempts: Attempts
    paid: bool
    mine: bool


@dataclass(frozen=True, slots=True)
class FailedCall:
    """A request that has failed for good, with what its attempts cost."""

    request: ModelRequest
    failure: Failure
    attempts: Attempts


@dataclass(frozen=True, slots=True)
class PromptVersion:
    """A named prompt's version; versions count from 1; aliases point at one version each."""

    name: str
    version: int
    candidate: Candidate
    run_id: str | None
    created_at: datetime
    aliases: tuple[str, ...] = ()


class Store(Protocol):
    """Everything that outlives the process. Reads are direct; writes resolve once they are committed.

    Raises `StorageError` subclasses; a value that no column can hold is sanitised or isolated, never lost.
    """

    async def create_run(self, run: RunRow) -> None:
        """Store a new run."""
        ...

    def run(self, reference: str) -> RunRow:
        """The run of this id, unambiguous id prefix, name, or `latest`. Raises RunNotFound, AmbiguousRun."""
        ...

    def runs(self, limit: int = 50, offset: int = 0) -> list[RunRow]:
        """Runs, newest first."""
        ...

    async def update_run(
        self,
        run_id: str,
        *,
        status: str | None = None,
        stop_reason: str | None = None,
        active_seconds: float | None = None,
        summary: Mapping[str, Json] | None = None,
    ) -> None:
        """Change the fields that are given."""
        ...

    async def append(self, event: StoredEvent) -> None:
        """Append an event; its seq must be the next one of its run."""
        ...

    def events(self, run_id: str, after: int = 0) -> list[StoredEvent]:
        """Events with seq > `after`, ascending."""
        ...

    def find_call(self, run_id: str, key: str, generation: int = 0) -> RecordedCall | None:
        """What this run consumed for `key`; else a reply that another run has paid for; else None.

        `generation` counts the ErrorsRetried interventions in force: failures of an older generation do not answer,
        and records of a later generation than asked for are not seen.
        """
        ...

    async def record_call(
        self, run_id: str, request: ModelRequest, reply: Reply, attempts: Attempts, generation: int = 0
    ) -> RecordedCall:
        """Commit a reply and pin it to the run. If another process stored the key first, its row wins and is returned.

        Either way the run has paid for `attempts`.
        """
        ...

    async def pin_call(self, run_id: str, key: str, call_id: int, generation: int = 0) -> None:
        """This run consumes another run's call, free of charge."""
        ...

    async def commit_block(
        self,
        run_id: str,
        evaluations: Sequence[Evaluation],
        failures: Sequence[FailedCall],
        metrics_fingerprint: str,
        generation: int = 0,
    ) -> None:
        """Commit a block's evaluations and failures in one transaction; stored evaluations stay as they are."""
        ...

    def find_evaluations(
        self, run_id: str, cells: Sequence[Cell], metrics_fingerprint: str, generation: int = 0
    ) -> list[Evaluation | None]:
        """The stored evaluations of these cells, in order; those with errors only from this generation on."""
        ...

    def evaluations(self, run_id: str, candidate_id: str | None = None) -> Iterator[Evaluation]:
        """All evaluations of a run, or of one candidate, in the order stored."""
        ...

    async def keep_candidate(self, run_id: str, proposal: Proposal) -> None:
        """Store a candidate's texts, hypothesis and critiques; a second time is a no-op."""
        ...

    def candidates(self, run_id: str) -> dict[str, Proposal]:
        """A run's candidates by id, in the order stored."""
        ...

    async def put_dataset(self, name: str, examples: Iterable[Example]) -> str:
        """Store a dataset under the fingerprint of its contents and return that id; streams in batches."""
        ...

    def rows(self, dataset_id: str) -> list[Row]:
        """Ids, strata and clusters of a dataset, in file order, with the split that the file gave (or None)."""
        ...

    def examples(self, dataset_id: str, ids: Sequence[str]) -> list[Example]:
        """These examples, in the order asked."""
        ...

    async def save_prompt(
        self, name: str, candidate: Candidate, run_id: str | None, aliases: Sequence[str] = ()
    ) -> PromptVersion:
        """A new version, unless the newest one has the same contents; then that one, with the aliases moved to it."""
        ...

    def prompt(self, reference: str) -> PromptVersion:
        """`NAME`, `NAME@3` or `NAME@alias`; without a version the newest. Raises UsageError."""
        ...

    def prompts(self) -> list[PromptVersion]:
        """All versions, by name and version."""
        ...

    def close(self) -> None:
        """Drain the writer and close. May be called twice."""
        ...


# --- metrics --------------------------------------------------------------------------------------------------------


class Metric(Protocol):
    """Judges one answer against its example. Pure but for custom metrics."""

    id: str

    def judge(self, output: str, example: Example) -> Judgement:
        """Score in [0, 1] with feedback; `score=None` where the metric cannot judge this row."""
        ...


class Scorer(Protocol):
    """All metrics of a run as one loss."""

    @property
    def fingerprint(self) -> str:
        """Names what shapes a score: metric types, options, contents of files and functions, weights and gates."""
        ...

    def score(self, output: str, example: Example) -> tuple[dict[str, Judgement], float | None]:
        """Each metric's judgement by id, and the weighted and gated mean; None where nothing could judge."""
        ...


# --- the loop -------------------------------------------------------------------------------------------------------


class Workbench(Protocol):
    """What an optimizer works with. It awaits one thing at a time and hands over all work at once."""

    async def evaluate(self, cells: Sequence[Cell]) -> list[Evaluation]:
        """Evaluate cells; results in the order asked. Raises BudgetSpent, TooManyErrors."""
        ...

    async def ask(self, asks: Sequence[Ask]) -> list[Answer]:
        """Ask roles; answers in the order asked. Raises BudgetSpent."""
        ...

    async def keep(self, proposal: Proposal) -> None:
        """Store a candidate's texts, so that events can name it by id."""
        ...

    def examples(self, ids: Sequence[str]) -> list[Example]:
        """The contents of rows, in the order asked."""
        ...

    def hold(self, evaluations: int, longest: int) -> None:
        """Hold back what `evaluations` more evaluations of prompts up to `longest` characters can cost; 0 releases."""
        ...

    @property
    def spend(self) -> Spend:
        """What the run has spent so far."""
        ...

    @property
    def budget(self) -> Budget:
        """The caps in force."""
        ...

    @property
    def barrier(self) -> int:
        """How many times evaluate or ask were called: the run's own clock."""
        ...


@dataclass(frozen=True, slots=True)
class Brief:
    """What an optimizer is given: seeds, rows by split, a seed for randomness, and what the task is about.

    `confirm` rows are cut from select and stay unseen by the search; `test` rows are sealed until FINISH.
    """

    task: str
    program: Program
    seeds: tuple[Candidate, ...]
    train: tuple[Row, ...]
    select: tuple[Row, ...]
    confirm: tuple[Row, ...]
    test: tuple[Row, ...]
    seed: int


@dataclass(frozen=True, slots=True)
class Shape:
    """How an optimizer spends: evaluations of its set-up, of a round and of FINISH, and role calls of a round.

    `longest` is the most characters that a candidate of its may have: it bounds what FINISH can cost.
    """

    set_up: int
    each_round: int
    role_calls: int
    finish: int
    rounds: int
    longest: int = 0


class Optimizer(Protocol):
    """A search strategy: a generator of decisions, with all model access through the workbench."""

    def run(self, brief: Brief, workbench: Workbench) -> AsyncGenerator[Event, None]:
        """Search, then FINISH. Deterministic given the brief and what the workbench answered."""
        ...

    def shape(self, brief: Brief) -> Shape:
        """How it will spend, for `plan`: likely figures, not bounds; FINISH alone is exact."""
        ...


class Role(Protocol):
    """A model role: a template file plus the parser of its reply."""

    name: str

    def messages(self, inputs: Mapping[str, Json]) -> tuple[Message, ...]:
        """The filled template."""
        ...

    def parse(self, text: str, inputs: Mapping[str, Json]) -> Any:
        """The reply's value. Raises ValueError with a sentence that the model can act on."""
        ...


# --- sinks ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tick:
    """Progress between events: never stored, no seq."""

    run_id: str
    phase: str
    done: int
    total: int
    spend: Spend


class EventSink(Protocol):
    """Something that listens: progress, tracking, SSE. It must not block; its failure is logged and ends no run."""

    def accept(self, event: StoredEvent) -> None:
        """Take one stored event."""
        ...

    def tick(self, tick: Tick) -> None:
        """Take one tick."""
        ...

    async def close(self) -> None:
        """Flush what is pending. Called once, after the run's last event."""
        ...


class JobQueue(Protocol):
    """Hands run ids to workers."""

    async def submit(self, run_id: str, priority: int = 0) -> None:
        """Queue a run; idempotent."""
        ...

    async def cancel(self, run_id: str) -> None:
        """Ask for a run to be stopped."""
        ...
