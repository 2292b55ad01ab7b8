"""The roles by name, each with its shipped template; a configuration may put its own template in place."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib import resources

from promptprop.domain.errors import ConfigError
from promptprop.domain.models import Json, Prompt, RoleName
from promptprop.ports import Role

ROLES: dict[str, str] = {
    "critic": "promptprop.roles.critic:Critic",
    "rewriter": "promptprop.roles.rewriter:Rewriter",
    "refiner": "promptprop.roles.refiner:Refiner",
    "juror": "promptprop.roles.juror:Juror",
    "manager": "promptprop.roles.manager:Manager",
    "synthesizer": "promptprop.roles.synthesizer:Synthesizer",
    "linter": "promptprop.roles.linter:Linter",
}
OWN_WORDS: dict[str, str] = {"reflector": "promptprop.roles.reflector:Reflector"}  # roles without a template
ANSWERED_BY: dict[str, RoleName] = {  # roles without a model of their own
    "refiner": "rewriter",
    "reflector": "rewriter",
    "linter": "critic",
}

REPAIR = (
    "Your reply could not be used: {problem}.\nAnswer again, with nothing but the reply in the form that was asked for."
)


def shipped_template(name: str) -> str:
    """The text of a role's own template."""
    return resources.files("promptprop.roles").joinpath("templates").joinpath(f"{name}.md").read_text("utf-8")


def check_templates(templates: Mapping[str, str]) -> None:
    """Fill each template once with made-up inputs. Raises ConfigError naming the role whose template is wrong."""
    failure = {"n": 1, "id": "1", "inputs": {"x": "x"}, "expected": "x", "answer": "x", "feedback": "x"}
    inputs: dict[str, Json] = {
        "task": "x",
        "failures": [failure],
        "successes": [failure],
        "critiques": [{"step": "main", "cause": "x", "fix": "x"}],
        "tried": [{"kind": "cause"}],
        "kind": "cause",
        "longest": 1000,
        "inputs": {"x": "x"},
        "answer": "x",
        "expected": ["x"],
        "soft_negatives": ["x"],
        "hard_negatives": ["x"],
        "features": [{"id": "x", "says": "x", "weight": 1}],
        "rows": [failure],
        "most": 1,
    }
    of_role: dict[str, dict[str, Json]] = {
        "critic": {"prompts": {"main": "{{ x }}"}},
        "rewriter": {"prompts": {"main": Prompt.of("{{ x }}")}},
        "refiner": {"prompts": {"main": Prompt.of("{{ x }}")}},
        "synthesizer": {"kind": "edge", "count": 1, "names": ["x"], "labels": ["x"], "expects": True},
        "linter": {"prompt": "x", "variables": ["x"], "labels": ["x"]},
    }
    roles = load_roles(templates)
    for name in ROLES:
        try:
            roles[name].messages({**inputs, **of_role.get(name, {})})
        except ConfigError as error:
            raise ConfigError(f"the template of the role {name}: {error.problems[0].message}") from error


def load_roles(templates: Mapping[str, str]) -> dict[str, Role]:
    """All roles, filled with the given templates by name, the shipped ones elsewhere."""
    roles: dict[str, Role] = {}
    for name, target in ROLES.items():
        module, _, attribute = target.partition(":")
        roles[name] = getattr(importlib.import_module(module), attribute)(templates.get(name) or shipped_template(name))
    for name, target in OWN_WORDS.items():
        module, _, attribute = target.partition(":")
        roles[name] = getattr(importlib.import_module(module), attribute)()
    return roles
