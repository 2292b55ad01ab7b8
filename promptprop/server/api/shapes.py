"""What the native API sends of a run, and the examples that its documentation shows."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from fastapi import Path
from pydantic import BaseModel, Field

from promptprop.domain.models import Json
from promptprop.domain.report import Report, known_usd
from promptprop.ports.jobs import JobState
from promptprop.ports.service import RunHead
from promptprop.server.times import Time

RunRef = Annotated[
    str, Path(min_length=1, max_length=200, description="A run's id, the beginning of it, its name, or `latest`.")
]
Status = Literal["created", "queued", "running", "finished", "stopped", "cancelled"]
RUN_EXAMPLE: dict[str, Any] = {
    "run_id": "5f0c6a0e7b1f4c62a8a4f0a2f2f5c9d1",
    "name": "support-router",
    "activity": "optimize",
    "status": "running",
    "stop_reason": None,
    "verdict": None,
    "score": 0.61,
    "score_on": "select",
    "delta": None,
    "rounds": 3,
    "calls": 412,
    "tokens": 90312,
    "usd": "0.1234",
    "unpriced_calls": 0,
    "simulated": False,
    "seed": 7,
    "owner": "",
    "active_seconds": 31.5,
    "created_at": "2026-11-30T18:45:12Z",
    "updated_at": "2026-11-30T18:45:44Z",
}


class RunSummary(BaseModel):
    """A run in a list."""

    run_id: str
    name: str
    activity: str = Field(description="optimize, evaluate, check, or an inquiry such as calibrate.")
    status: Status
    stop_reason: str | None = Field(description="Why it ended, such as done, budget, paused, errors.")
    verdict: str | None = Field(description="better, no proven gain, worse, unchanged; PASS or FAIL of a check.")
    score: float | None = Field(description="Of the best prompt, on `score_on`.")
    score_on: str | None
    delta: float | None = Field(description="The gain on the sealed rows.")
    rounds: int
    calls: int
    tokens: int
    usd: str | None = Field(description="What was spent; null where no price is known.")
    unpriced_calls: int
    simulated: bool | None = Field(description="True where a simulated model answered: no number is about a real one.")
    seed: int
    owner: str = Field(description="Id of the token that asked for it; empty for a program on the server's machine.")
    active_seconds: float
    created_at: Time
    updated_at: Time

    model_config = {"json_schema_extra": {"examples": [RUN_EXAMPLE]}}


def summary_of_head(head: RunHead) -> RunSummary:
    """A run's head as a list shows it."""
    summary = head.summary
    return RunSummary.model_construct(
        run_id=head.id,
        name=head.name,
        activity=head.activity,
        status=cast("Status", head.status),
        stop_reason=head.stop_reason,
        verdict=summary.get("verdict"),
        score=summary.get("score"),
        score_on=summary.get("on"),
        delta=summary.get("delta"),
        rounds=summary.get("rounds", 0),
        calls=summary.get("calls", 0),
        tokens=summary.get("tokens", 0),
        usd=known_usd(summary.get("picousd", 0), summary.get("unpriced", 0)),
        unpriced_calls=summary.get("unpriced", 0),
        simulated=summary.get("simulated"),
        seed=head.seed,
        owner=head.owner,
        active_seconds=round(head.active_seconds, 3),
        created_at=head.created_at,
        updated_at=head.updated_at,
    )


class Estimate(BaseModel):
    """A mean over `n` rows with its 95 % interval."""

    mean: float | None
    low: float | None
    high: float | None
    n: int


class Standing(BaseModel):
    """A prompt with its scores."""

    id: str
    prompt: str
    length: int
    select: Estimate | None
    test: Estimate | None
    usd_per_1000_rows: str | None


class Job(BaseModel):
    """A run's newest job."""

    status: Literal["queued", "running", "done", "cancelled", "failed"] = Field(
        description="done: a worker came to an end with it, whatever the run came to."
    )
    attempt: int = Field(description="Which job of the run this is, from 1.")
    priority: int
    place: int | None = Field(description="How many are before it and it itself, while it waits.")
    executor: str = Field(description="The worker that has it, or had it last.")
    starts: int = Field(description="How often a worker took it up.")
    queued_at: Time
    started_at: Time | None
    error: str = Field(description="Why a worker failed.")


def job_of(state: JobState | None) -> Job | None:
    """A job as the API tells of it."""
    if state is None:
        return None
    return Job(**{name: getattr(state, name) for name in Job.model_fields})


class RunDetail(RunSummary):
    """A run with all that is known of it, as of now."""

    report: Json = Field(
        description="The document of `promptprop runs show --json`; `breakdown` is empty while it goes on."
    )
    job: Job | None = Field(description="Where it stands in the queue; null for a run of the command line.")
    progress: Json = Field(description="The last word of a running one: phase, done, total, spend.")
    waiting_for_review: bool = Field(description="Whether a rewrite waits for a person's word.")


def report_document(report: Report) -> dict[str, Json]:
    """The document of a report, without secrets; prompts are used as they are, and so they are shown as they are."""
    from promptprop.adapters.logs import redact_value
    from promptprop.domain.report import report_json

    document = report_json(report)
    shown: dict[str, Json] = redact_value(document)
    for name in ("seed", "winner"):
        shown[name]["prompt"] = document[name]["prompt"]
    return shown
