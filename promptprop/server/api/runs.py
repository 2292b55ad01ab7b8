"""Runs: begin, list, show, stop, resume and remove them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from promptprop.bootstrap.service import Order
from promptprop.domain.models import Json
from promptprop.ports import LIVE_RUNS
from promptprop.ports.jobs import JobState
from promptprop.ports.service import RunHead
from promptprop.server.api.shapes import RunDetail, RunRef, RunSummary, Status, job_of, report_document, summary_of_head
from promptprop.server.auth import Admin, Caller, Reader, Runner
from promptprop.server.context import Context, Ctx
from promptprop.server.feed import progress_json
from promptprop.server.idempotency import IdempotencyKey, once
from promptprop.server.pages import MOST, Page, decoded, page_of, written
from promptprop.server.problems import answers

router = APIRouter(prefix="/api/v1", tags=["runs"])
RowId = Annotated[str, Field(min_length=1, max_length=1000)]
CONFIG_EXAMPLE: dict[str, Any] = {
    "name": "support-router",
    "task": "Route each customer message to the one desk that has to deal with it.",
    "prompt": {"text": "Which desk should answer this message? One word.\n\n{{ text }}"},
    "data": {"file": "datasets/support.jsonl", "inputs": ["text"], "expected": "label", "id": "id"},
    "models": {"task": {"model": "offline/task"}, "rewriter": {"model": "offline/rewriter"}},
    "metrics": [{"id": "label", "type": "exact"}],
    "budget": {"calls": 2000},
}


class Closed(BaseModel):
    """A body whose keys are all known."""

    model_config = ConfigDict(extra="forbid")


class ConfigSource(Closed):
    """A configuration, from exactly one of `config` and `yaml`. Paths in it are relative to the project's folder."""

    config: dict[str, Any] | None = Field(
        None, description="The configuration as an object, by the schema of /api/v1/configs/schema."
    )
    yaml: str | None = Field(None, max_length=1_000_000, description="The configuration as YAML text.")


class RunRequest(ConfigSource):
    """A run that is to begin."""

    activity: Literal["optimize", "evaluate"] = "optimize"
    dataset: str | None = Field(
        None, max_length=100, description="Id of a stored dataset, in place of the configuration's `data.file`."
    )
    split: Literal["all", "train", "select", "test"] = Field("all", description="Rows of an evaluation.")
    repeats: int = Field(1, ge=1, le=100, description="Answers to each row of an evaluation.")
    rows: list[RowId] = Field([], max_length=10_000, description="Ids of the only rows of an evaluation.")
    review: bool = Field(False, description="Wait for a person's word before a rewrite is adopted.")
    cache: Literal["read-write", "read", "off", "refresh"] = "read-write"
    priority: int = Field(0, ge=-1000, le=1000, description="A higher one goes first.")

    model_config = {"extra": "forbid", "json_schema_extra": {"examples": [{"config": CONFIG_EXAMPLE}]}}


class Caps(Closed):
    """Caps of a budget; those that are not given stay."""

    usd: str | None = Field(None, pattern=r"^[0-9]{1,9}(\.[0-9]{1,12})?$", description="Money, such as 2.50.")
    calls: int | None = Field(None, ge=0, le=10**12)
    tokens: int | None = Field(None, ge=0, le=10**15)
    seconds: float | None = Field(None, gt=0, le=10**9)

    def given(self) -> dict[str, Json]:
        """The caps that were given."""
        return self.model_dump(exclude_none=True)


class ResumeRequest(Closed):
    """How a run goes on."""

    caps: Caps = Field(Caps(), description="Larger caps.")
    retry_errors: bool = Field(False, description="Make calls again that have failed for good.")
    priority: int = Field(0, ge=-1000, le=1000)


def order_of(caller: Caller, priority: int = 0) -> Order:
    """The order of a caller."""
    return Order(caller.id, caller.max_runs, priority)


@router.post("/runs", status_code=202, responses=answers(409, 413, 415))
async def begin_run(
    body: RunRequest, request: Request, context: Ctx, caller: Runner, key: IdempotencyKey = None
) -> RunSummary:
    """Begin an optimization or an evaluation as a job. `Location` names the run."""

    async def begin() -> JSONResponse:
        loaded = await run_in_threadpool(context.service.load, body.config, body.yaml, body.dataset)
        options: dict[str, Json] = {"cache": body.cache}
        if body.activity == "evaluate":
            options |= {"split": body.split, "repeats": body.repeats, "rows": body.rows}
        elif body.review:
            options["review"] = True
        run = await context.service.begin(loaded, body.activity, options, order_of(caller, body.priority))
        return accepted(context, run.id)

    return await once(request, context, caller, key, body, begin)  # type: ignore[return-value]  # a response as it is


class RunFilter(Closed):
    """Which runs a list shows."""

    limit: int = Field(50, ge=1, le=MOST, description="Items at most.")
    cursor: str | None = Field(None, max_length=400, description="`next_cursor` of the page before.")
    status: Status | None = Field(None, description="Only runs in this state.")
    activity: str | None = Field(None, max_length=40, description="Only runs of this kind.")
    name: str | None = Field(None, max_length=200, description="Only runs of this name.")
    owner: str | None = Field(None, max_length=100, description="Only runs of this token.")


@router.get("/runs", responses=answers())
def list_runs(context: Ctx, _caller: Reader, wanted: Annotated[RunFilter, Query()]) -> Page[RunSummary]:
    """Runs, newest first."""
    after = decoded(wanted.cursor, datetime.fromisoformat, str)
    place = (after[0], after[1]) if after else None
    filters = wanted.model_dump(include={"status", "activity", "name", "owner"})
    found = context.store.run_page(wanted.limit + 1, place, **filters)
    shown, following = page_of(found, wanted.limit, lambda head: (head.created_at.isoformat(), head.id))
    return written(Page(items=[summary_of_head(head) for head in shown], next_cursor=following))


@router.get("/runs/{run}", responses=answers(404, 409))
async def show_run(run: RunRef, context: Ctx, _caller: Reader) -> RunDetail:
    """A run with its report as of now."""
    head, detail = await run_in_threadpool(detail_of, context, run)
    detail.job = job_of(await job_state_of(context, head))
    return written(detail)


@router.delete("/runs/{run}", status_code=204, responses=answers(404, 409))
async def remove_run(
    run: RunRef,
    context: Ctx,
    _caller: Admin,
    purge: Annotated[bool, Query(description="Also erase answers that no other run has used.")] = False,
) -> Response:
    """Erase a run that is over, with its events and evaluations; named prompts and datasets stay."""
    found = await run_in_threadpool(context.store.find_run_head, run)
    await context.service.remove(found.id, purge=purge)
    return Response(status_code=204)


@router.post("/runs/{run}/cancel", status_code=202, responses=answers(404, 409))
async def cancel_run(run: RunRef, context: Ctx, caller: Runner) -> RunSummary:
    """End a run; what it has paid for stays, and it can be resumed."""
    found = await run_in_threadpool(context.store.find_run_head, run)
    await context.service.end(found.id, "cancelled", caller.id)
    return head_now(context, found.id)


@router.post("/runs/{run}/pause", status_code=202, responses=answers(404, 409))
async def pause_run(run: RunRef, context: Ctx, caller: Runner) -> RunSummary:
    """Stop a run until it is resumed."""
    found = await run_in_threadpool(context.store.find_run_head, run)
    await context.service.end(found.id, "paused", caller.id)
    return head_now(context, found.id)


@router.post("/runs/{run}/resume", status_code=202, responses=answers(404, 409, 415))
async def resume_run(run: RunRef, context: Ctx, caller: Runner, body: ResumeRequest | None = None) -> RunSummary:
    """Let a run that stopped go on; nothing that was paid is paid again."""
    wanted = body or ResumeRequest()
    found = await run_in_threadpool(context.store.find_run_head, run)
    order = order_of(caller, wanted.priority)
    await context.service.resume(found.id, order, wanted.caps.given(), retry_errors=wanted.retry_errors)
    return head_now(context, found.id)


def head_now(context: Context, run_id: str) -> RunSummary:
    """A run as a list shows it now."""
    return summary_of_head(context.store.run_head(run_id))


def accepted(context: Context, run_id: str) -> JSONResponse:
    """202, with the run and where it is found."""
    body = head_now(context, run_id).model_dump(mode="json")
    return JSONResponse(body, 202, headers={"Location": f"/api/v1/runs/{run_id}"})


def detail_of(context: Context, reference: str) -> tuple[RunHead, RunDetail]:
    """A run with its report; what the queue knows is left open."""
    head = context.store.find_run_head(reference)
    over = head.status == "finished"  # such a run makes no progress and waits for nobody
    row = None if over else context.store.progress([head.id]).get(head.id)
    engine, live = context.service.engine, head.status in LIVE_RUNS
    # whoever asks again and again how an evaluation comes on would have all its answers read each time
    report = context.reports.of(head, lambda: report_document(engine.report(head.id, breakdown=not live)))
    return head, RunDetail.model_construct(
        **dict(summary_of_head(head)),
        report=report,
        job=None,
        progress=progress_json(row.body if row else None),
        waiting_for_review=not over and context.store.pending_review(head.id) is not None,
    )


async def job_state_of(context: Context, head: RunHead) -> JobState | None:
    """A run's newest job. That of a run that has finished is over a moment later, and changes no more then."""
    known = context.jobs.known(head)
    if known is None:
        state = await context.service.queue.state(head.id)
        known = () if state is None else (state,)
        if state is None or not state.live:
            context.jobs.keep(head, known)
    return known[0] if known else None
