"""What the API tells, as frozen values. Times are aware and in UTC, money is in USD, scores lie between 0 and 1.

A field that the server's documents hold and that is not here is left out; `tests` hold these against the API's schemas.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

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
