"""What the server's keys reach: `/api/models`, and the health of providers."""

from __future__ import annotations

import logging
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from promptprop.adapters.models.listing_sources import key_variable
from promptprop.bootstrap.models_reach import Reach, find_reach
from promptprop.domain.errors import PromptPropError
from promptprop.domain.models import Json
from promptprop.server.auth import Reader
from promptprop.server.context import Context, Ctx
from promptprop.server.frontend.answers import HealthAnswer, ModelsAnswer
from promptprop.server.problems import answers, told

log = logging.getLogger("promptprop.server")
router = APIRouter(tags=["front end"])
LABELS = {
    "gemini": "Google Gemini", "openai": "OpenAI", "anthropic": "Anthropic", "mistral": "Mistral", "groq": "Groq",
    "openrouter": "OpenRouter", "deepseek": "DeepSeek", "xai": "xAI", "cohere": "Cohere", "together_ai": "Together AI",
    "fireworks_ai": "Fireworks AI", "cerebras": "Cerebras",
}  # fmt: skip
BARE = ("gemini", "openai", "anthropic")  # providers whose models the page names without a prefix


@router.get(
    "/api/models",
    response_model=None,
    responses={**answers(), 200: {"model": ModelsAnswer, "description": "Providers whose listing worked."}},
)
async def list_models(
    context: Ctx, _caller: Reader, refresh: Annotated[bool, Query(description="Ask the providers anew.")] = False
) -> JSONResponse:
    """The models that the server's keys reach; a provider that does not answer is left out."""
    reach = await find_reach(context.settings.environment, refresh=refresh)
    return JSONResponse({"providers": providers_json(reach)})


def providers_json(reach: Reach) -> list[dict[str, Json]]:
    """Providers with a key and a listing that worked, those that the page knows first."""
    order = {name: place for place, name in enumerate(BARE)}
    listings = [one for one in reach.listings if one.error is None and one.models]
    found = []
    for listing in sorted(listings, key=lambda one: order.get(one.source.provider, len(order))):
        provider = listing.source.provider
        prefix = listing.source.prefix if provider in BARE else ""
        names = [model.name.removeprefix(prefix) for model in listing.models]
        models: list[Json] = [{"id": name, "name": name.rpartition("/")[2]} for name in names]
        found.append({"provider": provider, "label": LABELS.get(provider, provider), "models": models})
    return found


@router.get(
    "/health-check",
    response_model=None,
    response_model_exclude_none=True,
    responses={**answers(), 200: {"model": HealthAnswer, "description": "How the server is."}},
)
async def health_check(
    context: Ctx, deep: Annotated[bool, Query(description="Ask each provider whether it accepts the key.")] = False
) -> JSONResponse:
    """Whether the server is well; `deep` lists the models of each provider that has a key, which costs nothing."""
    well = await _database_is_well(context)
    if not deep:
        return JSONResponse({"status": "healthy" if well else "degraded"})
    environment = context.settings.environment
    keyed = [name for name in BARE if key_variable(name, environment)]
    reach = await find_reach(environment, refresh=True) if keyed else None
    health = {name: provider_health(name, reach, configured=name in keyed) for name in BARE}
    return JSONResponse({"status": overall(well, health), "providers": health})


def provider_health(name: str, reach: Reach | None, *, configured: bool) -> dict[str, Json]:
    """Whether a provider has a key, and accepts it."""
    if not configured:
        return {"configured": False, "status": "not_configured", "message": "no key is set"}
    listing = next((one for one in reach.listings if one.source.provider == name), None) if reach else None
    if listing is None or listing.error is not None:
        why = listing.error.message if listing is not None and listing.error is not None else "it cannot be asked"
        return {"configured": True, "status": "error", "message": told(why)}
    return {"configured": True, "status": "ok", "message": f"{len(listing.models)} models"}


def overall(well: bool, health: dict[str, dict[str, Json]]) -> str:
    """The whole in a word: degraded where nothing can be run, with warnings where some provider cannot be used."""
    states = [one["status"] for one in health.values()]
    if not well or "ok" not in states:
        return "degraded"
    return "healthy" if all(state == "ok" for state in states) else "healthy (with warnings)"


async def _database_is_well(context: Context) -> bool:
    try:
        await run_in_threadpool(context.store.run_counts)
    except PromptPropError as error:
        log.warning("the database cannot be read: %s", error.message)
        return False
    return True
