"""The earlier API that scripts use: one answer, one vote, one refinement, and figures over scores."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from promptprop.bootstrap import single_calls
from promptprop.server.auth import Reader, Runner
from promptprop.server.context import Ctx
from promptprop.server.frontend.answers import InferenceAnswer, JuryAnswer, MetricsAnswer, RefinementAnswer
from promptprop.server.frontend.rows import points, summary_metrics
from promptprop.server.frontend.shapes import InferenceBody, JuryBody, MetricsBody, RefineBody, page_model
from promptprop.server.problems import answers

router = APIRouter(tags=["front end"])


@router.post(
    "/api/inference",
    response_model=None,
    responses={**answers(409, 413, 415, 502), 200: {"model": InferenceAnswer, "description": "The model's answer."}},
)
async def infer(body: InferenceBody, context: Ctx, _caller: Runner) -> JSONResponse:
    """Run a prompt on one input."""
    model = page_model(body.model, body.settings, body.provider)
    store, lender = context.store, context.service.lender
    output = await single_calls.infer(store, lender, model, body.task_description, body.prompt_template, body.query)
    return JSONResponse({"output": output})


@router.post(
    "/api/jury",
    response_model=None,
    responses={**answers(409, 413, 415, 502), 200: {"model": JuryAnswer, "description": "The juror's word."}},
)
async def judge(body: JuryBody, context: Ctx, _caller: Runner) -> JSONResponse:
    """Have one juror score one answer."""
    model = page_model(body.jury_model, body.jury_settings, body.provider)
    score, reasoning = await single_calls.judge(
        context.store, context.service.lender, model, body.task_description, body.row.page_row, body.actual_output
    )
    return JSONResponse({"score": points(score), "reasoning": reasoning})


@router.post(
    "/api/refine",
    response_model=None,
    responses={**answers(409, 413, 415, 502), 200: {"model": RefinementAnswer, "description": "A better prompt."}},
)
async def refine(body: RefineBody, context: Ctx, _caller: Runner) -> JSONResponse:
    """Have the server's rewriter mend a prompt."""
    store, lender = context.store, context.service.lender
    refined = await single_calls.refine(store, lender, body.task_description, body.current_prompt, body.failures)
    return JSONResponse(
        {
            "explanation": refined.explanation,
            "refinedPrompt": refined.prompt.text,
            "deltaReasoning": refined.reasoning,
        }
    )


@router.post(
    "/api/metrics",
    response_model=None,
    responses={**answers(413, 415), 200: {"model": MetricsAnswer, "description": "Figures over the scores."}},
)
async def metrics(body: MetricsBody, _caller: Reader) -> JSONResponse:
    """Figures over the scores of an iteration; nothing is stored, and any experiment will do."""
    return JSONResponse({"metrics": summary_metrics([one.score for one in body.results]), "mlflowRunId": None})
