"""The candidates of a run: their texts, how they came about, what was learned of them, and what differs in them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from promptprop.bootstrap.results import candidate_detail, candidate_list, candidate_of
from promptprop.domain.models import Json
from promptprop.server.api.results import start_of
from promptprop.server.api.shapes import Estimate, RunRef
from promptprop.server.api.texts import (
    EXPORTED,
    DemoText,
    Difference,
    ExportFormat,
    StepText,
    difference_of,
    exported,
)
from promptprop.server.auth import Reader
from promptprop.server.context import Ctx
from promptprop.server.pages import Cursor, Limit, Page, encoded, written
from promptprop.server.problems import answers

router = APIRouter(prefix="/api/v1", tags=["results"])
WHICH = "`seed`, `winner`, or the beginning of a candidate's id."
CandidateRef = Annotated[str, Path(min_length=1, max_length=100, description=WHICH)]
Which = Annotated[str, Query(min_length=1, max_length=100, description=WHICH)]
CANDIDATE: dict[str, Any] = {
    "id": "9c2f4a6b8d0e1f23",
    "round": 2,
    "parents": ["17ab9d2e4f6a8c01"],
    "hypothesis": {"kind": "rule", "text": "Say what belongs to which desk."},
    "summary": "name the desks",
    "length": 412,
    "state": "promoted",
    "is_seed": False,
    "is_best": True,
    "is_winner": True,
    "screened": {"mean": 0.2, "low": 0.05, "high": 0.35, "n": 12},
    "raced": {"mean": 0.18, "low": 0.08, "high": 0.28, "n": 40},
    "confirmed": None,
    "scores": {"select": {"mean": 0.84, "low": 0.76, "high": 0.92, "n": 80}},
    "metrics": {"select": {"label": 0.84}},
    "missing": {"select": 0},
}


class HypothesisText(BaseModel):
    """Why a rewrite should be better."""

    kind: str
    text: str


class CandidateHead(BaseModel):
    """What a run has learned about a candidate. Differences are those to its parent."""

    id: str = Field(description="Of its contents: equal texts have equal ids.")
    round: int = Field(description="0 for what the search began with.")
    parents: list[str]
    hypothesis: HypothesisText
    summary: str
    length: int = Field(description="In characters.")
    state: Literal["seed", "proposed", "refused", "archived", "promoted"]
    is_seed: bool
    is_best: bool
    is_winner: bool = Field(description="Whether it was held against the seed on the sealed rows.")
    screened: Estimate | None
    raced: Estimate | None
    confirmed: Estimate | None
    scores: dict[str, Estimate | None] = Field(description="By split.")
    metrics: dict[str, dict[str, float]] = Field(description="Means by split and metric.")
    missing: dict[str, int] = Field(description="Rows without a score, by split.")

    model_config = {"json_schema_extra": {"examples": [CANDIDATE]}}


class CritiqueText(BaseModel):
    """What a critic made of failures that share a cause."""

    step: str
    cause: str
    fix: str
    rows: list[str]


class CandidateDetail(CandidateHead):
    """A candidate with its texts."""

    text: str = Field(description="All of it as one text.")
    steps: list[StepText]
    demos: list[DemoText]
    critiques: list[CritiqueText] = Field(description="Those that led to it.")
    answers: int = Field(description="How many answers it gave.")
    usd: str | None = Field(description="What they cost; null where no price is known.")


@router.get("/runs/{run}/candidates", responses=answers(404, 409))
def list_candidates(
    run: RunRef, context: Ctx, _caller: Reader, limit: Limit = 100, cursor: Cursor = None
) -> Page[CandidateHead]:
    """The candidates of a run in the order in which they were made."""
    after = start_of(cursor, 0)
    found: list[dict[str, Json]] = candidate_list(context.store, context.store.run(run))
    items = [CandidateHead.model_validate(one) for one in found[after : after + limit]]
    return written(Page(items=items, next_cursor=encoded(after + limit) if len(found) > after + limit else None))


@router.get("/runs/{run}/candidates/{candidate}", responses=answers(404, 409))
def show_candidate(run: RunRef, candidate: CandidateRef, context: Ctx, _caller: Reader) -> CandidateDetail:
    """A candidate with its texts by step, demos, and the critiques that led to it."""
    return CandidateDetail.model_validate(candidate_detail(context.store, context.store.run(run), candidate))


@router.get("/runs/{run}/diff", responses=answers(404, 409))
def compare_candidates(
    run: RunRef,
    context: Ctx,
    _caller: Reader,
    before: Annotated[Which, Query(alias="from")] = "seed",
    after: Annotated[Which, Query(alias="to")] = "winner",
) -> Difference:
    """What differs between two candidates of a run, by lines and by words."""
    found = context.store.run(run)
    one, other = (candidate_of(context.store, found, which) for which in (before, after))
    return difference_of(one.candidate, other.candidate, one.label, other.label)


@router.get("/runs/{run}/export", responses={**answers(404, 409), **EXPORTED})
def export_candidate(
    run: RunRef,
    context: Ctx,
    _caller: Reader,
    form: Annotated[ExportFormat, Query(alias="format", description="Which kind of file.")] = "json",
    candidate: Which = "winner",
) -> Response:
    """A candidate of a run as a file for others to use."""
    named = candidate_of(context.store, context.store.run(run), candidate)
    return exported(named.candidate, named.program, form, named.label.replace(":", "-"))
