"""The seam to everything that outlives the process, and the rows that cross it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol, TypeAlias, get_args

from promptprop.domain.budget import Amount, Spend
from promptprop.domain.events import StoredEvent
from promptprop.domain.models import (
    Attempts,
    Candidate,
    Cell,
    Evaluation,
    Example,
    Failure,
    Json,
    ModelRequest,
    Proposal,
    Reply,
    Row,
)
from promptprop.domain.rubric import Rubric

CacheMode: TypeAlias = Literal["read-write", "read", "off", "refresh"]
CACHE_MODES: tuple[CacheMode, ...] = get_args(CacheMode)
ENDED = ("finished", "stopped", "cancelled")  # states of a run that is over, for now or for good
LIVE_RUNS = ("queued", "running")  # states of a run that a worker has, or will
READING_MODES = ("read-write", "read")  # in which other runs' replies answer


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run as the store keeps it. `snapshot` holds config, role templates, dataset fingerprint, engine version.

    status: created, queued, running, finished, stopped, cancelled. `summary` is the last report in short, for lists.
    `owner` is the id of the token that asked for it, empty where none was needed.
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
    owner: str = ""


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """What the ledger knows of a key: a reply, or a failure that is final for this run.

    With neither, or with another run's reply, `attempts` are those of this run that have brought nothing so far.
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
class RecordedReply:
    """A reply as a recording keeps it; of its request only key, role, endpoint and model are known."""

    request: ModelRequest
    reply: Reply


@dataclass(frozen=True, slots=True)
class Costs:
    """What evaluations cost: how many, how many of them at an unknown price, and the money of the others."""

    count: int
    unpriced: int
    picousd: int


@dataclass(frozen=True, slots=True)
class PromptVersion:
    """A named prompt's version; versions count from 1; aliases point at one version each."""

    name: str
    version: int
    candidate: Candidate
    run_id: str | None
    created_at: datetime
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RubricVersion:
    """A rubric as the store keeps it: versions of a name count from 1."""

    name: str
    version: int
    rubric: Rubric
    run_id: str | None
    created_at: datetime


class Store(Protocol):
    """Everything that outlives the process. Reads are direct; writes resolve once they are committed.

    `cache` says how a run stands to the others': whether shared replies answer it (read-write, read) and whether its
    own are shared (read-write, refresh). What a run has consumed answers it in every mode.

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

    def runs_that_opened(self, sealed: str) -> list[str]:
        """The finished runs whose summary says that they opened these sealed rows, oldest first."""
        ...

    async def update_run(
        self,
        run_id: str,
        *,
        status: str | None = None,
        stop_reason: str | None = None,
        active_seconds: float | None = None,
        summary: Mapping[str, Json] | None = None,
        snapshot: Mapping[str, Json] | None = None,
    ) -> None:
        """Change the fields that are given; a run that is `running` again has no stop reason."""
        ...

    async def append(self, event: StoredEvent) -> None:
        """Append an event; its seq must be the next one of its run."""
        ...

    def events(self, run_id: str, after: int = 0) -> list[StoredEvent]:
        """Events with seq > `after`, ascending."""
        ...

    def find_call(
        self, run_id: str, key: str, generation: int = 0, cache: CacheMode = "read-write"
    ) -> RecordedCall | None:
        """What this run consumed for `key`; else, where `cache` reads, the newest shared reply; else None.

        `generation` counts the ErrorsRetried interventions in force: failures of an older generation do not answer,
        and records of a later generation than asked for are not seen.
        """
        ...

    def find_calls(
        self, run_id: str, keys: Sequence[str], generation: int = 0, cache: CacheMode = "read-write"
    ) -> Mapping[str, RecordedCall]:
        """What `find_call` says of each of these keys, without those of which it knows nothing."""
        ...

    def paid(self, run_id: str) -> Amount:
        """What this run has paid in all, attempts that brought nothing included."""
        ...

    def paid_by_role(self, run_id: str) -> Spend:
        """The same by role, as far as it is committed; `hits` counts the other runs' replies that it consumed."""
        ...

    def failed_calls(self, run_id: str, generation: int = 0) -> int:
        """How many calls have failed for good in this generation: they stay failed until errors are retried."""
        ...

    async def record_call(
        self,
        run_id: str,
        request: ModelRequest,
        reply: Reply,
        attempts: Attempts,
        generation: int = 0,
        cache: CacheMode = "read-write",
    ) -> RecordedCall:
        """Commit a reply and pin it to the run, which has paid for `attempts`; what was pinned is returned.

        read-write: if another run shared a reply to the key first, that one wins. refresh: the reply is shared, and the
        newest from now on. read and off: no other run ever sees it.
        """
        ...

    async def pin_call(self, run_id: str, request: ModelRequest, found: RecordedCall, generation: int = 0) -> None:
        """This run consumes another run's call that `find_call` found, free of charge; a second time is a no-op.

        A call that was pruned since it was found is stored again, for this run alone.
        """
        ...

    async def pin_replies(self, run_id: str, replies: Sequence[RecordedReply]) -> None:
        """This run consumes replies of a recording, free and for itself alone; what it has recorded stands."""
        ...

    def replies(self, run_id: str) -> list[RecordedReply]:
        """The replies that a run has consumed, by key, in the newest generation of each."""
        ...

    async def commit_block(
        self,
        run_id: str,
        evaluations: Sequence[Evaluation],
        failures: Sequence[FailedCall],
        metrics_fingerprint: str,
        generation: int = 0,
    ) -> None:
        """Commit a block's evaluations and failures in one transaction; stored evaluations stay as they are.

        Under generation −1 − n, failures are attempts of generation n that brought nothing so far: they answer nobody,
        the newest replaces the one before, and the record that ends the call contains them.
        """
        ...

    def find_evaluations(
        self, run_id: str, cells: Sequence[Cell], metrics_fingerprint: str, generation: int = 0
    ) -> list[Evaluation | None]:
        """The stored evaluations of these cells, in order; those with errors only from this generation on."""
        ...

    def evaluations(self, run_id: str, candidate_id: str | None = None) -> Iterator[Evaluation]:
        """All evaluations of a run, or of one candidate, in the order stored."""
        ...

    def evaluation_costs(self, run_id: str, candidate_id: str) -> Costs:
        """What the answers of a candidate cost in all; missing rows are left out."""
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

    async def set_alias(self, name: str, alias: str, version: int) -> PromptVersion:
        """Point an alias at a version, wherever it pointed before. Raises UsageError for an unknown version."""
        ...

    async def remove_alias(self, name: str, alias: str) -> None:
        """Take an alias away. Raises UsageError where there is none."""
        ...

    async def keep_rubric(self, name: str, rubric: Rubric, run_id: str | None) -> RubricVersion:
        """A new version of this name, unless the rubric is stored already: then that one."""
        ...

    def rubric(self, rubric_id: str) -> RubricVersion | None:
        """The rubric of this id; None where there is none."""
        ...

    def close(self) -> None:
        """Drain the writer and close. May be called twice."""
        ...
