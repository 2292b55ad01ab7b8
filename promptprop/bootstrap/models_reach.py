"""What the keys in the environment, and the servers that a configuration names, can reach."""

from __future__ import annotations

import asyncio
import difflib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from promptprop.adapters.models.keys import KEYS, provider_of
from promptprop.adapters.models.listing_sources import (
    NATIVE,
    Source,
    Unlisted,
    base_of,
    key_sources,
    key_variable,
    model_source,
)
from promptprop.adapters.models.openai_http.addresses import PROVIDERS
from promptprop.domain.errors import ConfigError, PromptPropError, RequestRefused, UsageError
from promptprop.domain.models import Json

if TYPE_CHECKING:
    from promptprop.adapters.models.listing import ListedModel, Listing
    from promptprop.adapters.models.listing_cache import ListingCache
    from promptprop.domain.budget import Price
    from promptprop.domain.config import RunConfig


@dataclass(frozen=True, slots=True)
class Reach:
    """What was asked and answered, what cannot be asked, and which variable would open which provider."""

    listings: tuple[Listing, ...]
    unlisted: tuple[Unlisted, ...]
    closed: Mapping[str, str]


async def find_reach(
    env: Mapping[str, str],
    config: RunConfig | None = None,
    *,
    provider: str | None = None,
    refresh: bool = False,
    cache: ListingCache | None = None,
) -> Reach:
    """Ask every server for its models, side by side, or the cache of the last ten minutes.

    `config` adds the servers of its models; `provider` leaves only that one; `refresh` asks anew. Servers that do not
    answer are listings with an error. Raises UsageError for a provider that nobody knows.
    """
    from promptprop.adapters.models.listing import ask_all
    from promptprop.adapters.models.listing_cache import ListingCache

    cache = cache or ListingCache()
    found = list(key_sources(env))
    broken: list[Listing] = []
    if config is not None:
        more, broken = _config_sources(config, env)
        found += more
    if provider is not None:
        _refuse_unknown(provider, {one.provider for one in (*found, *(listing.source for listing in broken))})
        found = [one for one in found if one.provider == provider]
        broken = [listing for listing in broken if listing.source.provider == provider]
    sources = _distinct(one for one in found if isinstance(one, Source))
    known = {} if refresh else {source: listing for source in sources if (listing := cache.read(source))}
    asked = await ask_all(source for source in sources if source not in known)
    for listing in asked:
        cache.write(listing)
    answers = {**known, **{listing.source: listing for listing in asked}}
    unlisted = tuple(dict.fromkeys(one for one in found if isinstance(one, Unlisted)))
    closed = {
        name: variables[0]
        for name, variables in KEYS.items()
        if provider in (None, name) and key_variable(name, env) is None and base_of(name, env)
    }
    return Reach(tuple([answers[source] for source in sources] + broken), unlisted, closed)


def price_of(source: Source, name: str) -> Price | None:
    """What a listed model costs, as far as it is known; for servers of one's own nobody lists a price."""
    from promptprop.adapters.models.prices import listed_price

    return None if source.custom or not source.key else listed_price(name)


def reach_json(reach: Reach, told: Callable[[PromptPropError], Json], limit: int | None = None) -> dict[str, Json]:
    """The document of `models list --json`, at most `limit` models of each server; `told` writes errors down."""
    providers: list[Json] = []
    for listing in reach.listings:
        source = listing.source
        models = [_model_json(source, model) for model in listing.models[:limit]]
        providers.append(
            {
                "provider": source.provider,
                "api_base": source.base,
                "custom": source.custom,
                "key_variable": source.variable,
                "age_seconds": round(listing.age),
                "count": len(listing.models),
                "models": models,
                "error": told(listing.error) if listing.error else None,
            }
        )
    unlisted: list[Json] = [{"provider": one.provider, "key_variable": one.variable} for one in reach.unlisted]
    return {"providers": providers, "unlisted": unlisted, "without_key": dict(reach.closed)}


def _model_json(source: Source, model: ListedModel) -> dict[str, Json]:
    from promptprop.domain.report import per_million

    price = price_of(source, model.name)
    return {
        "name": model.name,
        "context": model.context,
        "prompt_usd_per_million": per_million(price.prompt) if price else None,
        "completion_usd_per_million": per_million(price.completion) if price else None,
    }


def _config_sources(config: RunConfig, env: Mapping[str, str]) -> tuple[list[Source | Unlisted], list[Listing]]:
    """The servers of a configuration's models, and those that cannot be asked since a reference does not resolve."""
    from promptprop.adapters.files.environment import resolve_model
    from promptprop.adapters.models.listing import Listing
    from promptprop.bootstrap.models import is_simulated

    found: list[Source | Unlisted] = []
    broken: list[Listing] = []
    for alias, model in config.endpoints.items():
        if is_simulated(model, env):
            continue
        try:
            resolved = resolve_model(model, env, f"models.{alias}")
        except ConfigError as error:
            problem = error.problems[0]
            unresolved = Source(provider_of(model.model) or "", "", alias=alias)
            broken.append(Listing(unresolved, error=RequestRefused(problem.message, remedy=problem.remedy)))
            continue
        source = model_source(alias, resolved.model, resolved.api_base, resolved.api_key, env)
        found.append(source if source.base else Unlisted(source.provider or resolved.model, source.variable))
    return found, broken


def _distinct(sources: Iterable[Source]) -> list[Source]:
    """Each server with each key once: models that share one are one question."""
    found: dict[tuple[str, str, str | None], Source] = {}
    for source in sources:
        found.setdefault((source.provider, source.base, source.key), source)
    return list(found.values())


def _refuse_unknown(provider: str, more: set[str]) -> None:
    known = {*KEYS, *PROVIDERS, *NATIVE, *more}
    if provider in known:
        return
    near = difflib.get_close_matches(provider, known, 1)
    remedy = f"did you mean {near[0]!r}?" if near else f"such as {', '.join(list(KEYS)[:4])}"
    raise UsageError(f"there is no provider {provider!r}", remedy=remedy)


class SharedReach:
    """What the keys of an environment reach, asked once for all who want to know it, on a thread of its own.

    Answers are kept for a minute; whoever asks anew within ten seconds gets what was told just before.
    """

    KEPT = 60.0
    ANEW = 10.0

    def __init__(self, env: Mapping[str, str], now: Callable[[], float] = time.monotonic) -> None:
        """`now` is in seconds."""
        self._env = env
        self._now = now
        self._lock = asyncio.Lock()
        self._known: tuple[float, Reach] | None = None

    async def find(self, *, refresh: bool = False) -> Reach:
        """What is reached; `refresh` asks the servers anew."""
        async with self._lock:
            if self._known is not None and self._now() - self._known[0] < (self.ANEW if refresh else self.KEPT):
                return self._known[1]
            found = await asyncio.to_thread(lambda: asyncio.run(find_reach(self._env, refresh=refresh)))
            self._known = (self._now(), found)
            return found
