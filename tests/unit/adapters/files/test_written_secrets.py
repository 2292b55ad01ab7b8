from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from promptprop.adapters.files.config import LoadedConfig, load_config
from promptprop.adapters.files.environment import resolve, resolve_model
from promptprop.adapters.files.written_secrets import kept_apart
from promptprop.domain.config import RunConfig

HERE = "http://127.0.0.1:1/v1"


def load(folder: Path, model: dict[str, Any], **more: Any) -> LoadedConfig:
    config = {
        "task": "t",
        "prompt": {"text": "{{ text }}"},
        "data": {"file": "rows.jsonl", "inputs": ["text"], "expected": "label"},
        "models": {"task": {"model": "openai/m", **model}},
        "metrics": ["exact"],
        **more,
    }
    (folder / "rows.jsonl").write_text('{"text": "a", "label": "b"}\n')
    (folder / "run.yaml").write_text(json.dumps(config))
    return load_config(folder / "run.yaml", env={"KEY": "k-env"}, user_file=folder / "none.yaml")


@pytest.mark.parametrize(
    ("model", "variable"),
    [
        ({"api_base": HERE, "api_key": "k-canary"}, "PROMPTPROP_MODELS__TASK__API_KEY"),
        ({"api_base": "http://me:k-canary@host/v1"}, "PROMPTPROP_MODELS__TASK__API_BASE"),
        ({"api_base": "http://host/v1?code=k-canary"}, "PROMPTPROP_MODELS__TASK__API_BASE"),
        (
            {"api_base": HERE, "params": {"extra_headers": {"x-api-key": "Bearer k-canary"}}},
            "PROMPTPROP_MODELS__TASK__PARAMS__EXTRA_HEADERS__X_API_KEY",
        ),
    ],
)
def test_a_secret_that_is_written_out_becomes_a_reference_that_resolves_to_it(
    tmp_path: Path, model: dict[str, Any], variable: str
) -> None:
    loaded = load(tmp_path, model)
    kept = kept_apart(loaded)
    stored = json.dumps(kept.config.snapshot())
    assert "k-canary" not in stored
    assert f"${{env:{variable}}}" in stored
    resolved = resolve_model(kept.config.endpoints["task"], kept.environment, "models.task")
    assert resolved == loaded.config.endpoints["task"]
    assert RunConfig.model_validate(kept.config.snapshot()) == kept.config


def test_the_passwords_of_database_and_tracker_are_kept_apart(tmp_path: Path) -> None:
    url, uri = "postgresql+psycopg://me:k-canary@localhost/db", "http://me:k-canary@host"
    kept = kept_apart(load(tmp_path, {}, database={"url": url}, tracking={"mlflow": {"uri": uri}}))
    assert "k-canary" not in json.dumps(kept.config.snapshot())
    assert resolve(str(kept.config.database.url), kept.environment) == url
    assert kept.config.tracking.mlflow is not None
    assert resolve(str(kept.config.tracking.mlflow.uri), kept.environment) == uri


@pytest.mark.parametrize(
    "model",
    [
        {"api_key": "${env:KEY}", "params": {"extra_headers": {"Authorization": "Bearer ${env:KEY}"}}},
        {"api_base": "http://me:${env:KEY}@host/v1?api-version=2", "params": {"extra_query": {"version": "2"}}},
        {"api_base": "http://host/v1", "params": {"extra_headers": {"x-title": "shop"}}},
    ],
)
def test_references_and_what_is_no_secret_stay_as_they_are(tmp_path: Path, model: dict[str, Any]) -> None:
    loaded = load(tmp_path, model)
    assert kept_apart(loaded) is loaded


def test_headers_that_differ_in_their_signs_alone_are_not_mixed_up(tmp_path: Path) -> None:
    headers = {"x-api-key": "k-one", "x_api_key": "k-two"}
    kept = kept_apart(load(tmp_path, {"api_base": HERE, "params": {"extra_headers": headers}}))
    resolved = resolve_model(kept.config.endpoints["task"], kept.environment, "models.task")
    assert resolved.params["extra_headers"] == headers
