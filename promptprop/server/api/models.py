"""The models that a server lends: its own, those that its keys reach, and whether one answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from promptprop.domain.errors import PromptPropError
from promptprop.domain.models import Json
from promptprop.server.api.runs import Closed
from promptprop.server.auth import Reader, Runner
from promptprop.server.context import Context, Ctx
from promptprop.server.problems import answers, problem_items, told

if TYPE_CHECKING:
    from promptprop.bootstrap.models_reach import Reach

router = APIRouter(prefix="/api/v1", tags=["models"])
MOST = 2_000  # models of one provider in an answer
PING_SECONDS = 20.0  # for each call


class LentModel(BaseModel):
    """A model of the server's own: it plays this role where a request names none."""

    role: str
    model: str


class ModelItem(BaseModel):
    """A model as a configuration names it."""

    name: str
    context: int | None = Field(description="Tokens that it reads; null where the provider does not say.")
    prompt_usd_per_million: str | None
    completion_usd_per_million: str | None


class ModelTrouble(BaseModel):
    """What went wrong with a provider or a call."""

    code: str
    message: str
    remedy: str | None


class ProviderModels(BaseModel):
    """The models of one provider."""

    provider: str
    age_seconds: int = Field(description="How long ago the provider said so.")
    count: int = Field(description="How many there are, those beyond 2,000 among them.")
    models: list[ModelItem]
    error: ModelTrouble | None = Field(description="Why there are none.")


class KeyedProvider(BaseModel):
    """A provider with a key that has no listing to ask."""

    provider: str
    key_variable: str


class Models(BaseModel):
    """What the server's keys reach."""

    lent: list[LentModel]
    providers: list[ProviderModels]
    unlisted: list[KeyedProvider]
    without_key: dict[str, str] = Field(description="The variable that would open each provider without a key.")


class PingRequest(Closed):
    """A model to be tried."""

    model: str = Field(min_length=1, max_length=200, description="As a configuration names it.")
    api_base: str | None = Field(None, min_length=1, max_length=500, description="One that the server lists.")

    model_config = ConfigDict(json_schema_extra={"examples": [{"model": "openai/gpt-5-mini"}]})


class PingResult(BaseModel):
    """What became of trying a model."""

    model: str
    ok: bool
    simulated: bool = Field(description="True for a simulated one, which is not called.")
    client: str
    answered_as: str = Field(description="The name that the provider gave.")
    latency_seconds: float | None
    calls: int
    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    usd: str | None = Field(description="What it cost; null where the price is not known.")
    prompt_usd_per_million: str | None
    completion_usd_per_million: str | None
    structured_output: Literal["json_schema", "json_object", "none", "unknown"] | None
    structured_error: ModelTrouble | None
    dimensions: int | None = Field(description="Of an embedding.")
    error: ModelTrouble | None


@router.get("/models", responses=answers())
async def list_models(
    context: Ctx,
    _caller: Reader,
    provider: Annotated[str | None, Query(min_length=1, max_length=100, description="Only this one.")] = None,
    refresh: Annotated[bool, Query(description="Ask the providers anew, at most every ten seconds.")] = False,
) -> Models:
    """The models that the server lends, and those that the keys of its environment reach."""
    reach = await context.reach.find(refresh=refresh)
    return await run_in_threadpool(models_of, context, reach, provider)


def models_of(context: Context, reach: Reach, provider: str | None) -> Models:
    """What is reached, as the API tells it: prices are looked up, addresses stay untold."""
    from promptprop.bootstrap.models_reach import reach_json

    document: Any = reach_json(reach, trouble_of, MOST)
    wanted = {provider} if provider else None
    lent = context.settings.serve.models.lent
    return Models(
        lent=[LentModel(role=role, model=model.model) for role, model in lent.items()],
        providers=[one for one in document["providers"] if wanted is None or one["provider"] in wanted],
        unlisted=[one for one in document["unlisted"] if wanted is None or one["provider"] in wanted],
        without_key={name: key for name, key in document["without_key"].items() if wanted is None or name in wanted},
    )


def trouble_of(error: PromptPropError) -> Json:
    """An error as an answer holds it."""
    items = problem_items(error)
    if items:
        return {"code": error.code, "message": items[0].message, "remedy": items[0].remedy}
    return {"code": error.code, "message": told(error.message), "remedy": told(error.remedy) or None}


@router.post("/models/ping", responses=answers(413, 415))
async def ping_model(body: PingRequest, context: Ctx, _caller: Runner) -> PingResult:
    """Try a model: one small call, and one or two that ask for structured output. They cost what they cost.

    A model that fails is no failed request: `ok` is false, and `error` says why.
    """
    from promptprop.bootstrap.models_ping import ping_json, ping_lent

    async with context.pings:
        found = await ping_lent(
            body.model, body.api_base, context.settings.serve, context.settings.environment, PING_SECONDS
        )
    return PingResult(**ping_json(found, trouble_of))
