"""Secrets that a configuration writes out, kept apart from it: what is stored and shown holds references instead."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from promptprop.adapters.files.config import LoadedConfig
from promptprop.adapters.files.environment import PREFIX
from promptprop.adapters.logs import secrets_of_url
from promptprop.domain.config import RunConfig
from promptprop.domain.models import Json
from promptprop.domain.settings import REFERENCE, names_secret, written_out

ADDRESSES = ("api_base", "uri", "url")


def kept_apart(loaded: LoadedConfig) -> LoadedConfig:
    """The configuration with a reference for each secret written out in it, and the environment that resolves them.

    Such are a key for a server on this machine, and a password in an address. A run stores its configuration: so no
    database holds them, and a run that is resumed without its file asks for the variable. A text that has references
    of its own stays as it is.
    """
    found: dict[str, str] = {}
    config = _referring(loaded.config.snapshot(), (), found)
    if not found:
        return loaded
    return replace(loaded, config=RunConfig.model_validate(config), environment={**loaded.environment, **found})


def _referring(value: Json, path: tuple[str, ...], found: dict[str, str]) -> Json:
    """`value` with references for its secrets, which are added to `found` by variable."""
    if isinstance(value, Mapping):
        return {key: _referring(below, (*path, str(key)), found) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [_referring(below, (*path, str(number)), found) for number, below in enumerate(value)]
    if not isinstance(value, str) or not _is_secret(value, path):
        return value
    name = PREFIX + "__".join(re.sub(r"[^A-Za-z0-9]", "_", step).upper() for step in path)
    while name in found:
        name += "_"  # headers that differ in their signs alone
    found[name] = value
    return f"${{env:{name}}}"


def _is_secret(value: str, path: tuple[str, ...]) -> bool:
    """True for a key, a parameter that is called like one, and an address with a password, written out."""
    if REFERENCE.search(value) or path[:1] not in (("models",), ("steps",), ("database",), ("tracking",), ("serve",)):
        return False
    if path[-1] in ADDRESSES and "params" not in path:
        return any(secrets_of_url(value))
    below = path[path.index("params") + 1 :] if "params" in path else path[-1:]
    called = any(map(names_secret, below)) if "params" in path else below == ("api_key",)
    return called and written_out(value)
