"""What a run found, as a report, and which of two prompts is better by what is on record."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from promptprop.domain.models import Json
from promptprop.server.api.shapes import Estimate, RunRef, report_document
from promptprop.server.auth import Reader
from promptprop.server.context import Context, Ctx
from promptprop.server.formats import form_of
from promptprop.server.problems import answers

router = APIRouter(prefix="/api/v1", tags=["results"])
SHOWN = 200  # rows of each kind that a comparison shows: the worst and the best
MEDIA: dict[Literal["json", "md"], str] = {"json": "application/json", "md": "text/markdown"}
VARY = {"Vary": "Accept"}
REPORT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The document of `promptprop report --json`, or a page of Markdown.",
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "text/markdown": {"schema": {"type": "string"}},
        },
    }
}
Format = Annotated[
    Literal["json", "md"] | None, Query(alias="format", description="json or md; else what Accept asks for.")
]
Reference = Annotated[
    str,
    Query(min_length=1, max_length=400, description="NAME@VERSION, RUN:seed, RUN:winner, RUN:CANDIDATE or a run."),
]


class Interval(BaseModel):
    """A mean difference with its one-sided bounds."""

    mean: float
    lower: float
    upper: float


class MeasuredBoth(BaseModel):
    """A metric of both prompts, and what the rows tell of it."""

    verdict: Literal["better", "worse", "open"] = Field(description="Of the second prompt; open: the rows do not tell.")
    before: Estimate | None
    after: Estimate | None
    delta: Interval | None = Field(description="Null where no row has a value on both sides.")


class ComparedSide(BaseModel):
    """A prompt of a comparison, with the run whose evaluations stand for it."""

    label: str
    candidate: str
    prompt: str
    run_id: str
    activity: str
    models: dict[str, str]
    usd_per_1000_rows: str | None
    latency_seconds: float | None
    tokens_per_row: float | None


class RowFlip(BaseModel):
    """A row whose score differs."""

    row: str
    before: float
    after: float
    delta: float
    inputs: dict[str, Json]
    expected: Json
    baseline_answer: str
    candidate_answer: str
    said: str = Field(description="What the metrics say of the second prompt's answer.")


class Comparison(BaseModel):
    """Which of two prompts is better, by answers on record. No model is asked."""

    verdict: Literal["better", "worse", "open"]
    sentence: str
    before: ComparedSide
    after: ComparedSide
    split: str = Field(description="Rows that were compared: test where a search was made.")
    flattered: bool = Field(description="Whether a search saw the rows: what it chose looks better than it is.")
    differences: list[str] = Field(description="What else differs, such as models.")
    rows: int
    answers: int = Field(description="That are compared of each row.")
    missing: int
    only_before: int
    only_after: int
    changed: int = Field(description="Rows left out because their contents differ.")
    metrics: dict[str, MeasuredBoth]
    worse_rows: int
    better_rows: int
    worse: list[RowFlip] = Field(description=f"The worst first, {SHOWN} at most.")
    better: list[RowFlip] = Field(description=f"The best first, {SHOWN} at most.")
    diff: list[str]
    simulated: bool


@router.get("/runs/{run}/report", responses={**answers(404, 409), **REPORT})
def show_report(run: RunRef, request: Request, context: Ctx, _caller: Reader, form: Format = None) -> Response:
    """What a run found as of now, as JSON or as Markdown for a pull request."""
    from promptprop.adapters.files.report_markdown import render_markdown
    from promptprop.adapters.plain import safe

    report = context.service.engine.report(context.store.find_run_head(run).id)
    if form_of(request, form, MEDIA) == "md":
        return Response(safe(render_markdown(report)), media_type=MEDIA["md"], headers=VARY)
    return JSONResponse(report_document(report), headers=VARY)


@router.get("/compare", responses=answers(404, 409))
async def compare(
    context: Ctx,
    _caller: Reader,
    before: Annotated[Reference, Query(alias="a")],
    after: Annotated[Reference, Query(alias="b")],
    split: Annotated[
        Literal["all", "train", "select", "test"] | None, Query(description="Rows; test where a search was made.")
    ] = None,
) -> Comparison:
    """Whether prompt `b` is better than prompt `a`, by the rows that both have answered."""
    return await to_thread.run_sync(_comparison, context, before, after, split, limiter=context.heavy)


def _comparison(context: Context, before: str, after: str, split: str | None) -> Comparison:
    from promptprop.adapters.logs import redact_value
    from promptprop.bootstrap.comparing import Side, comparison_of
    from promptprop.bootstrap.comparison_document import comparison_json
    from promptprop.server.api.prompts import named

    one, other = (Side(it.label, it.candidate, it.run) for it in (named(context, before), named(context, after)))
    document = comparison_json(comparison_of(context.store, one, other, split))
    counts = {f"{name}_rows": len(document[name]) for name in ("worse", "better")}
    shown = redact_value({**document, "worse": document["worse"][:SHOWN], "better": document["better"][:SHOWN]})
    for side in ("before", "after"):  # prompts are used as they are
        shown[side]["prompt"] = document[side]["prompt"]
    return Comparison.model_validate({**shown, **counts})
