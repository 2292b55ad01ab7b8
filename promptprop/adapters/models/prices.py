"""What models cost, by the price map that LiteLLM bundles, read without importing LiteLLM.

The map is a JSON file of some 4000 models in LiteLLM's package; its keys are found as LiteLLM's own `get_model_info`
and `completion_cost` find them. Reading it takes some 30 ms, once a process.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from promptprop.adapters.models.rates import PER_TOKEN, REQUEST, SEARCH, TIERS, UPLIFT, price_of_entry
from promptprop.domain.budget import Price
from promptprop.domain.models import Json

logger = logging.getLogger("promptprop.models")

FILE = "model_prices_and_context_window_backup.json"
MODES = {"chat", "completion", "responses", "embedding"}
# entries that charge for the way to a model, but not for the model itself
FEES = ("model-router", "model_router")
FAMILIES = ("vertex_ai", "fireworks_ai", "bedrock")  # providers that the map names with a suffix
ANY_PROVIDER = {"litellm_proxy", "github", "nadir"}  # they pass on to whatever provider has the model
AZURE_NAMES = {
    "azure/gpt-41": "openai/gpt-4.1",
    "azure/gpt-41-mini": "openai/gpt-4.1-mini",
    "azure/gpt-41-nano": "openai/gpt-4.1-nano",
}
# providers that LiteLLM infers from a name without one
INFERRED = {
    "aleph_alpha", "anthropic", "baseten", "bedrock", "cohere", "cohere_chat", "gradient_ai", "maritalk", "nlp_cloud",
    "openai", "openrouter", "petals", "replicate", "text-completion-openai", "vertex_ai", "watsonx",
}  # fmt: skip
BEDROCK_ROUTES = ("bedrock", "chat_completions", "converse", "invoke", "openai", "mantle")
BEDROCK_AREAS = ("global", "us", "eu", "apac", "jp", "au", "us-gov")
REGION = re.compile(r"[a-z]{2}(-gov|-iso[a-z]?)?-[a-z]+-\d")
THROUGHPUT = re.compile(r"(:\d+):\d+k$")
DATED = re.compile(r"-\d{4}-\d{2}-\d{2}$")
NUMBERED = re.compile(r"-\d+$")
TUNED = re.compile(r"(:[^:]*){3}$")


def listed_price(model: str, parameters: Mapping[str, Json] | None = None) -> Price | None:
    """What a model costs by LiteLLM's map; None where it lists no price per token for it.

    `parameters` are those of the requests: the tier of service and tools that they ask for have their price.
    """
    found = _entry_of(model)
    if found is None:
        return None
    entry, provider = found
    return price_of_entry(entry, provider, parameters or {})


def billed_price(
    model: str, served: str = "", service_tier: str | None = None, parameters: Mapping[str, Json] | None = None
) -> Price | None:
    """What an answer costs: by the name that the answer gives, where it is listed, else by that of the request.

    `served` and `service_tier` are what the answer says; a tier that it names replaces the one asked for.
    """
    said = {**(parameters or {}), **({"service_tier": service_tier} if service_tier else {})}
    if str(said.get("service_tier")).lower() == "auto":
        del said["service_tier"]  # the provider chose, and said nothing of it: it was no special tier
    provider = model.partition("/")[0] if "/" in model else ""
    names = [f"{provider}/{served}" if provider and not served.startswith(f"{provider}/") else served] if served else []
    prices = (listed_price(name, said) for name in (*names, model))
    return next((price for price in prices if price is not None), None)


@lru_cache(maxsize=1)
def _entries() -> Mapping[str, Mapping[str, Json]]:
    """The map, cut down to models that answer in text and to what they cost."""
    spec = find_spec("litellm")
    if spec is None or not spec.submodule_search_locations:
        logger.warning("LiteLLM is not installed: no price is known but those of the configuration")
        return {}
    path = Path(spec.submodule_search_locations[0]) / FILE
    try:
        listed = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        logger.warning("LiteLLM's list of prices cannot be read, so prices are unknown: %s", error)
        return {}
    return {
        name: {field: value for field, value in entry.items() if _counts(field)}
        for name, entry in listed.items()
        if entry.get("litellm_provider") and entry.get("mode") in MODES
    }


def _counts(field: str) -> bool:
    if field in {"litellm_provider", "mode", TIERS, SEARCH, REQUEST, UPLIFT, "provider_specific_entry"}:
        return True
    return "cost" in field and not field.endswith("_batches") and (bool(PER_TOKEN.search(field)) or "_per_" in field)


@lru_cache(maxsize=1)
def _folded() -> Mapping[str, str]:
    """Keys that are not all in lower case, by their lower case."""
    return {name.lower(): name for name in _entries()}


@lru_cache(maxsize=256)
def _entry_of(model: str) -> tuple[Mapping[str, Json], str] | None:
    """The map's entry of a model, and LiteLLM's name of its provider."""
    model = AZURE_NAMES.get(model, model)
    provider, bare = _provider_of(model)
    if not provider or any(fee in model.lower() for fee in FEES):
        return None
    for name in _names(provider, bare):
        key = name if name in _entries() else _folded().get(name.lower())
        if key is not None and _matches(_entries()[key], provider):
            entry = _entries()[key]
            return ({**entry, "searches": True} if "search" in name else entry), provider
    return None


def _provider_of(model: str) -> tuple[str, str]:
    """The provider that LiteLLM sends a model to, and the model's name there; an empty one where it refuses."""
    head, slash, rest = model.partition("/")
    if slash:
        return ("vertex_ai" if head == "vertex_ai_beta" else head), rest
    if model.startswith(("ft:gpt-3.5-turbo", "ft:gpt-4")):
        return "openai", model
    listed = str(_entries().get(model, {}).get("litellm_provider", ""))
    provider = next((name for name in FAMILIES if listed.startswith(name)), listed)
    inferred = provider in INFERRED and not (provider == "openai" and "ft:" in model)
    return (provider if inferred else ""), model


def _names(provider: str, bare: str) -> Iterator[str]:
    """The keys to try, in LiteLLM's order."""
    if provider in {"bedrock", "bedrock_converse"}:
        yield f"{provider}/{bare}"
        for route in BEDROCK_ROUTES:
            bare = bare.removeprefix(f"{route}/")
    stripped = _stripped(provider, bare)
    yield from (f"{provider}/{bare}", bare, f"{provider}/{stripped}", stripped)
    yield f"{provider}/{provider}/{bare}"
    if provider == "fireworks_ai":
        yield f"fireworks_ai/accounts/fireworks/models/{bare}"


def _stripped(provider: str, bare: str) -> str:
    """The name without what only tells versions and places apart."""
    if provider in {"bedrock", "bedrock_converse"}:
        area, dot, rest = bare.partition(".")
        region, slash, inside = bare.partition("/")
        if slash and REGION.fullmatch(region):
            return THROUGHPUT.sub(r"\1", inside)
        return THROUGHPUT.sub(r"\1", rest if dot and area in BEDROCK_AREAS else bare)
    if provider in {"vertex_ai", "gemini", "databricks"}:
        return NUMBERED.sub("", bare)
    return TUNED.sub("", bare) if "ft:" in bare else DATED.sub("", bare)


def _matches(entry: Mapping[str, Json], provider: str) -> bool:
    """True where an entry's provider serves this one's models, at the same price."""
    listed = str(entry["litellm_provider"])
    if listed == provider or provider in ANY_PROVIDER:
        return True
    if provider == "azure_ai":
        return listed in {"azure", "openai"}
    family = "bedrock" if provider.startswith("bedrock") else provider
    return family in FAMILIES and listed.startswith(family)
