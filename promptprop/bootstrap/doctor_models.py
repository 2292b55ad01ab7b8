"""The configuration and its models: is it valid, are its keys there, do its servers answer?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

from promptprop.adapters.models.keys import KEYS, TOKENS, provider_of
from promptprop.bootstrap.doctor import Check, Patient
from promptprop.domain.errors import UnknownModel

if TYPE_CHECKING:
    from promptprop.adapters.models.listing import Listing

SKEW = 300.0  # seconds that a clock may be off before certificates and signatures suffer


def check_keys_found(patient: Patient) -> Iterator[Check]:
    """Which keys are in the environment? Names only, and what is odd about a value without showing it."""
    found = [name for names in KEYS.values() for name in names if patient.environment.get(name, "").strip()]
    for name in found:
        if oddity := _odd(patient.environment[name], token=name in TOKENS):
            yield Check("keys", "warn", f"{name} {oddity}", "set it anew, as the provider's page shows it")
    if found:
        yield Check("keys", "ok", f"{', '.join(found)} set")
    else:
        message = "no key of a provider is set; offline/… and servers on this machine need none"
        yield Check("keys", "ok", message, "`promptprop models list` says which variables there are")


def _odd(value: str, *, token: bool) -> str:
    """What is wrong with the look of a key; nothing where nothing is.

    >>> _odd(" k1234567", token=False), _odd("k1234567", token=False)
    ('has blanks around it', '')
    """
    if value != value.strip():
        return "has blanks around it"
    if value[0] in "\"'" and value[-1] == value[0]:
        return "stands in quotes that are part of it"
    if not value.isascii() or not value.isprintable() or (" " in value and not token):
        return "holds characters that no key has"
    return ""


def check_config(patient: Patient) -> Iterator[Check]:
    """Are prompts, data and metrics as `validate` wants them, and are the models' keys there?"""
    loaded = patient.loaded
    if loaded is None:
        return
    if patient.inspect is not None:
        patient.inspect(loaded)
    yield Check("config", "ok", f"{loaded.path} is valid")
    from promptprop.adapters.files.environment import resolve_model
    from promptprop.bootstrap.models import address_problems, is_simulated, lacking_key

    for alias, model in loaded.config.endpoints.items():
        if is_simulated(model, loaded.environment):
            continue
        resolved = resolve_model(model, loaded.environment, f"models.{alias}")
        for problem in address_problems(resolved, loaded.environment, f"models.{alias}"):
            yield Check("config", "fail", problem.message, problem.remedy)
        variable = lacking_key(resolved, loaded.environment)
        if variable:
            message = f"models.{alias}: {resolved.model} needs a key, and {variable} is not set"
            yield Check("config", "fail", message, f"export {variable}=…, put it into .env, or set api_key")


def check_network(patient: Patient) -> Iterator[Check]:
    """Does every provider with a key answer, and every server that the configuration names? One free request each.

    A provider that the configuration does not use can only cause a warning.
    """
    if patient.offline:
        return
    from promptprop.bootstrap.models import is_simulated
    from promptprop.bootstrap.models_reach import find_reach

    config = patient.loaded.config if patient.loaded else None
    reach = asyncio.run(find_reach(patient.environment, config, refresh=True))
    used = None
    if config is not None:
        real = [model for model in config.endpoints.values() if not is_simulated(model, patient.environment)]
        used = {provider_of(model.model) or "" for model in real}
    for listing in reach.listings:
        yield _answered(listing, needed=used is None or listing.source.provider in used)
    skews = [listing.skew for listing in reach.listings if listing.skew is not None]
    if skews and abs(skew := min(skews, key=abs)) > SKEW:
        message = f"this machine's clock is {abs(skew):,.0f} s {'behind' if skew > 0 else 'ahead of'} the providers'"
        yield Check("clock", "warn", message, "set it, or let it be set by the network")


def _answered(listing: Listing, *, needed: bool) -> Check:
    from promptprop.adapters.files.report_words import counted
    from promptprop.adapters.models.listing_http import who

    error = listing.error
    if error is None:
        return Check(
            "network", "ok", f"{who(listing.source)} answers and lists {counted(len(listing.models), 'model')}"
        )
    if isinstance(error, UnknownModel):
        return Check("network", "ok", f"{who(listing.source)} answers, and lists no models")
    return Check("network", "fail" if needed else "warn", error.message, error.remedy)


def check_pings(patient: Patient) -> Iterator[Check]:
    """With --ping: does every model of the configuration answer a call? This costs money."""
    if not patient.ping or patient.loaded is None or patient.offline:
        return
    from promptprop.bootstrap.models import is_simulated
    from promptprop.bootstrap.models_ping import distinct_models, ping

    config, env = patient.loaded.config, patient.loaded.environment
    for aliases, model in distinct_models(config):
        if is_simulated(model, env):
            continue
        found = asyncio.run(ping(config, aliases, model, env, None))
        named = f"{found.model} ({', '.join(aliases)})"
        if found.error is not None:
            yield Check("ping", "fail", f"{named}: {found.error.message}", found.error.remedy)
        else:
            yield Check("ping", "ok", f"{named} answers in {(found.seconds or 0) * 1000:,.0f} ms{_cost(found.picousd)}")


def _cost(picousd: int | None) -> str:
    from promptprop.adapters.files.report_words import money

    return ", at a cost that is not known" if picousd is None else f", for {money(picousd)}"
