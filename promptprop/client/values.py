"""What the API tells, as frozen values. Times are aware and in UTC, money is in USD, scores lie between 0 and 1.

A field that the server's documents hold and that is not here is left out; `tests` hold these against the API's schemas.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from promptprop.client.errors import ProblemItem

ENDED = ("finished", "stopped", "cancelled")
JsonObject = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run in a list. `delta` is the gain on the sealed rows; `usd` is None where no price is known."""

    run_id: str
    name: str
    activity: str
    status: str
    stop_reason: str | None
    verdict: str | None
    score: float | None
    score_on: str | None
    delta: float | None
    rounds: int
    calls: int
    tokens: int
    usd: Decimal | None
    unpriced_calls: int
    simulated: bool | None
    seed: int
    owner: str
    active_seconds: float
    created_at: datetime
    updated_at: datetime

    @property
    def over(self) -> bool:
        """Whether it goes on no more; a stopped or cancelled one can be resumed."""
        return self.status in ENDED


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A run's newest job. `place` counts from 1 while it waits."""

    status: str
    attempt: int
    priority: int
    place: int | None
    executor: str
    starts: int
    queued_at: datetime
    started_at: datetime | None
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDetail(Run):
    """A run with its `report`, the document of `promptprop runs show --json`; `job` is None for one of a terminal."""

    report: JsonObject = field(repr=False)
    job: Job | None
    progress: JsonObject | None
    waiting_for_review: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A fact of a run, past tense in `kind`. `seq` counts from 1 without gaps."""

    seq: int
    at: datetime
    kind: str
    body: JsonObject
    active_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean over `n` rows with its 95 % interval."""

    mean: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricScore:
    """What one metric says of an answer."""

    score: float | None
    feedback: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A candidate's answer to a row: `score` as people corrected it, `measured` as the metrics gave it."""

    candidate: str
    row: str
    replicate: int
    output: str = field(repr=False)
    score: float | None
    measured: float | None
    metrics: Mapping[str, MetricScore] = field(repr=False)
    trace: tuple[JsonObject, ...] = field(repr=False)
    tokens: int
    usd: Decimal | None
    latency_seconds: float
    error: JsonObject | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowAnswers:
    """A candidate's answers to one row, and what it was asked, by step."""

    candidate: str
    asked: tuple[JsonObject, ...] = field(repr=False)
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixRow:
    """A row's mean scores by candidate; None where a candidate has no score on it."""

    row: str
    split: str | None
    scores: Mapping[str, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A candidate in a list: where it comes from, and what is known of its scores."""

    id: str
    round: int
    parents: tuple[str, ...]
    hypothesis: JsonObject
    summary: str
    length: int
    state: str
    is_seed: bool
    is_best: bool
    is_winner: bool
    screened: Estimate | None
    raced: Estimate | None
    confirmed: Estimate | None
    scores: Mapping[str, Estimate]
    metrics: JsonObject
    missing: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateDetail(Candidate):
    """A candidate with its texts by step, demos and critiques."""

    text: str = field(repr=False)
    steps: tuple[JsonObject, ...] = field(repr=False)
    demos: tuple[JsonObject, ...] = field(repr=False)
    critiques: tuple[JsonObject, ...] = field(repr=False)
    answers: int
    usd: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDifference:
    """What changed in one step: unified lines, and words as `{kind, text}`; None where there was too much of it."""

    step: str
    before: str | None = field(repr=False)
    after: str | None = field(repr=False)
    equal: bool
    lines: tuple[str, ...] | None
    words: tuple[JsonObject, ...] | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What changed between two prompts."""

    before: str
    after: str
    equal: bool
    steps: tuple[StepDifference, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervention:
    """What a person left for a run: `state` is waiting, taken or refused."""

    id: int
    kind: str
    body: JsonObject
    author: str
    at: datetime
    state: str
    settled_at: datetime | None
    refused: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckBegun(Run):
    """A check that was begun, and what it can show."""

    rows: int
    smallest_drop: float | None
    power_at_margin: float
    most_calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckDetail(Run):
    """A check; `document` is that of `promptprop check --json` once it is over, and None before."""

    document: JsonObject | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptName:
    """A named prompt with its newest version and its aliases."""

    name: str
    version: int
    versions: int
    aliases: Mapping[str, int]
    id: str
    run_id: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionHead:
    """A version of a named prompt without its texts."""

    name: str
    version: int
    aliases: tuple[str, ...]
    id: str
    length: int
    run_id: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Version(VersionHead):
    """A version with its texts: `text` to be read, `prompt` the document."""

    text: str = field(repr=False)
    prompt: JsonObject = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A prompt with values in it, as a model would get it."""

    step: str
    messages: tuple[Mapping[str, str], ...]
    used: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetHead:
    """A stored dataset in a list."""

    id: str
    name: str
    size: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset(DatasetHead):
    """A stored dataset: the variables of its rows, and rows by the split that the file named."""

    columns: tuple[str, ...]
    splits: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of a dataset."""

    position: int
    id: str
    inputs: JsonObject
    expected: Any
    soft_negatives: tuple[Any, ...]
    hard_negatives: tuple[Any, ...]
    tags: tuple[str, ...]
    cluster: str | None
    weight: float
    split: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """Whether a configuration could be run, and all that is wrong with it."""

    valid: bool
    problems: tuple[ProblemItem, ...]
    name: str | None = None
    rows: Mapping[str, int] = field(default_factory=dict)
    prompts: int = 0
    metrics: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token without its secret."""

    id: str
    name: str
    scope: str
    state: str
    max_runs: int | None
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken(Token):
    """A token with its secret, which is told this once."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One act, or one that was turned away."""

    id: int
    at: datetime
    request_id: str
    actor: str
    action: str
    target: str
    status: int
    address: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Me:
    """Who this client is to the server, and how much it may."""

    id: str
    name: str
    scope: str
    live_runs: int
    limits: Mapping[str, int]
