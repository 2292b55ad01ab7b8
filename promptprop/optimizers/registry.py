"""The optimizers by name, loaded when used."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from promptprop.domain.models import Json
from promptprop.ports import Optimizer

if TYPE_CHECKING:
    from pydantic import BaseModel

OPTIMIZERS: dict[str, str] = {
    "backprop": "promptprop.optimizers.backprop:Backprop",
    "classic": "promptprop.optimizers.classic:Classic",
    "iterate": "promptprop.optimizers.iterate:Iterate",
    "gepa": "promptprop.optimizers.gepa:Gepa",
    "random": "promptprop.optimizers.random_edits:RandomEdits",
}


def optimizer_class(name: str) -> type:
    """The class behind a name; it carries its option model as `Options`. Raises KeyError."""
    module, _, attribute = OPTIMIZERS[name].partition(":")
    loaded: type = getattr(importlib.import_module(module), attribute)
    return loaded


def build_optimizer(name: str, options: Mapping[str, Json]) -> Optimizer:
    """The optimizer with its options read. Raises pydantic's ValidationError."""
    chosen = optimizer_class(name)
    built: Optimizer = chosen(chosen.Options.model_validate(dict(options)))  # type: ignore[attr-defined]
    return built


def option_models() -> dict[str, type[BaseModel]]:
    """The option model of each optimizer, for the configuration's schema."""
    return {name: optimizer_class(name).Options for name in OPTIMIZERS}  # type: ignore[attr-defined]
