"""From files, flags and the environment to a configuration and an open database."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from promptprop.bootstrap.configuration import (
    DATABASE_VARIABLE,
    PROJECT_FOLDER,
    SystemClock,
    database_url,
    load,
    open_database,
    option_models,
    project_folder,
    schema,
    with_written_secrets,
)
from promptprop.domain.errors import ConfigError, StorageError


def test_the_clock_tells_utc_and_never_goes_back() -> None:
    clock = SystemClock()
    assert clock.now().utcoffset() == timedelta(0)
    assert clock.monotonic() <= clock.monotonic()


def test_options_of_everything_registered_are_checked(load_changed: Any) -> None:
    assert {"exact", "regex"} <= set(option_models()["metrics"])
    assert {"backprop", "classic"} <= set(option_models()["optimizers"])
    with pytest.raises(ConfigError, match="childern"):
        load_changed(optimizer={"name": "backprop", "options": {"childern": 3}})


def test_flags_and_sets_change_what_the_file_says(project: Path, load_changed: Any) -> None:
    load_changed()
    loaded = load(project / "desks.yaml", ["seed=11"], {"budget.calls": 5})
    assert (loaded.config.seed, loaded.config.budget.calls) == (11, 5)


def test_a_file_of_variables_is_read_where_it_is_named(project: Path, load_changed: Any) -> None:
    load_changed()
    (project / "keys.env").write_text("SOME_KEY=from-the-file\n")
    loaded = load(project / "desks.yaml", env_file=project / "keys.env")
    assert loaded.environment["SOME_KEY"] == "from-the-file"


def test_the_schema_knows_the_options_of_metrics_and_optimizers() -> None:
    text = str(schema())
    assert "ignore_case" in text
    assert "children" in text


def test_the_database_is_named_by_flag_configuration_environment_or_project_in_this_order(
    project: Path, load_changed: Any
) -> None:
    config = load_changed(database={"url": "sqlite:////configured.db"}).config
    env = {DATABASE_VARIABLE: "sqlite:////from-env.db"}
    assert database_url("sqlite:////flag.db", config, env) == "sqlite:////flag.db"
    assert database_url(None, config, env) == "sqlite:////configured.db"
    assert database_url(None, load_changed().config, env) == "sqlite:////from-env.db"
    assert database_url(None, None, {}) == f"sqlite:///{project / PROJECT_FOLDER / 'promptprop.db'}"


def test_the_process_environment_counts_where_none_is_given(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATABASE_VARIABLE, "sqlite:////from-env.db")
    assert database_url() == "sqlite:////from-env.db"


def test_a_reference_in_the_database_is_resolved_late_and_a_missing_one_is_named(load_changed: Any) -> None:
    config = load_changed(database={"url": "sqlite:///${env:STATE_FOLDER}/x.db"}).config
    assert database_url(None, config, {"STATE_FOLDER": "/state"}) == "sqlite:////state/x.db"
    with pytest.raises(ConfigError, match="STATE_FOLDER"):
        database_url(None, config, {})


def test_a_new_database_brings_its_folder_and_keeps_it_out_of_git(project: Path) -> None:
    store = open_database(database_url(env={}))
    try:
        assert store.runs() == []
        assert (project_folder() / ".gitignore").read_text() == "*\n"
    finally:
        store.close()
    (project_folder() / ".gitignore").write_text("mine\n")
    open_database(database_url(env={})).close()
    assert (project_folder() / ".gitignore").read_text() == "mine\n"


def test_a_database_elsewhere_makes_no_project_folder(project: Path) -> None:
    open_database(f"sqlite:///{project}/elsewhere.db").close()
    assert not project_folder().exists()


def test_a_database_that_must_exist_is_not_made(project: Path) -> None:
    with pytest.raises(StorageError):
        open_database(f"sqlite:///{project}/elsewhere.db", must_exist=True)
    assert not (project / "elsewhere.db").exists()


def test_secrets_that_the_file_writes_out_are_read_from_it_again(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n', encoding="utf-8")
    config = """
        task: Sort.
        prompt: "{{ text }}"
        data: {file: rows.jsonl, inputs: [text]}
        models: {task: {model: openai/m, api_base: "http://127.0.0.1:9/v1", api_key: written-out-key-1}}
        metrics: [exact]
    """
    file.write_text(config, encoding="utf-8")
    loaded = load(file)
    snapshot = {"config": loaded.config.snapshot(), "folder": str(tmp_path), "path": "run.yaml"}
    assert "written-out-key-1" not in str(snapshot)
    (name,) = with_written_secrets(snapshot, {}).keys()
    assert with_written_secrets(snapshot, {"A": "b"}) == {"A": "b", name: "written-out-key-1"}
    assert with_written_secrets(snapshot, {name: "mine"}) == {name: "mine"}
    file.unlink()
    assert with_written_secrets(snapshot, {"A": "b"}) == {"A": "b"}
