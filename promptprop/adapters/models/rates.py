"""From an entry of LiteLLM's price map to a `Price`: tiers of length and of service, caches, thoughts, searches."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from promptprop.domain.budget import Price
from promptprop.domain.models import PICO, Json, canonical

PROMPT, COMPLETION = "input_cost_per_token", "output_cost_per_token"
READ, WRITE = "cache_read_input_token_cost", "cache_creation_input_token_cost"
WRITE_FOR_AN_HOUR, THOUGHT = "cache_creation_input_token_cost_above_1hr", "output_cost_per_reasoning_token"
REQUEST, SEARCH = "input_cost_per_request", "search_context_cost_per_query"
TIERS, UPLIFT = "tiered_pricing", "regional_endpoint_uplift_multiplier"

# what a request calls a tier of service, and what the map's keys end in for it
SERVICES = {
    "flex": "flex",
    "balanced": "balanced",
    "priority": "priority",
    "fast": "priority",
    "ultrafast": "ultrafast",
}
ONE_SERVICE = {  # LiteLLM prices every answer of these alike
    "dashscope", "deepseek", "fireworks_ai", "lemonade", "perplexity", "qwen_ai_platform", "qwencloud", "tencent",
    "xai",
}  # fmt: skip
SEARCHING = ("web_search_options", "tools")  # parameters with which a model may search
FIREWORKS_READ = 0.5  # of the price of a prompt token, where the map lists no other
ABOVE = re.compile(r"_above_(\d+)(k?)_tokens(?:_([a-z]+))?$")
PER_TOKEN = re.compile(r"_per_(\w+_)?token|token_cost|_dbu_")


@dataclass(frozen=True, slots=True)
class Rates:
    """USD per token of one tier of length; None where the map lists nothing."""

    prompt: float
    completion: float
    read: float | None
    write: float | None
    thought: float | None

    def price(self, factor: float = 1.0) -> Price:
        """The same in 10⁻¹² USD."""
        read, write, thought = (
            None if usd is None else picousd_up(usd * factor) for usd in (self.read, self.write, self.thought)
        )
        return Price(picousd_up(self.prompt * factor), picousd_up(self.completion * factor), read, thought, write)


def picousd_up(usd: float) -> int:
    """Money in 10⁻¹² USD, a fraction rounded up; what is less than the noise of a float is none.

    >>> picousd_up(1.5000020000000002e-05), picousd_up(1.25e-12)
    (15000020, 2)
    """
    return math.ceil(Decimal(f"{usd:.12e}") * PICO)


def price_of_entry(entry: Mapping[str, Json], provider: str, parameters: Mapping[str, Json]) -> Price | None:
    """What the entry's model costs at most under these parameters; None where that is not all per token or call.

    With `service_tier: auto` the provider chooses: the dearer of what it may charge holds.
    """
    if not _priced_per_token(entry):
        return None
    asked = parameters.get("service_tier")
    service = asked.lower() if isinstance(asked, str) and provider not in ONE_SERVICE else ""
    services = ("", "priority") if service == "auto" else (SERVICES.get(service, ""),)
    prices = [_price(entry, provider, service, parameters) for service in services]
    return prices[0] if len(prices) == 1 else dearest(prices)


def dearest(prices: Sequence[Price]) -> Price:
    """The price that is, for every usage, no less than any of these.

    >>> dearest([Price(1, 5, cached=1), Price(2, 4, above=((10, Price(9, 4)),))]) == Price(
    ...     2, 5, 2, 5, 2, above=((10, Price(9, 5, 9, 5, 9)),)
    ... )
    True
    """
    edges = sorted({tokens for price in prices for tokens, _ in price.above})
    above = tuple((edge, _dearest_at([price.at(edge + 1) for price in prices])) for edge in edges)
    return replace(_dearest_at(prices), above=above)


def _dearest_at(prices: Sequence[Price]) -> Price:
    def most(name: str, otherwise: str) -> int:
        found: list[tuple[int | None, int]] = [(getattr(price, name), getattr(price, otherwise)) for price in prices]
        return max(other if value is None else value for value, other in found)

    return Price(
        prompt=most("prompt", "prompt"),
        completion=most("completion", "completion"),
        cached=most("cached", "prompt"),
        reasoning=most("reasoning", "completion"),
        cache_write=most("cache_write", "prompt"),
        per_call=most("per_call", "per_call"),
        surcharge=most("surcharge", "surcharge"),
    )


def _priced_per_token(entry: Mapping[str, Json]) -> bool:
    """True where all that is charged for text is listed per token, or per call besides."""
    if entry.get(TIERS):
        return True
    prompt, completion = entry.get(PROMPT), entry.get(COMPLETION)
    if entry.get("mode") == "embedding" and completion is None:
        completion = 0
    if prompt is None or completion is None:
        return False
    if prompt or completion:
        return True
    others = (name for name, value in entry.items() if "cost_per" in name and isinstance(value, (int, float)) and value)
    return all(PER_TOKEN.search(name) and "image" not in name for name in others)


def _price(entry: Mapping[str, Json], provider: str, service: str, parameters: Mapping[str, Json]) -> Price:
    factor = _factor(entry, provider, parameters)
    call, surcharge = picousd_up(entry.get(REQUEST) or 0), _surcharge(entry, provider, parameters)
    hour = '"1h"' in canonical(dict(parameters))  # a cache kept for an hour is dearer to fill
    first, *longer = [
        (edge, replace(rates.price(factor), per_call=call, surcharge=surcharge))
        for edge, rates in _levels(entry, provider, service, hour=hour)
    ]
    return replace(first[1], above=tuple(longer))


def _levels(entry: Mapping[str, Json], provider: str, service: str, *, hour: bool) -> list[tuple[int, Rates]]:
    """(prompt tokens that must be exceeded, rates), from the first tier of length to the last."""
    flat = _flat(entry, provider, service, hour=hour)
    tiers = entry.get(TIERS)
    if tiers:
        listed = sorted((tier for tier in tiers if len(tier.get("range", ())) == 2), key=lambda tier: tier["range"][0])
        return [(int(tier["range"][0]), _of_tier(tier, flat)) for tier in listed] or [(0, flat)]
    if provider == "perplexity":  # LiteLLM knows no discount and no tier there
        return [(0, replace(flat, read=None, write=None))]
    levels = [(0, flat)]
    for edge, key in _edges(entry, service):
        levels.append((edge - (provider == "xai"), _longer(entry, levels[-1][1], key, service, hour=hour)))
    return levels


def _flat(entry: Mapping[str, Json], provider: str, service: str, *, hour: bool) -> Rates:
    prompt, completion = (_rate(entry, name, service) or 0.0 for name in (PROMPT, COMPLETION))
    read, write = (_rate(entry, name, service) for name in (READ, WRITE))
    if provider == "fireworks_ai" and read is None:
        read = prompt * FIREWORKS_READ
    thought = entry.get(f"{THOUGHT}_{service}" if service else THOUGHT)
    if thought is None and (not service or entry.get(f"{COMPLETION}_{service}") is None):
        thought = entry.get(THOUGHT)
    if provider == "xai":  # a thought costs what an answer does, whatever is listed
        thought = None
    held = entry.get(WRITE_FOR_AN_HOUR) if hour else None
    return Rates(prompt, completion, read, max(filter(None, (write, held)), default=write), thought)


def _of_tier(tier: Mapping[str, Json], flat: Rates) -> Rates:
    if PROMPT not in tier:
        return flat
    completion = tier.get(COMPLETION)
    thought = tier.get(THOUGHT, None if COMPLETION in tier else flat.thought)
    answer = flat.completion if completion is None else completion
    return Rates(tier[PROMPT], answer, tier.get(READ), tier.get(WRITE), thought)


def _edges(entry: Mapping[str, Json], service: str) -> list[tuple[int, str]]:
    """(prompt tokens, how keys spell them) of each tier of length that the map lists for this service."""
    found = {}
    for name, value in entry.items():
        match = ABOVE.search(name)
        if match and value is not None and match[3] in {None, service or None}:
            number, thousands, _ = match.groups()
            found[f"_above_{number}{thousands}_tokens"] = int(number) * (1000 if thousands else 1)
    return sorted((edge, key) for key, edge in found.items())


def _longer(entry: Mapping[str, Json], shorter: Rates, key: str, service: str, *, hour: bool) -> Rates:
    def rate(name: str, before: float | None) -> float | None:
        found = _rate(entry, f"{name}{key}", service)
        return before if found is None else found

    prompt, completion = rate(PROMPT, shorter.prompt), rate(COMPLETION, shorter.completion)
    writes = [rate(WRITE, shorter.write), rate(WRITE_FOR_AN_HOUR, None) if hour else None]
    write = max(filter(None, writes), default=writes[0])
    return Rates(prompt or 0.0, completion or 0.0, rate(READ, shorter.read), write, shorter.thought)


def _rate(entry: Mapping[str, Json], name: str, service: str) -> float | None:
    found = entry.get(f"{name}_{service}") if service else None
    return entry.get(name) if found is None else found


def _factor(entry: Mapping[str, Json], provider: str, parameters: Mapping[str, Json]) -> float:
    """What a place or a speed that was asked for multiplies all prices with."""
    if provider == "vertex_ai":
        place = str(parameters.get("vertex_location") or "global").lower()
        return 1.0 if place == "global" else float(entry.get(UPLIFT) or 1.0)
    extra: Mapping[str, float] = (entry.get("provider_specific_entry") or {}) if provider == "anthropic" else {}
    place = str(parameters.get("inference_geo") or "").lower()
    speed = extra.get("fast", 1.0) if parameters.get("speed") == "fast" else 1.0
    return float(extra.get(place, 1.0)) * float(speed)


def _surcharge(entry: Mapping[str, Json], provider: str, parameters: Mapping[str, Json]) -> int:
    """What one web search costs at most, where a call may make one."""
    listed = entry.get(SEARCH)
    searches = provider == "perplexity" or any(name in parameters for name in SEARCHING) or entry.get("searches")
    if not listed or not searches:
        return 0
    return picousd_up(max(listed.values(), default=0.0) if isinstance(listed, Mapping) else float(listed))
