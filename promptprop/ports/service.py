"""The seams of serving: tokens, what people ask of a run, lists without snapshots, and what is kept of requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol, TypeAlias, get_args

from promptprop.domain.events import StoredEvent
from promptprop.domain.models import Evaluation, Example, Json
from promptprop.domain.people import Ending, Wish
from promptprop.ports.storage import PromptVersion

Scope: TypeAlias = Literal["read", "run", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)  # each holds the ones before it

Queued: TypeAlias = Literal["queued", "full", "elsewhere"]  # elsewhere: its status is none of those before
Cursor: TypeAlias = tuple[datetime, str]  # created_at and id of the last one seen


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token as the store keeps it, without its secret. `max_runs` bounds the live runs of its holder."""

    id: str
    name: str
    scope: Scope
    created_at: datetime
    max_runs: int | None = None
    expires_at: datetime | None = None
    used_at: datetime | None = None
    revoked_at: datetime | None = None

    def allows(self, scope: Scope) -> bool:
        """Whether the token's scope holds the one that is asked for."""
        return SCOPES.index(self.scope) >= SCOPES.index(scope)

    def state(self, now: datetime) -> Literal["in force", "expired", "revoked"]:
        """What the token is worth at this moment."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "in force"


class Tokens(Protocol):
    """Bearer tokens. A secret is random and long, is returned once, and is stored as a hash."""

    async def create_token(
        self, name: str, scope: Scope, *, max_runs: int | None = None, expires_at: datetime | None = None
    ) -> tuple[TokenRow, str]:
        """A new token and its secret. Raises UsageError for a name that a token in force has."""
        ...

    def find_token(self, secret: str) -> TokenRow | None:
        """The token in force that has this secret; None for anything else, whatever it is."""
        ...

    def tokens(self) -> list[TokenRow]:
        """All tokens, newest first, those that are expired or revoked among them."""
        ...

    def has_tokens(self) -> bool:
        """Whether any token is in force."""
        ...

    async def revoke_token(self, reference: str) -> TokenRow:
        """Revoke the token of this id or name; a second time is a no-op. Raises UsageError for an unknown one."""
        ...

    async def touch_token(self, token_id: str) -> None:
        """Note that a token is used; stored once a minute at most."""
        ...


@dataclass(frozen=True, slots=True)
class WishRow:
    """A wish with what came of it: taken at this time, or refused then for this reason; neither while it waits."""

    wish: Wish
    taken_at: datetime | None = None
    refused: str | None = None


class Inbox(Protocol):
    """What people ask of a run while it goes on. Whoever runs it takes the wishes one by one, in their order."""

    async def leave_wish(self, run_id: str, kind: str, body: Mapping[str, Json], author: str = "") -> Wish:
        """Leave a wish; `kind` and `body` are those of an intervention, or an Ending with no body.

        Raises RunNotFound; UsageError for what can never be, or where the run is finished.
        """
        ...

    def wishes(self, run_id: str) -> list[Wish]:
        """The wishes that wait, oldest first; cheap where there are none."""
        ...

    def wish_rows(self, run_id: str, after_id: int = 0, limit: int = 100) -> list[WishRow]:
        """All wishes of a run, oldest first, with what came of them."""
        ...

    def wish_row(self, run_id: str, wish_id: int) -> WishRow | None:
        """One wish of a run."""
        ...

    async def settle_wish(self, wish_id: int, refused: str | None = None) -> None:
        """Mark a wish as taken, or as refused for this reason; one that is settled stays as it is."""
        ...

    def ending(self, run_id: str) -> Ending:
        """How a run that is interrupted now ends: as a waiting wish says (cancelled first), else interrupted."""
        ...

    async def withdraw_endings(self, run_id: str) -> None:
        """Waiting pauses and cancellations count no more: somebody resumes the run."""
        ...

    async def show_review(self, run_id: str, body: Mapping[str, Json] | None) -> None:
        """What a run waits to be told about a rewrite; None where it waits no longer."""
        ...

    def pending_review(self, run_id: str) -> Mapping[str, Json] | None:
        """What a run waits to be told, if it waits."""
        ...


@dataclass(frozen=True, slots=True)
class ProgressRow:
    """The last tick of a live run."""

    run_id: str
    body: Mapping[str, Json]
    at: datetime


class Progress(Protocol):
    """Where live runs stand between events, for whoever watches from another process."""

    async def keep_progress(self, run_id: str, body: Mapping[str, Json]) -> None:
        """Replace the last tick of a run; one that is not stored any more is left out in silence."""
        ...

    def progress(self, run_ids: Sequence[str]) -> dict[str, ProgressRow]:
        """The last ticks of these runs, as far as there are any."""
        ...


@dataclass(frozen=True, slots=True)
class RunHead:
    """What lists need of a run: all but its snapshot."""

    id: str
    name: str
    activity: str
    status: str
    seed: int
    created_at: datetime
    updated_at: datetime
    dataset_id: str
    owner: str
    stop_reason: str | None = None
    active_seconds: float = 0.0
    summary: Mapping[str, Json] = field(default_factory=dict)

    @property
    def cursor(self) -> Cursor:
        """Where the next page of a list begins."""
        return (self.created_at, self.id)


@dataclass(frozen=True, slots=True)
class EvaluationRow:
    """An evaluation with its number, by which pages go on, and what it was scored by."""

    id: int
    metrics_fingerprint: str
    generation: int
    evaluation: Evaluation


@dataclass(frozen=True, slots=True)
class DatasetHead:
    """A stored dataset without its rows."""

    id: str
    name: str
    size: int
    created_at: datetime

    @property
    def cursor(self) -> Cursor:
        """Where the next page of a list begins."""
        return (self.created_at, self.id)


@dataclass(frozen=True, slots=True)
class DatasetRow:
    """An example at its place in the dataset; positions count from 0."""

    position: int
    example: Example


@dataclass(frozen=True, slots=True)
class PromptHead:
    """A named prompt without its texts: its newest version, how many there are, and where its aliases point."""

    name: str
    version: int
    versions: int
    candidate_id: str
    run_id: str | None
    created_at: datetime
    aliases: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunState:
    """What changes about a run while it is followed: `progress` is its last tick, `last_seq` that of its last event."""

    status: str
    stop_reason: str | None
    last_seq: int
    progress: Mapping[str, Json] | None = None


class RunListing(Protocol):
    """Pages of what is stored, each in a few milliseconds however much there is."""

    def run_page(
        self,
        limit: int,
        after: Cursor | None = None,
        *,
        status: str | None = None,
        activity: str | None = None,
        name: str | None = None,
        owner: str | None = None,
    ) -> list[RunHead]:
        """Runs, newest first, those behind `after`."""
        ...

    def run_head(self, run_id: str) -> RunHead:
        """The run of exactly this id, without its snapshot. Raises RunNotFound."""
        ...

    def find_run_head(self, reference: str) -> RunHead:
        """The same of the run that a reference names, as `Store.run` finds it. Raises RunNotFound, AmbiguousRun."""
        ...

    def run_counts(self) -> dict[str, int]:
        """How many runs there are of each status."""
        ...

    def live_runs_of(self, owner: str) -> int:
        """How many runs of this owner are queued or running."""
        ...

    async def change_status(
        self, run_id: str, before: Sequence[str], status: str, stop_reason: str | None = None
    ) -> bool:
        """Give a run this status and stop reason if it has one of those before; tells whether it had."""
        ...

    async def queue_run(self, run_id: str, before: Sequence[str], most_live: int | None = None) -> Queued:
        """Give a run the status queued if it has one of those before, and its owner has fewer live runs than this.

        Counting and changing are one step, however many ask at once.
        """
        ...

    def event_page(self, run_id: str, after: int, limit: int) -> list[StoredEvent]:
        """At most `limit` events with seq > `after`, ascending."""
        ...

    def last_seq(self, run_id: str) -> int:
        """The seq of a run's newest event, 0 where there is none."""
        ...

    def last_seqs(self, run_ids: Sequence[str]) -> dict[str, int]:
        """The same of several runs; those without events are left out."""
        ...

    def run_states(self, run_ids: Sequence[str]) -> dict[str, RunState]:
        """What is to be told of these runs now; those that are not stored are left out."""
        ...

    def evaluation_page(
        self, run_id: str, candidate_id: str | None = None, after_id: int = 0, limit: int = 100
    ) -> list[EvaluationRow]:
        """Evaluations of a run, or of one candidate, in the order stored."""
        ...

    def dataset_heads(self, limit: int, after: Cursor | None = None) -> list[DatasetHead]:
        """Datasets, newest first, those behind `after`."""
        ...

    def dataset_head(self, dataset_id: str) -> DatasetHead | None:
        """The dataset of this id; None where there is none."""
        ...

    async def delete_dataset(self, dataset_id: str) -> int:
        """Remove a dataset with its rows, unless runs were made of it; returns how many those are."""
        ...

    def dataset_rows(
        self, dataset_id: str, after_position: int = -1, limit: int = 100, split: str | None = None
    ) -> list[DatasetRow]:
        """Rows of a dataset in file order, behind `after_position`; of one split of the file's, if it is named."""
        ...

    def dataset_splits(self, dataset_id: str) -> dict[str, int]:
        """How many rows of a dataset its file put into which split; rows without one count under ""."""
        ...

    def prompt_page(self, limit: int, after: str = "") -> list[PromptHead]:
        """Named prompts by name, those behind `after`, each with its newest version."""
        ...

    def prompt_versions(self, name: str, limit: int, before: int | None = None) -> list[PromptVersion]:
        """Versions of a prompt, newest first, those under `before`; none where nothing has this name."""
        ...


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What a request under an idempotency key was, and what it was answered; without a status it is under way."""

    fingerprint: str
    created_at: datetime
    status: int | None = None
    location: str | None = None
    body: str | None = None


class Idempotency(Protocol):
    """Answers by owner and key, so that a request that is sent twice is carried out once."""

    async def begin_request(
        self, owner: str, key: str, fingerprint: str, stale_seconds: float = 60
    ) -> KeptAnswer | None:
        """Take the key: None says that it is ours now, else this is what was made of it before.

        A request that has been under way for longer than `stale_seconds` was lost with its process: its key is ours.
        """
        ...

    async def keep_answer(self, owner: str, key: str, status: int, body: str, location: str | None = None) -> None:
        """Store what the request was answered."""
        ...

    async def drop_request(self, owner: str, key: str) -> None:
        """Give the key back: the request came to nothing, and may be sent again."""
        ...

    async def prune_answers(self, before: datetime) -> int:
        """Forget what was asked before this time; returns how many keys that were."""
        ...


TURNED_AWAY = (401, 403, 421)  # no token or a wrong one, not allowed, another host than ours


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One act of somebody. `action` is a method and a route; nothing of the request's contents, and no secret."""

    at: datetime
    request_id: str
    actor: str
    action: str
    target: str
    status: int
    address: str
    detail: str = ""
    id: int = 0


class AuditLog(Protocol):
    """What was changed, and who was turned away. Rows are added, and left out once they are old; none is changed."""

    async def record_audit(self, rows: Sequence[AuditRow]) -> None:
        """Add rows; their ids are given by the store."""
        ...

    def audit_page(self, limit: int, before_id: int | None = None) -> list[AuditRow]:
        """Rows, newest first, those with ids under `before_id`."""
        ...

    async def prune_audit(self, before: datetime, refused_before: datetime) -> int:
        """Leave out rows from before a time, those of who was turned away from before another; returns how many."""
        ...
