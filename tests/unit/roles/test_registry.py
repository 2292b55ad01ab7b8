"""The roles by name, with the shipped templates or others in their place."""

from __future__ import annotations

from typing import Any

import pytest

from promptprop.domain.errors import ConfigError
from promptprop.roles.registry import OWN_WORDS, REPAIR, ROLES, check_templates, load_roles, shipped_template


def test_every_role_is_loaded_under_its_name_with_its_shipped_template() -> None:
    roles = load_roles({})
    assert set(roles) == {*ROLES, *OWN_WORDS}
    assert all(role.name == name for name, role in roles.items())
    assert all(shipped_template(name).strip() for name in ROLES)


def test_a_template_of_the_users_own_takes_the_place_of_the_shipped_one(critic_inputs: dict[str, Any]) -> None:
    roles = load_roles({"critic": "Only this: {{ task }}"})
    (message,) = roles["critic"].messages(critic_inputs)
    assert message.content == "Only this: Route messages."


def test_an_empty_template_counts_as_none(rewriter_inputs: dict[str, Any]) -> None:
    (message,) = load_roles({"rewriter": ""})["rewriter"].messages(rewriter_inputs)
    assert "You improve a prompt" in message.content


@pytest.mark.parametrize("problem", ["plain", "with {braces} and {{ text }}"])
def test_the_repair_request_quotes_the_problem_as_it_is(problem: str) -> None:
    assert f"could not be used: {problem}." in REPAIR.format(problem=problem)


def test_a_template_of_ones_own_is_filled_once_before_anything_is_paid() -> None:
    with pytest.raises(ConfigError, match=r"the role critic: .*failuers"):
        check_templates({"critic": "Look at {{ failuers }}."})
    check_templates({"rewriter": "{{ task }} {{ prompts }} {{ kind }}"})
