"""`POST /api/optimize`: a search that is followed on the answer itself, and goes on where nobody follows it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from promptprop.bootstrap.experiment_rows import require_dataset
from promptprop.bootstrap.experiments import (
    EXPERIMENT_ID,
    PageJuror,
    PageSearch,
    create_search,
    put_rows,
    train_rows,
)
from promptprop.bootstrap.page_models import PageModel
from promptprop.bootstrap.service import Order
from promptprop.domain.errors import ConfigError, Problem, PromptPropError
from promptprop.ports import RunRow
from promptprop.ports.experiments import Experiment
from promptprop.server.auth import Caller, Runner
from promptprop.server.context import Context, Ctx
from promptprop.server.frontend.projection import base_prompt, cast_of, page_options
from promptprop.server.frontend.shapes import OptimizeBody
from promptprop.server.frontend.stream import error_frame, search_frames
from promptprop.server.problems import answers

log = logging.getLogger("promptprop.server")
router = APIRouter(tags=["front end"])
HEADERS = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}
EXAMPLE = (
    'event: start\ndata: {"experimentId": "5f0c6a0e7b1f4c625f0c6a0e7b1f4c62", "totalRows": 1, "totalJury": 1, '
    '"maxIterations": 5}\n\nevent: error\ndata: {"stage": "inference", "message": "the key was refused", '
    '"iteration": 1, "rowIndex": 0}\n\n'
)


@router.post(
    "/api/optimize",
    response_class=StreamingResponse,
    responses={
        **answers(413, 415),
        200: {
            "description": "Server-sent events: start, iteration_start, inference_result, jury_result, "
            "iteration_complete, refinement, complete or error.",
            "content": {"text/event-stream": {"example": EXAMPLE}},
        },
    },
)
async def optimize(body: OptimizeBody, context: Ctx, caller: Runner) -> StreamingResponse:
    """Begin a search and follow it. What keeps it from beginning is told by an `error` of the stage setup."""
    frames: AsyncIterator[bytes]
    try:
        run = await begin(body, context, caller)
        rows = [row.id for row in context.store.rows(run.dataset_id) if row.split == "train"]
        frames = search_frames(context, cast_of(run, rows))
    except PromptPropError as error:
        log.info("a search could not begin: %s", error.message)
        frames = _alone(error_frame(error))
    return StreamingResponse(frames, media_type="text/event-stream", headers=HEADERS)


async def _alone(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def begin(body: OptimizeBody, context: Context, caller: Caller) -> RunRow:
    """Store the search and hand it to the workers. Raises whatever keeps it from beginning."""
    lender = context.service.lender
    order = Order(caller.id, caller.max_runs)
    stored = context.store.experiment(body.experiment_id) if body.experiment_id else None
    dataset_id = require_dataset(context.store, body.experiment_id) if body.experiment_id else None
    wanted = wanted_search(body, stored)

    async def create() -> RunRow:
        if dataset_id is None:
            rows = [row.page_row for row in body.dataset]
            own = await put_rows(context.store, rows, lender.serve.limits.rows)
            return await create_search(context.store, lender, wanted, own, owner=caller.id)
        waits = stored is not None and stored.run is None and EXPERIMENT_ID.fullmatch(stored.id)
        run_id = stored.id if stored is not None and waits else None
        learned = await train_rows(context.store, dataset_id)
        return await create_search(context.store, lender, wanted, learned, owner=caller.id, run_id=run_id)

    return await context.service.submit(create, order)


def wanted_search(body: OptimizeBody, stored: Experiment | None) -> PageSearch:
    """What is to be optimized; what a stored experiment knows stands in for what is not given. Raises ConfigError."""
    run = stored.run if stored else None
    known = page_options(run) if run else None
    task = body.task_description if body.task_description is not None or run is None else run.snapshot["config"]["task"]
    prompt = body.base_prompt if (body.base_prompt or "").strip() or run is None else base_prompt(run)
    runner = _model_of(known["runner"]) if known else None
    runner = body.runner_model.page_model if body.runner_model else runner
    jury = tuple(one.juror for one in body.jury_members) or tuple(_jury_of(known))
    given = {
        "taskDescription": task is not None,
        "basePrompt": bool((prompt or "").strip()),
        "dataset": bool(body.dataset) or stored is not None,
        "juryMembers": bool(jury),
        "runnerModel": runner is not None,
    }
    problems = [Problem(f"{name} is missing") for name, there in given.items() if not there]
    if problems or runner is None:
        raise ConfigError(problems)
    return PageSearch(
        task=task or "",
        prompt=prompt or "",
        runner=runner,
        jury=jury,
        rewriter=body.manager_model.page_model if body.manager_model else None,
        iterations=body.max_iterations,
        settled=body.convergence_threshold / 100,
        passing=max(body.pass_threshold / 100, 1e-9),
        perfect=max(body.perfect_score / 100, 1e-9),
    )


def _model_of(known: dict[str, object]) -> PageModel:
    settings = known["settings"]
    assert isinstance(settings, dict)  # noqa: S101 - as it was stored
    return PageModel(
        str(known["model"]),
        str(known["provider"]),
        settings.get("temperature"),
        settings.get("topP"),
        settings.get("topK"),
    )


def _jury_of(known: object) -> Iterator[PageJuror]:
    members = known["jury"] if isinstance(known, dict) else []
    yield from (PageJuror(str(one["name"]), _model_of(one)) for one in members)
