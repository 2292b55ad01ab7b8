"""What people decide about a run while it goes on: notes, corrected scores, larger caps, and rulings on rewrites."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Path, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from promptprop.domain.events import CapRaised, ErrorsRetried, Event, NoteLeft, RewriteReviewed, ScoreOverridden
from promptprop.domain.models import Json, storable
from promptprop.domain.people import LONGEST_NOTE
from promptprop.ports import RunRow, WishRow
from promptprop.server.api.candidates import HypothesisText
from promptprop.server.api.results import start_of
from promptprop.server.api.runs import Caps, Closed
from promptprop.server.api.shapes import Estimate, RunRef
from promptprop.server.api.texts import WordChange
from promptprop.server.auth import Reader, Runner
from promptprop.server.context import Context, Ctx
from promptprop.server.idempotency import IdempotencyKey, once
from promptprop.server.pages import Cursor, Limit, Page, encoded
from promptprop.server.problems import Refused, answers
from promptprop.server.times import Time

router = APIRouter(prefix="/api/v1", tags=["people"])
LARGEST = 2**53
Text = Annotated[str, Field(min_length=1, max_length=LONGEST_NOTE, pattern=r"\S")]
Reason = Annotated[str, Field(max_length=LONGEST_NOTE)]
CandidateName = Annotated[str, Field(min_length=1, max_length=100)]
StepName = Annotated[str, Field(min_length=1, max_length=200)]
NAMES: dict[type[Event], str] = {
    NoteLeft: "note",
    ScoreOverridden: "override",
    CapRaised: "raise_caps",
    ErrorsRetried: "retry_errors",
}
KINDS = {event.kind: name for event, name in NAMES.items()}  # a ruling goes by its action, an ending by its own name


class Note(Closed):
    """A word that critic and rewriter read from now on."""

    kind: Literal["note"]
    text: Text


class Override(Closed):
    """A score in the place of a measured one. Rows that are sealed for the proof keep theirs."""

    kind: Literal["override"]
    candidate: CandidateName = Field(description="`seed`, `winner`, or the beginning of a candidate's id.")
    row: str = Field(min_length=1, max_length=1000)
    score: float = Field(ge=0, le=1)
    reason: Text


class RaiseCaps(Closed):
    """Larger caps of the budget; those that are not given stay."""

    kind: Literal["raise_caps"]
    caps: Caps


class RetryErrors(Closed):
    """Make calls again that have failed for good."""

    kind: Literal["retry_errors"]


class Approve(Closed):
    """Adopt the rewrite that waits for a word."""

    kind: Literal["approve"]
    candidate: CandidateName | None = Field(None, description="Its id, to be sure; the one that waits unless given.")
    reason: Reason = ""


class Refuse(Closed):
    """Drop the rewrite that waits for a word."""

    kind: Literal["refuse"]
    candidate: CandidateName | None = Field(None, description="Its id, to be sure; the one that waits unless given.")
    reason: Reason = ""


class Edit(Closed):
    """Go on with these texts in the place of the rewrite that waits for a word."""

    kind: Literal["edit"]
    candidate: CandidateName | None = Field(None, description="Its id, to be sure; the one that waits unless given.")
    prompts: dict[StepName, Annotated[str, Field(max_length=200_000)]] = Field(
        min_length=1, max_length=32, description="New texts by step; placeholders stay."
    )
    reason: Reason = ""


Decision = Annotated[
    Note | Override | RaiseCaps | RetryErrors | Approve | Edit | Refuse,
    Body(
        discriminator="kind",
        openapi_examples={
            "note": {"value": {"kind": "note", "text": "Returns belong to billing."}},
            "approve": {"value": {"kind": "approve", "reason": "clear and short"}},
        },
    ),
]


class Intervention(BaseModel):
    """What somebody asked of a run, and what came of it."""

    id: int
    kind: str = Field(description="As it was asked: note, override, …; paused and cancelled are endings.")
    body: dict[str, Json] = Field(description="As the run's events tell it.")
    author: str = Field(description="Id of a token; empty for a program on the server's machine.")
    at: Time
    state: Literal["waiting", "taken", "refused"]
    settled_at: Time | None
    refused: str | None = Field(description="Why it was refused.")


class ReviewedCandidate(BaseModel):
    """A prompt of a review."""

    id: str
    hypothesis: HypothesisText
    length: int
    prompts: dict[str, str] = Field(description="Texts by step.")


class ReviewedCritique(BaseModel):
    """What a critic made of failures."""

    step: str
    cause: str
    fix: str


class Review(BaseModel):
    """A rewrite that waits for a person's word. Differences are those to its parent."""

    round: int
    candidate: ReviewedCandidate
    parent: ReviewedCandidate
    critiques: list[ReviewedCritique]
    screened: Estimate | None
    raced: Estimate | None
    calls: int = Field(description="What the run has spent so far.")
    changes: dict[str, list[WordChange] | None] = Field(
        description="What the rewrite changes, by step and word; null where a text is too long to compare."
    )


@router.post(
    "/runs/{run}/interventions",
    status_code=202,
    responses={**answers(404, 409, 413, 415), 202: {"model": Intervention}},
)
async def intervene(
    run: RunRef, body: Decision, request: Request, context: Ctx, caller: Runner, key: IdempotencyKey = None
) -> Intervention:
    """Leave for a run what you decide: it takes it within a second, between two decisions, or when it is resumed."""

    async def leave() -> JSONResponse:
        found = await run_in_threadpool(context.store.run, run)
        event = await run_in_threadpool(event_for, context, found, body)
        [wish] = await context.service.intervene(found.id, [event], caller.id)
        answer = intervention_of(WishRow(wish)).model_dump(mode="json")
        location = f"/api/v1/runs/{found.id}/interventions/{wish.id}"
        return JSONResponse(answer, 202, headers={"Location": location})

    return await once(request, context, caller, key, body, leave)  # type: ignore[return-value]  # a response as it is


@router.get("/runs/{run}/interventions", responses=answers(404, 409))
def list_interventions(
    run: RunRef, context: Ctx, _caller: Reader, limit: Limit = 100, cursor: Cursor = None
) -> Page[Intervention]:
    """What people asked of a run, oldest first: what waits, was taken, or was refused and why."""
    found = context.store.wish_rows(context.store.find_run_head(run).id, start_of(cursor, 0), limit + 1)
    items = [intervention_of(one) for one in found[:limit]]
    return Page(items=items, next_cursor=encoded(items[-1].id) if len(found) > limit else None)


@router.get("/runs/{run}/interventions/{intervention}", responses=answers(404, 409))
def show_intervention(
    run: RunRef,
    intervention: Annotated[int, Path(ge=1, le=LARGEST, description="Its id.")],
    context: Ctx,
    _caller: Reader,
) -> Intervention:
    """What came of one intervention."""
    found = context.store.wish_row(context.store.find_run_head(run).id, intervention)
    if found is None:
        raise Refused(404, "not_found", "nobody asked that of this run")
    return intervention_of(found)


@router.get("/runs/{run}/review", responses=answers(404, 409))
def show_review(run: RunRef, context: Ctx, _caller: Reader) -> Review:
    """The rewrite that waits for a person's word; 404 with the code `no_review` where none does."""
    from promptprop.bootstrap.prompt_diff import changed_words

    waiting = context.store.pending_review(context.store.find_run_head(run).id)
    if waiting is None:
        raise Refused(404, "no_review", "no rewrite of this run waits for a word")
    old, new = waiting["parent"]["prompts"], waiting["candidate"]["prompts"]
    changes: dict[str, Any] = {step: changed_words(old.get(step, ""), text) for step, text in new.items()}
    told = {step: words and [{"kind": kind, "text": text} for kind, text in words] for step, words in changes.items()}
    return Review.model_validate({**waiting, "changes": told})


def event_for(
    context: Context, run: RunRow, body: Note | Override | RaiseCaps | RetryErrors | Approve | Edit | Refuse
) -> Event:
    """The event that a decision asks for. Raises NotFound, and Refused where no such rewrite waits."""
    if isinstance(body, Note):
        return NoteLeft(storable(body.text))
    if isinstance(body, Override):
        from promptprop.bootstrap.results import candidate_of, example_of

        candidate = candidate_of(context.store, run, body.candidate).candidate.id
        return ScoreOverridden(
            candidate, example_of(context.store, run, body.row).id, body.score, storable(body.reason)
        )
    if isinstance(body, RaiseCaps):
        return CapRaised(body.caps.given())
    if isinstance(body, RetryErrors):
        return ErrorsRetried()
    waiting = context.store.pending_review(run.id)
    name = str(waiting["candidate"]["id"]) if waiting else ""
    if not waiting or not name.startswith(body.candidate or name):
        raise Refused(409, "no_review", "no such rewrite of this run waits for a word")
    prompts = {step: storable(text) for step, text in body.prompts.items()} if isinstance(body, Edit) else {}
    if unknown := sorted(set(prompts) - set(waiting["candidate"]["prompts"])):
        raise Refused(422, "invalid", f"the program has no step {unknown[0]!r}")
    return RewriteReviewed(name, body.kind, prompts, storable(body.reason))


def intervention_of(row: WishRow) -> Intervention:
    """An intervention as the API tells of it."""
    wish = row.wish
    ruled = str(wish.body.get("action")) if wish.kind == RewriteReviewed.kind else wish.kind
    state: Literal["waiting", "taken", "refused"] = "waiting" if row.taken_at is None else "taken"
    return Intervention(
        id=wish.id,
        kind=KINDS.get(wish.kind, ruled),
        body=dict(wish.body),
        author=wish.author,
        at=wish.at,
        state="refused" if row.refused is not None else state,
        settled_at=row.taken_at,
        refused=row.refused,
    )
