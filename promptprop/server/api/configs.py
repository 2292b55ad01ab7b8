"""Configurations before they are run: what is wrong with one, what it will take, and what one may say."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from anyio import to_thread
from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from promptprop.domain.errors import InputError, ModelError, UsageError
from promptprop.domain.models import Json
from promptprop.server.api.runs import CONFIG_EXAMPLE, ConfigSource
from promptprop.server.auth import Reader, Runner
from promptprop.server.context import Context, Ctx
from promptprop.server.problems import ProblemItem, answers, problem_items, told

if TYPE_CHECKING:
    from promptprop.adapters.files.config import LoadedConfig

router = APIRouter(prefix="/api/v1", tags=["configs"])


class ConfigRequest(ConfigSource):
    """A configuration, and what it is for."""

    activity: Literal["optimize", "evaluate"] = "optimize"
    dataset: str | None = Field(
        None, max_length=100, description="Id of a stored dataset, in place of the configuration's `data.file`."
    )

    model_config = ConfigDict(json_schema_extra={"examples": [{"config": CONFIG_EXAMPLE}]})


class PlanRequest(ConfigRequest):
    """A configuration whose run is to be planned."""

    split: Literal["all", "train", "select", "test"] = Field("all", description="Rows of an evaluation.")
    repeats: int = Field(1, ge=1, le=100, description="Answers to each row of an evaluation.")
    rows: list[str] = Field([], max_length=10_000, description="Ids of the only rows of an evaluation.")


class Validity(BaseModel):
    """Whether a run could begin with a configuration."""

    valid: bool
    problems: list[ProblemItem] = Field(description="Everything that is wrong; empty where the configuration is valid.")
    name: str | None = Field(None, description="Of the run; null where the configuration cannot be read.")
    rows: dict[str, int] = Field({}, description="Rows by split.")
    prompts: int = 0
    metrics: int = 0


class PlannedAmount(BaseModel):
    """What a part of a run takes."""

    calls: int
    tokens: int
    usd: str | None = Field(description="Null where a price is not known.")


class PlannedRange(BaseModel):
    """The least, the usual and the largest amount."""

    low: PlannedAmount
    likely: PlannedAmount
    max: PlannedAmount


class PlannedBudget(BaseModel):
    """The caps in force; null is no cap."""

    calls: int | None = None
    tokens: int | None = None
    usd: str | None = None
    seconds: float | None = None


class PlanDocument(BaseModel):
    """What a run will take, as `promptprop plan --json` tells it."""

    name: str
    simulated: bool
    rows: dict[str, int] = Field(description="Rows by what they are for.")
    budget: PlannedBudget
    priced: bool
    finish: PlannedRange = Field(description="Held back for the confirmation and the sealed test.")
    round: PlannedRange
    total: PlannedRange
    rounds_affordable: int | None
    smallest_detectable_gain: float | None = Field(description="That the sealed rows can prove.")


@router.post("/configs/validate", responses=answers(413, 415))
async def validate_config(body: ConfigRequest, context: Ctx, _caller: Runner) -> Validity:
    """Everything that is wrong with a configuration, its prompts and its data, at once. Free; stores nothing."""
    return await to_thread.run_sync(validity_of, context, body, limiter=context.heavy)


def validity_of(context: Context, body: ConfigRequest) -> Validity:
    """Whether a run could begin. Raises UsageError for a request that gives no configuration, or two."""
    from promptprop.bootstrap.inspection import inspect_inputs
    from promptprop.bootstrap.models import require_answerable
    from promptprop.bootstrap.preparation import require_capped, require_rewriter

    service = context.service
    problems: list[ProblemItem] = []
    try:
        loaded = service.load(body.config, body.yaml, body.dataset)
    except InputError as error:
        return Validity(valid=False, problems=problem_items(error))
    config = loaded.config
    rows: dict[str, int] = {}
    prompts = 0
    try:
        rows, prompts = inspect_inputs(loaded, context.store, service.lender.serve.limits.rows)
    except InputError as error:
        problems += problem_items(error)
    try:
        if body.activity == "optimize":
            require_rewriter(config)
            require_capped(config)
        require_answerable(config, loaded.environment, body.activity, keys=service.lender.has_workers)
    except InputError as error:
        problems += problem_items(error)
    except (ModelError, UsageError) as error:
        problems.append(ProblemItem(message=told(error.message), remedy=told(error.remedy) or None))
    return Validity(
        valid=not problems,
        problems=problems,
        name=config.name,
        rows=rows,
        prompts=prompts,
        metrics=len(config.metrics),
    )


@router.post("/configs/plan", responses=answers(413, 415))
async def plan_config(body: PlanRequest, context: Ctx, _caller: Runner) -> PlanDocument:
    """What a run will take, before it spends anything: calls, tokens, money, rounds. Free; stores nothing."""
    return await to_thread.run_sync(plan_of, context, body, limiter=context.heavy)


def plan_of(context: Context, body: PlanRequest) -> PlanDocument:
    """The plan of a request's configuration."""
    from promptprop.bootstrap.inspection import plan_apart, plan_in
    from promptprop.bootstrap.models import all_simulated

    service, most = context.service, context.service.lender.serve.limits.rows
    loaded: LoadedConfig = service.load(body.config, body.yaml, body.dataset)
    options: dict[str, Json] = {}
    if body.activity == "evaluate":
        options = {"split": body.split, "repeats": body.repeats, "rows": list(body.rows)}
    if loaded.config.data.dataset:
        made = plan_in(service.store, loaded, body.activity, options, most)
    else:
        made = plan_apart(loaded, body.activity, options, most)
    simulated = all_simulated(loaded.config, loaded.environment)
    return PlanDocument(name=loaded.config.name, simulated=simulated, **made.as_json())


@lru_cache(maxsize=1)
def schema_text() -> bytes:
    """The JSON Schema of configurations, written once."""
    from promptprop.bootstrap.configuration import schema

    return json.dumps(schema(), ensure_ascii=False).encode()


@router.get("/configs/schema", responses={**answers(), 200: {"content": {"application/json": {"schema": {}}}}})
def show_schema(_caller: Reader) -> Response:
    """The JSON Schema of a configuration, for editors and forms."""
    return Response(schema_text(), media_type="application/json")
