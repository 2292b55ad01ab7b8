"""The events of a run: as a stream that can be taken up anywhere, and as pages."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from promptprop.domain.models import Json
from promptprop.server.api.shapes import RunRef
from promptprop.server.auth import Reader
from promptprop.server.context import Ctx
from promptprop.server.feed import event_json
from promptprop.server.pages import Limit, Page, written
from promptprop.server.problems import answers
from promptprop.server.times import Time

router = APIRouter(prefix="/api/v1", tags=["runs"])
MOST = 2**31 - 1
STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
After = Annotated[int, Query(ge=0, le=MOST, description="Only events after this sequence number.")]
STREAM_EXAMPLE = (
    'id: 4\nevent: round_started\ndata: {"seq": 4, "at": "2026-11-30T18:45:12Z", "kind": "round_started", '
    '"body": {"round": 1, "parent_id": "9c2f", "reason": "the best so far"}, "active_seconds": 1.2}\n\n'
    'event: end\ndata: {"status": "finished", "stop_reason": "done"}\n\n'
)


class RunEvent(BaseModel):
    """A fact of a run. `seq` counts from 1 without gaps."""

    seq: int
    at: Time
    kind: str = Field(description="Such as round_started, candidate_raced, winner_tested.")
    body: Json
    active_seconds: float | None


@router.get(
    "/runs/{run}/events",
    response_class=StreamingResponse,
    responses={
        **answers(404, 409),
        200: {
            "description": "Server-sent events: `id` is the sequence number, `event` the kind; `tick` tells of "
            "progress and has no id; `end` is the last one.",
            "content": {"text/event-stream": {"example": STREAM_EXAMPLE}},
        },
    },
)
async def follow_run(
    run: RunRef,
    context: Ctx,
    _caller: Reader,
    after: After = 0,
    last_event_id: Annotated[
        int | None, Header(alias="Last-Event-ID", ge=0, le=MOST, description="Goes before `after`.")
    ] = None,
) -> StreamingResponse:
    """Follow a run, from its beginning or from an event on, to its end."""
    found = await run_in_threadpool(context.store.find_run_head, run)
    start = after if last_event_id is None else last_event_id
    return StreamingResponse(
        context.feeds.follow(found.id, start), media_type="text/event-stream", headers=STREAM_HEADERS
    )


@router.get("/runs/{run}/history", responses=answers(404, 409))
def list_events(run: RunRef, context: Ctx, _caller: Reader, limit: Limit = 100, after: After = 0) -> Page[RunEvent]:
    """The events of a run in pages; `next_cursor` is what `after` takes."""
    found = context.store.event_page(context.store.find_run_head(run).id, after, limit + 1)
    items = [RunEvent.model_validate(event_json(one)) for one in found[:limit]]
    return written(Page(items=items, next_cursor=str(items[-1].seq) if len(found) > limit else None))
