"""The configuration's models: shorthands, defaults, refusals and snapshots."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from promptprop.domain.budget import Budget
from promptprop.domain.config import RunConfig
from promptprop.domain.model_config import ModelConfig, max_tokens_of

MINIMAL: dict[str, Any] = {
    "task": "Route messages.",
    "prompt": "Route: {{ text }}",
    "data": {"file": "rows.jsonl", "inputs": ["text"], "expected": "label"},
    "models": {"task": "offline/world"},
    "metrics": ["exact"],
}


def config(**changes: Any) -> RunConfig:
    return RunConfig.model_validate({**MINIMAL, **changes})


def complaint(**changes: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        config(**changes)
    return str(caught.value)


def test_the_smallest_configuration_has_documented_defaults() -> None:
    found = config()
    assert found.prompt is not None
    assert found.prompt[0].text == "Route: {{ text }}"
    assert (found.seed, found.max_error_rate, found.optimizer.name) == (7, 0.1, "backprop")
    assert (found.data.split.train, found.data.split.select, found.data.split.test) == (0.4, 0.3, 0.3)
    assert (found.metrics[0].id, found.metrics[0].weight, found.metrics[0].gate) == ("exact", None, False)
    assert found.budget.budget == Budget()
    assert found.simulated


def test_a_snapshot_is_plain_json_and_rebuilds_an_equal_configuration() -> None:
    found = config(
        prompt=["one", {"messages": [{"role": "system", "content": "x"}]}],
        models={
            "task": {"model": "openai/gpt", "api_key": "${env:KEY}", "timeout": "2m", "params": {"stop": None}},
            "jury": ["offline/a", {"name": "strict", "model": "offline/a"}],
        },
        metrics=[{"type": "regex", "pattern": "a+", "weight": 2}, "python:./mine.py:tone"],
        budget={"usd": 0.1, "minutes": 1.5},
        data={"files": {"train": "a.csv", "test": "b.csv"}, "inputs": "text", "split": {"column": "part"}},
        tracking={"mlflow": False},
        steps=None,
    )
    text = json.dumps(found.snapshot(), allow_nan=False)
    assert RunConfig.model_validate(json.loads(text)) == found
    assert "${env:KEY}" in text
    assert found.budget.budget == Budget(usd=Decimal("0.1"), seconds=90.0)
    assert found.metrics[0].options == {"pattern": "a+"}
    assert found.metrics[1].id == "tone"
    assert found.models.task.timeout == 120.0
    assert not found.simulated


def test_a_run_takes_a_prompt_or_steps_and_not_both() -> None:
    steps = [{"id": "facts", "prompt": "a"}, {"id": "desk", "prompt": "b", "model": "offline/b"}]
    assert "got both" in complaint(steps=steps)
    assert "got none" in complaint(prompt=None)
    chain = config(prompt=None, steps=steps)
    assert chain.steps is not None
    assert [(step.output, step.endpoint) for step in chain.steps] == [("facts", "task"), ("desk", "step.desk")]
    assert set(chain.endpoints) == {"task", "step.desk"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": {**MINIMAL["data"], "split": {"train": 0.5}}}, "sum to 1.1"),
        ({"data": {**MINIMAL["data"], "split": {"train": 0.2, "select": 0.5, "column": "part"}}}, "not both"),
        ({"data": {"inputs": ["text"]}}, "exactly one of file, files and dataset"),
        ({"prompt": {"text": "a", "frame": "{{ instruction }}"}}, "a frame stands around a literal text"),
        ({"metrics": []}, "at least 1 item"),
        ({"metrics": ["exact", "exact"]}, "two metrics are called"),
        ({"metrics": [{"type": "exact", "weight": -1}]}, "greater than or equal to 0"),
        ({"metrics": [{"type": "exact", "weight": True}]}, "valid number"),
        ({"budget": {"minutes": 1, "seconds": 5}}, "not in both"),
        ({"budget": {"usd": -1}}, "greater than or equal to 0"),
        ({"budget": {"calls": True}}, "valid integer"),
        ({"budget": {"usd": "nan"}}, "amount in USD"),
        ({"budget": {"usd": "1e999999999"}}, "amount in USD"),
        ({"budget": {"usd": "9" * 10_000}}, "amount in USD"),
        ({"budget": {"usd": 10**9}}, "amount in USD"),
        ({"seed": "7"}, "valid integer"),
        ({"version": 2}, "Input should be 1"),
        ({"prompt": {"text": "a", "file": "b"}}, "got file and text"),
        ({"prompt": None, "steps": [{"id": "text", "prompt": "a"}]}, "fill the variable 'text'"),
        ({"models": {"task": {"model": "offline/a", "timeout": "soon"}}}, "expected seconds"),
        ({"models": {"task": {"model": "openai/a", "world": "w.yaml"}}}, "only a simulated model"),
        ({"models": {"task": "offline/a", "jury": ["offline/a", "offline/a"]}}, "two jurors"),
        ({"surprise": 1}, "Extra inputs"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], words: str) -> None:
    assert words in complaint(**changes)


@pytest.mark.parametrize(
    ("model", "accepted"),
    [
        ({"api_key": "${env:KEY}"}, True),
        ({"api_key": "sk-1", "api_base": "http://127.0.0.1:8000/v1"}, True),
        ({"api_key": "sk-1", "api_base": "http://localhost:8000/v1"}, True),
        ({"api_key": "sk-1", "api_base": "http://[::1]:8000/v1"}, True),
        ({"api_key": "sk-1"}, False),
        ({"api_key": "sk-1", "api_base": "https://localhost.example.com"}, False),
        ({"api_key": "sk-1", "api_base": "https://127.0.0.1@example.com"}, False),
        ({"api_key": "sk-1", "api_base": "${env:BASE}"}, False),
        ({"api_key": "sk-${env:KEY}"}, False),
        ({"params": {"extra_headers": {"Authorization": "Bearer x"}}}, False),
        ({"params": {"extra_headers": {"Authorization": "Bearer ${env:KEY}"}}}, True),
    ],
)
def test_a_key_is_written_out_only_for_a_loopback_base(model: dict[str, Any], accepted: bool) -> None:
    models = {"task": {"model": "openai/a", **model}}
    if accepted:
        assert config(models=models).models.task.model == "openai/a"
    else:
        assert "loopback" in complaint(models=models)


def test_a_database_password_is_written_out_only_for_a_loopback_host() -> None:
    assert "loopback" in complaint(database={"url": "postgresql+psycopg://u:p@db.example.com/x"})
    assert config(database={"url": "postgresql+psycopg://u:${env:PW}@db.example.com/x"}).database.url
    assert config(database={"url": "postgresql+psycopg://u:p@localhost/x"}).database.url


def test_roles_that_are_not_given_are_played_by_their_stand_ins() -> None:
    models = config(models={"task": "offline/t", "rewriter": "offline/r"}).models
    assert [models.of(role) for role in ("critic", "manager", "synthesizer")] == [models.rewriter] * 3
    assert models.of("embed") is None


def test_the_longest_answer_depends_on_the_role_unless_given() -> None:
    task = config().models.task
    assert (max_tokens_of("task", task), max_tokens_of("critic", task), max_tokens_of("rewriter", task)) == (
        512,
        4096,
        4096,
    )
    given = config(models={"task": {"model": "offline/a", "max_tokens": 9}}).models.task
    assert max_tokens_of("critic", given) == 9


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"api_key": "${env:KEY:-sk-live-1}"}, "a key is written out"),
        ({"params": {"aws_secret_access_key": "abc"}}, "a key is written out"),
        ({"params": {"extra_headers": {"x-auth-token": "abc"}}}, "a key is written out"),
        ({"params": {"extra_headers": {"Authorization": "Bearer abc${env:KEY:-}"}}}, "a key is written out"),
        ({"params": {"api_keys": ["abc"]}}, "a key is written out"),
        ({"params": {"max_tokens": 9000}}, "params cannot set max_tokens"),
        ({"params": {"fallbacks": ["openai/other"]}}, "params cannot set fallbacks"),
    ],
)
def test_what_would_store_a_key_or_escape_the_budget_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ModelConfig.model_validate({"model": "openai/m", **given})


def test_references_without_defaults_are_no_keys_written_out() -> None:
    headers = {"Authorization": "Bearer ${env:KEY}", "x-trace": "on"}
    given = {"model": "openai/m", "api_key": "${env:KEY}", "params": {"extra_headers": headers}}
    assert ModelConfig.model_validate(given).params["extra_headers"] == headers
