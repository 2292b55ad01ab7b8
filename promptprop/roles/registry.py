"""The roles by name, each with its shipped template; a configuration may put its own template in place."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib import resources

from promptprop.ports import Role

ROLES: dict[str, str] = {
    "critic": "promptprop.roles.critic:Critic",
    "rewriter": "promptprop.roles.rewriter:Rewriter",
}

REPAIR = (
    "Your reply could not be used: {problem}.\nAnswer again, with nothing but the reply in the form that was asked for."
)


def shipped_template(name: str) -> str:
    """The text of a role's own template."""
    return resources.files("promptprop.roles").joinpath("templates").joinpath(f"{name}.md").read_text("utf-8")


def load_roles(templates: Mapping[str, str]) -> dict[str, Role]:
    """All roles, filled with the given templates by name, the shipped ones elsewhere."""
    roles: dict[str, Role] = {}
    for name, target in ROLES.items():
        module, _, attribute = target.partition(":")
        roles[name] = getattr(importlib.import_module(module), attribute)(templates.get(name) or shipped_template(name))
    return roles
