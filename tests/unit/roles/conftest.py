"""The roles with their shipped templates, and what an optimizer asks them."""

from __future__ import annotations

from typing import Any, cast

import pytest

from promptprop.domain.models import Json, Prompt
from promptprop.roles.critic import Critic
from promptprop.roles.registry import load_roles
from promptprop.roles.rewriter import Rewriter

LINE = {"n": 1, "id": "row-1", "inputs": {"text": "My card"}, "expected": "security", "answer": "billing",
        "feedback": "label: expected 'security'"}  # fmt: skip


@pytest.fixture
def critic() -> Critic:
    """The critic with its own template."""
    return cast("Critic", load_roles({})["critic"])


@pytest.fixture
def rewriter() -> Rewriter:
    """The rewriter with its own template."""
    return cast("Rewriter", load_roles({})["rewriter"])


@pytest.fixture
def critic_inputs() -> dict[str, Json]:
    """One step, two failures, one success."""
    return {
        "task": "Route messages.",
        "prompts": {"main": "Route: {{ text }}"},
        "failures": [LINE, {**LINE, "n": 2, "id": "row-2"}],
        "successes": [{**LINE, "n": 1, "id": "row-3", "feedback": ""}],
    }


@pytest.fixture
def rewriter_inputs() -> dict[str, Any]:
    """One step with one placeholder, at most 200 characters."""
    return {
        "task": "Route messages.",
        "prompts": {"main": Prompt.of("Route: {{ text }}")},
        "critiques": [{"step": "main", "cause": "It guesses.", "fix": "Name the desks."}],
        "failures": [LINE],
        "tried": [{"kind": "cause", "hypothesis": "h", "delta": 0.1, "se": 0.05, "kept": True}],
        "kind": "cause",
        "longest": 200,
    }
