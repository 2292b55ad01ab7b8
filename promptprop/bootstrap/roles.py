"""The model roles as a person meets them: what each does, who plays it, and whose template it follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from promptprop.domain.models import Json

if TYPE_CHECKING:
    from promptprop.domain.config import RunConfig

SHIPPED = "shipped"


@dataclass(frozen=True, slots=True)
class DescribedRole:
    """A role with its template; `source` is `shipped`, or the file of a configuration."""

    name: str
    summary: str
    template: str
    source: str
    models: tuple[str, ...]
    reply_schema: Mapping[str, Json]


def described_roles(path: Path | None, sets: Sequence[str] = (), env_file: Path | None = None) -> list[DescribedRole]:
    """All roles that have a template, as this configuration has them; as shipped without one. Raises ConfigError."""
    from promptprop.bootstrap.configuration import load
    from promptprop.bootstrap.preparation import templates_of
    from promptprop.roles.registry import ROLES, load_roles, shipped_template

    config = load(path, sets, None, env_file).config if path is not None else None
    templates = (
        templates_of(config, tuple(ROLES)) if config is not None else {name: shipped_template(name) for name in ROLES}
    )
    roles = load_roles(templates)
    found = []
    for name in ROLES:
        own = getattr(config.roles, name, None) if config is not None else None
        source = str(own.template) if own is not None else SHIPPED
        models = _models(config, name)
        found.append(
            DescribedRole(name, roles[name].summary, templates[name], source, models, roles[name].reply_schema)
        )
    return found


def _models(config: RunConfig | None, role: str) -> tuple[str, ...]:
    from promptprop.roles.registry import ANSWERED_BY

    if config is None:
        return ()
    role = ANSWERED_BY.get(role, role)
    wanted = f"{role}."
    return tuple(
        f"{alias.removeprefix(wanted)}: {model.model}" if alias.startswith(wanted) else model.model
        for alias, model in config.endpoints.items()
        if alias == role or alias.startswith(wanted)
    )
