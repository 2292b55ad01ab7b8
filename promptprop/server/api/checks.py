"""Evaluations and checks as jobs: measure a prompt, and hold it against its baseline."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from promptprop.bootstrap.service import NotFound, NotPossible
from promptprop.domain.models import Json
from promptprop.server.api.runs import (
    CONFIG_EXAMPLE,
    ConfigSource,
    RowId,
    RunRequest,
    begin_run,
    head_now,
    order_of,
)
from promptprop.server.api.shapes import RunRef, RunSummary, summary_of_head
from promptprop.server.auth import Reader, Runner
from promptprop.server.context import Context, Ctx
from promptprop.server.formats import form_of
from promptprop.server.idempotency import IdempotencyKey, once
from promptprop.server.problems import answers

router = APIRouter(prefix="/api/v1", tags=["checks"])
SHOWN = 500  # rows of each kind that a document shows: the worst
GROUPS = ("worse", "better", "critical_rows", "missing_rows")
CacheMode = Literal["read-write", "read", "off", "refresh"]
CheckForm = Literal["json", "md", "junit"]
MEDIA: dict[CheckForm, str] = {"json": "application/json", "md": "text/markdown", "junit": "application/xml"}
NO_FILE = "request"  # where a configuration that was sent stands, in the place of a file's name
REFERENCE = r"^[^\x00-\x1f\x7f]+$"


class EvaluationRequest(ConfigSource):
    """An evaluation that is to begin."""

    dataset: str | None = Field(
        None, max_length=100, description="Id of a stored dataset, in place of the configuration's `data.file`."
    )
    split: Literal["all", "train", "select", "test"] = "all"
    repeats: int = Field(1, ge=1, le=100, description="Answers to each row.")
    rows: list[RowId] = Field([], max_length=10_000, description="Ids of the only rows.")
    cache: CacheMode = "read-write"
    priority: int = Field(0, ge=-1000, le=1000, description="A higher one goes first.")

    model_config = ConfigDict(json_schema_extra={"examples": [{"config": CONFIG_EXAMPLE, "repeats": 3}]})


class CheckBody(ConfigSource):
    """A check that is to begin: the configured prompt against a baseline. The configuration's `gate` says how."""

    baseline: str | None = Field(
        None,
        min_length=1,
        max_length=400,
        pattern=REFERENCE,
        description="NAME@VERSION, RUN:winner, RUN:seed, RUN:CANDIDATE, or the name of a stored baseline; unless it is "
        "given, the stored one of the configuration's name.",
    )
    dataset: str | None = Field(
        None, max_length=100, description="Id of a stored dataset, in place of the configuration's `data.file`."
    )
    split: Literal["all", "train", "select", "test"] = "all"
    allow_diff: list[Literal["model", "rows"]] = Field(
        [], max_length=2, description="Compare with a stored baseline across another model, or rows that both have."
    )
    max_replicates: int | None = Field(None, ge=1, le=100, description="Leave out looks with more answers to a row.")
    rerun: bool = Field(False, description="Ask an unchanged prompt again: has the model drifted?")
    cache: CacheMode = "read-write"
    priority: int = Field(0, ge=-1000, le=1000, description="A higher one goes first.")

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"config": CONFIG_EXAMPLE, "baseline": "support-router@production"}]}
    )


class CheckBegun(RunSummary):
    """A check that waits for a worker, and what it will see."""

    rows: int
    smallest_drop: float | None = Field(description="That fails with the power asked for; null where none does.")
    power_at_margin: float
    most_calls: int = Field(description="Of all looks, answers on record not counted.")


class CheckDetail(RunSummary):
    """A check. Its `verdict` is PASS, FAIL or INCONCLUSIVE."""

    document: dict[str, Any] | None = Field(
        description="The document of `promptprop check --json`; null until the check is over."
    )


@router.post("/evaluations", status_code=202, responses=answers(409, 413, 415), tags=["checks"])
async def begin_evaluation(
    body: EvaluationRequest, request: Request, context: Ctx, caller: Runner, key: IdempotencyKey = None
) -> RunSummary:
    """Begin an evaluation as a job: POST /runs with `activity: evaluate`. `Location` names the run."""
    wanted = RunRequest(activity="evaluate", **body.model_dump())
    return await begin_run(wanted, request, context, caller, key)


@router.post("/checks", status_code=202, responses={**answers(409, 413, 415), 202: {"model": CheckBegun}})
async def begin_check(
    body: CheckBody, request: Request, context: Ctx, caller: Runner, key: IdempotencyKey = None
) -> CheckBegun:
    """Begin a check as a job. `Location` names it."""
    from promptprop.bootstrap.baselines import allowed_aspects
    from promptprop.bootstrap.checks import CheckRequest, gate_settings
    from promptprop.services.again import Call

    async def begin() -> JSONResponse:
        service = context.service
        loaded = await run_in_threadpool(service.load, body.config, body.yaml, body.dataset)
        asked = CheckRequest(
            settings=gate_settings(loaded, body.max_replicates),
            baseline=body.baseline,
            split=body.split,
            cache=body.cache,
            allowed=allowed_aspects(body.allow_diff),
            anew=body.rerun,
            remembered={"call": Call("CONFIG", body.split).as_json()},
            confined=True,
        )
        run, outlook = await service.check(loaded, asked, order_of(caller, body.priority))
        answer = CheckBegun.model_construct(
            **dict(head_now(context, run.id)),
            rows=outlook.rows,
            smallest_drop=outlook.smallest,
            power_at_margin=outlook.power_at_margin,
            most_calls=outlook.most_calls,
        )
        return JSONResponse(answer.model_dump(mode="json"), 202, headers={"Location": f"/api/v1/checks/{run.id}"})

    return await once(request, context, caller, key, body, begin)  # type: ignore[return-value]  # a response as it is


@router.get(
    "/checks/{run}",
    responses={
        **answers(404, 409),
        200: {
            "model": CheckDetail,
            "content": {kind: {"schema": {"type": "string"}} for kind in (MEDIA["md"], MEDIA["junit"])},
        },
    },
)
async def show_check(
    run: RunRef,
    request: Request,
    context: Ctx,
    _caller: Reader,
    form: Annotated[
        CheckForm | None, Query(alias="format", description="json, md or junit; else what Accept asks for.")
    ] = None,
) -> Response:
    """A check with its verdict; as Markdown or JUnit once it is over."""
    wanted = form_of(request, form, MEDIA)
    return await to_thread.run_sync(_check, context, run, wanted, limiter=context.heavy)


def _check(context: Context, reference: str, wanted: CheckForm) -> Response:
    """The answer in this form. Raises NotFound, NotPossible."""
    from promptprop.bootstrap.gate_document import junit_of, markdown_of

    found, headers = _documented(context, reference), {"Vary": "Accept"}
    if wanted == "json":
        document = _shown(found[0]) if found else None
        head = summary_of_head(context.store.find_run_head(reference))
        answer = CheckDetail.model_construct(**dict(head), document=document)
        return JSONResponse(answer.model_dump(mode="json"), headers=headers)
    if found is None:
        raise NotPossible("this check is not over, so that there is no report of it", remedy="wait, or ask for JSON")
    text = markdown_of(*found) if wanted == "md" else junit_of(*found)
    return Response(text, media_type=MEDIA[wanted], headers=headers)


def _documented(context: Context, reference: str) -> tuple[dict[str, Json], list[tuple[str, str]]] | None:
    """The document of a check and what stands beside it; None until it is over. Raises NotFound for other runs."""
    from promptprop.bootstrap.gate_document import document_of, facts_of
    from promptprop.bootstrap.gates import gate_report

    run = context.store.run(reference)
    if run.activity != "check":
        raise NotFound(f"run {run.id[:8]} is no check ({run.activity})", remedy="GET /api/v1/runs/{run} shows it")
    history = context.service.engine.history(run.id)
    if not history.finished or not history.looks:
        return None
    report = gate_report(context.store, run, history)
    return document_of(report), facts_of(report)


def _shown(document: dict[str, Json]) -> dict[str, Json]:
    """The document with at most so many rows of each kind, and how many there are."""
    from promptprop.adapters.logs import redact_value

    counts = {name: len(document[name]) for name in GROUPS}
    kept = {name: document[name][:SHOWN] for name in GROUPS}
    named = {} if document["file"] != NO_FILE else {"file": ""}
    shown: dict[str, Json] = redact_value({**document, **kept, **named, "counts": counts})
    return shown
