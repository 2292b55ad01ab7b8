"""What a run measured: its evaluations, one row with all answers to it, and scores of rows by candidates."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from promptprop.bootstrap.results import Filter, evaluation_page, matrix_page, row_detail
from promptprop.domain.models import Json
from promptprop.server.api.runs import Closed
from promptprop.server.api.shapes import RunRef
from promptprop.server.api.texts import MessageText
from promptprop.server.auth import Reader
from promptprop.server.context import Ctx
from promptprop.server.pages import MOST, Page, decoded, encoded
from promptprop.server.problems import answers

router = APIRouter(prefix="/api/v1", tags=["results"])
LARGEST = 2**53
SplitName = Literal["train", "select", "test"]
Score = Annotated[float | None, Field(ge=0, le=1)]
RowRef = Annotated[str, Path(min_length=1, max_length=1000, description="A row's id.")]
CursorText = Annotated[str | None, Field(max_length=400, description="`next_cursor` of the page before.")]
EVALUATION: dict[str, Any] = {
    "id": 17,
    "candidate": "9c2f4a6b8d0e1f23",
    "row": "r-0042",
    "replicate": 0,
    "output": "billing",
    "score": 1.0,
    "measured": 1.0,
    "metrics": {"label": {"score": 1.0, "feedback": ""}},
    "trace": [{"step": "main", "output": "billing"}],
    "tokens": 91,
    "usd": "0.000012",
    "latency_seconds": 0.41,
    "error": None,
}


class Verdict(BaseModel):
    """What one metric, juror or feature says of an answer; its name is METRIC, METRIC/JUROR or METRIC/JUROR/FEATURE."""

    score: Score = Field(description="Null where it could not judge.")
    feedback: str = Field(description="Its reason, in words.")


class StepOutput(BaseModel):
    """What a step of the program wrote."""

    step: str
    output: str


class AnswerError(BaseModel):
    """Why there is no answer."""

    code: str
    message: str


class AnswerDetail(BaseModel):
    """An answer with what was made of it."""

    candidate: str
    row: str
    replicate: int = Field(description="Which of several independent answers, from 0.")
    output: str
    score: Score = Field(description="Null where it is missing; a person's, where somebody corrected it.")
    measured: Score = Field(description="The score as it was measured.")
    metrics: dict[str, Verdict]
    trace: list[StepOutput] = Field(description="What each step wrote.")
    tokens: int
    usd: str | None = Field(description="What the answer costs; null where no price is known.")
    latency_seconds: float
    error: AnswerError | None


class EvaluationItem(AnswerDetail):
    """An evaluation of a run. A cell that was retried shows only its newest answer."""

    id: int

    model_config = {"json_schema_extra": {"examples": [EVALUATION]}}


class EvaluationFilter(Closed):
    """Which evaluations a list shows."""

    candidate: str | None = Field(
        None, min_length=1, max_length=100, description="`seed`, `winner`, or the beginning of a candidate's id."
    )
    row: str | None = Field(None, min_length=1, max_length=1000, description="A row's id.")
    split: SplitName | None = Field(None, description="Only rows of this split.")
    only_missing: bool = Field(False, description="Only those without a score.")
    limit: int = Field(100, ge=1, le=MOST, description="Items at most.")
    cursor: CursorText = None


class AskedStep(BaseModel):
    """What a model was sent at a step."""

    step: str
    messages: list[MessageText]


class CandidateAnswers(BaseModel):
    """A candidate's answers to a row."""

    candidate: str
    asked: list[AskedStep] = Field(description="Later steps as after the first answer.")
    answers: list[AnswerDetail]


class RowCritique(BaseModel):
    """What a critic made of failures, this row among them."""

    candidate: str = Field(description="The candidate that it led to.")
    step: str
    cause: str
    fix: str
    rows: list[str] = Field(description="The rows that it is about.")


class RowDetail(Page[CandidateAnswers]):
    """A row, and a page of the candidates that answered it. A page may be short: go on while there is a cursor."""

    row: str
    inputs: dict[str, Json]
    expected: Json
    soft_negatives: list[Json]
    hard_negatives: list[Json]
    tags: list[str]
    cluster: str | None
    weight: float
    split: SplitName | None
    critiques: list[RowCritique]


class MatrixRow(BaseModel):
    """A row's mean scores, in the order of the candidates; null without answers, and where all are missing."""

    row: str
    split: SplitName | None
    scores: list[Score]
    answers: list[int] = Field(description="How many answers there are, missing ones among them.")


class Matrix(BaseModel):
    """Scores of rows by candidates, in file order."""

    candidates: list[str]
    rows: list[MatrixRow]
    next_cursor: str | None = Field(None, description="Pass it as `cursor` to get the next rows.")


class MatrixFilter(Closed):
    """Which rows a matrix shows."""

    split: SplitName | None = Field(None, description="Only rows of this split.")
    limit: int = Field(200, ge=1, le=MOST, description="Rows at most.")
    cursor: CursorText = None


class RowPage(Closed):
    """Which candidates' answers to a row are shown."""

    limit: int = Field(20, ge=1, le=100, description="Candidates at most.")
    cursor: CursorText = None


def start_of(cursor: str | None, first: int) -> int:
    """The number that a cursor holds; `first` without one. Raises Refused."""
    position = decoded(cursor, int)
    return max(first, min(position[0], LARGEST)) if position else first


@router.get("/runs/{run}/evaluations", responses=answers(404, 409))
def list_evaluations(
    run: RunRef, context: Ctx, _caller: Reader, wanted: Annotated[EvaluationFilter, Query()]
) -> Page[EvaluationItem]:
    """Evaluations of a run in the order they were stored. A page may be short: go on while there is a cursor."""
    asked = Filter(wanted.candidate, wanted.row, wanted.split, wanted.only_missing)
    after = start_of(wanted.cursor, 0)
    found, last = evaluation_page(context.store, context.store.run(run), asked, after, wanted.limit)
    items = [EvaluationItem.model_validate(one) for one in found]
    return Page(items=items, next_cursor=None if last is None else encoded(last))


@router.get("/runs/{run}/rows/{row:path}", responses=answers(404, 409))
def show_row(run: RunRef, row: RowRef, context: Ctx, _caller: Reader, wanted: Annotated[RowPage, Query()]) -> RowDetail:
    """A row with what every candidate was asked and answered, traces, jurors' reasons and critiques among it."""
    after = start_of(wanted.cursor, 0)
    found, last = row_detail(context.store, context.store.run(run), row, after, wanted.limit)
    return RowDetail.model_validate({**found, "next_cursor": None if last is None else encoded(last)})


@router.get("/runs/{run}/matrix", responses=answers(404, 409))
def show_matrix(run: RunRef, context: Ctx, _caller: Reader, wanted: Annotated[MatrixFilter, Query()]) -> Matrix:
    """Mean scores of rows by candidates, for a heat map. Rows that nobody answered are left out."""
    after = start_of(wanted.cursor, -1)
    found, last = matrix_page(context.store, context.store.run(run), wanted.split, after, wanted.limit)
    return Matrix.model_validate({**found, "next_cursor": None if last is None else encoded(last)})
