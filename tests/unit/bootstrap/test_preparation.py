"""From a configuration to a run in the store: checks, the snapshot, and what may differ on resume."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from promptprop.adapters.storage.store import SqlStore
from promptprop.bootstrap.preparation import (
    Prepared,
    check_same,
    check_variables,
    create_run,
    limited_examples,
    prepare,
    refreshed,
    require_rewriter,
)
from promptprop.domain.config import RunConfig
from promptprop.domain.errors import ConfigError, DataError, SnapshotMismatch
from promptprop.domain.models import Candidate, Program, Prompt, Step
from promptprop.domain.sampling import row_of, split_rows

CANARY = "sk-canary-4711"
RATIOS = {"train": 0.4, "select": 0.3, "test": 0.3}


def refused(load_changed: Any, prompt: Any, **changes: Any) -> str:
    """Why this prompt does not fit to its data."""
    from promptprop.adapters.files.prompts import read_prompts

    config = load_changed(prompt=prompt, **changes).config
    with pytest.raises(ConfigError) as caught:
        check_variables(config, *read_prompts(config))
    return str(caught.value)


# --- prompts and columns --------------------------------------------------------------------------------------------


def test_a_variable_that_no_column_supplies_is_named_with_a_guess(load_changed: Any) -> None:
    text = refused(load_changed, "Route: {{ txt }}")
    assert "the prompt uses {{ txt }}, which no column supplies" in text
    assert "did you mean {{ text }}?" in text


def test_where_nothing_is_near_the_known_columns_are_listed(load_changed: Any) -> None:
    text = refused(load_changed, "{{ text }} {{ zebra }}", **{"data.inputs": ["text", "label"], "data.expected": ...})
    assert "known are: label, text" in text
    assert "did you mean" not in text


def test_a_prompt_without_variables_is_refused_unless_it_is_literal(load_changed: Any) -> None:
    assert "uses no variable" in refused(load_changed, "Route the message.")
    assert "put {{ text }} in" in refused(load_changed, "Route the message.")
    config = load_changed(prompt={"text": "Route {{ the", "literal": True}).config
    literal = Candidate({"main": Prompt.of("Route {{ the", literal=True)})
    check_variables(config, Program((Step("main", "output"),)), [literal])


def test_a_frame_needs_the_text_and_known_variables(load_changed: Any) -> None:
    def framed(frame: str) -> str:
        return refused(load_changed, {"text": "Route {{ the", "literal": True, "frame": frame})

    assert "the frame has no {{ instruction }}" in framed("Input: {{ text }}")
    assert "uses {{ txt }}" in framed("{{ instruction }} {{ txt }}")


def test_the_same_problem_of_two_seeds_is_told_once(load_changed: Any) -> None:
    assert refused(load_changed, ["One {{ zebra }}{{ text }}", "Two {{ zebra }}{{ text }}"]).count("zebra") == 1


def test_a_template_that_cannot_be_read_is_told_before_anything_runs(load_changed: Any) -> None:
    assert "line 1 of the prompt" in refused(load_changed, "Route: {{ text")
    assert "a call" in refused(load_changed, "{{ text.upper() }}")


def test_a_step_sees_the_columns_and_the_steps_before_it(load_changed: Any) -> None:
    config = load_changed().config
    program = Program((Step("facts", "facts"), Step("desk", "output")))
    good = Candidate({"facts": Prompt.of("{{ text }}"), "desk": Prompt.of("{{ facts }} of {{ text }}")})
    check_variables(config, program, [good])
    early = Candidate({"facts": Prompt.of("{{ text }}{{ output }}"), "desk": Prompt.of("{{ facts }}")})
    with pytest.raises(ConfigError, match="output"):
        check_variables(config, program, [early])


def test_optimizing_needs_a_rewriter(load_changed: Any) -> None:
    require_rewriter(load_changed().config)
    with pytest.raises(ConfigError, match="rewriter") as caught:
        require_rewriter(load_changed(**{"models.rewriter": ...}).config)
    assert "models.rewriter" in str(caught.value)


# --- the snapshot ---------------------------------------------------------------------------------------------------


async def test_what_is_prepared_rebuilds_the_configuration_from_plain_json(
    load_changed: Any, real_store: SqlStore, project: Path
) -> None:
    loaded = load_changed()
    prepared = await prepare(real_store, loaded)
    snapshot = json.loads(json.dumps(prepared.snapshot, allow_nan=False))
    assert RunConfig.model_validate(snapshot["config"]) == loaded.config
    assert snapshot["program"] == [["main", "output", "task"]]
    assert snapshot["seeds"][0][0][0] == "main"
    assert "{{ text }}" in snapshot["seeds"][0][0][1]["messages"][0][1]
    assert snapshot["folder"] == str(project)
    assert set(snapshot["worlds"]) == {"task", "critic", "rewriter", "manager", "synthesizer"}
    assert all("# Task" in template for template in snapshot["roles"].values())


async def test_no_secret_value_reaches_the_snapshot_or_the_database(
    load_changed: Any, real_store: SqlStore, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "TEAM_KEY", "PROMPTPROP_MODELS__CRITIC__API_KEY", "DB_PASSWORD"):
        monkeypatch.setenv(name, CANARY)
    (project / ".env").write_text(f"FROM_FILE={CANARY}\n")
    models = {
        "task": {"model": "openai/m", "api_key": "${env:TEAM_KEY}"},
        "critic": {"model": "openai/m"},
        "rewriter": {"model": "openai/m", "params": {"extra_headers": {"Authorization": "Bearer ${env:FROM_FILE}"}}},
    }
    url = "postgresql+psycopg://me:${env:DB_PASSWORD}@db.example.com/x"
    prepared = await prepare(real_store, load_changed(models=models, database={"url": url}))
    run = await create_run(real_store, prepared, "optimize", {})
    assert prepared.environment["TEAM_KEY"] == CANARY
    assert CANARY not in json.dumps(prepared.snapshot)
    assert CANARY not in repr(prepared)
    assert CANARY not in repr(real_store.run(run.id))
    assert "${env:TEAM_KEY}" in json.dumps(prepared.snapshot)
    real_store.close()
    files = [file for file in (project / "state").rglob("*") if file.is_file()]
    assert files
    assert [file for file in files if CANARY.encode() in file.read_bytes()] == []


async def test_a_run_is_stored_under_a_random_id_with_its_options(load_changed: Any, real_store: SqlStore) -> None:
    prepared = await prepare(real_store, load_changed())
    first = await create_run(real_store, prepared, "evaluate", {"split": "test"})
    second = await create_run(real_store, prepared, "evaluate", {"split": "test"})
    assert first.id[:8] != second.id[:8]
    stored = real_store.run(first.id)
    assert (stored.name, stored.activity, stored.status, stored.seed) == ("desks", "evaluate", "created", 7)
    assert stored.snapshot == {**prepared.snapshot, "options": {"split": "test"}}
    assert stored.dataset_id == prepared.dataset_id


async def test_prompts_may_come_from_elsewhere(load_changed: Any, real_store: SqlStore) -> None:
    program, seed = Program((Step("main", "output"),)), Candidate({"main": Prompt.of("Other: {{ text }}")})
    prepared = await prepare(real_store, load_changed(), prompts=(program, (seed,)))
    assert prepared.snapshot["seeds"] == [[["main", seed.prompts["main"].as_json()]]]


async def test_a_role_template_of_the_users_own_is_part_of_the_snapshot(
    load_changed: Any, real_store: SqlStore, project: Path
) -> None:
    (project / "critic.md").write_text("Be harsh: {{ failures }}")
    loaded = load_changed(roles={"critic": {"template": "critic.md"}})
    assert (await prepare(real_store, loaded)).snapshot["roles"]["critic"] == "Be harsh: {{ failures }}"
    (project / "critic.md").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        await prepare(real_store, loaded)
    (project / "critic.md").unlink()
    with pytest.raises(ConfigError, match="no such file"):
        await prepare(real_store, loaded)


async def test_a_row_that_cannot_be_used_is_told_with_its_line(
    load_changed: Any, real_store: SqlStore, project: Path
) -> None:
    (project / "desks.jsonl").write_text('{"id": "a", "text": "x", "label": "b"}\n{"id": "b"}\n')
    with pytest.raises(DataError, match=r"desks\.jsonl:2"):
        await prepare(real_store, load_changed())


# --- data -----------------------------------------------------------------------------------------------------------


async def test_a_dataset_of_more_rows_than_are_let_in_is_refused(load_changed: Any, real_store: SqlStore) -> None:
    loaded = load_changed()
    count = len(list(limited_examples(loaded.config)))
    await prepare(real_store, loaded, most_rows=count)
    with pytest.raises(DataError, match=f"more than {count - 1} rows"):
        await prepare(real_store, loaded, most_rows=count - 1)


async def test_splits_are_the_same_from_the_store_as_from_the_file(load_changed: Any, real_store: SqlStore) -> None:
    loaded = load_changed()
    dataset_id = (await prepare(real_store, loaded)).dataset_id
    from_file = [row_of(example) for example in limited_examples(loaded.config)]
    from_store = real_store.rows(dataset_id)
    assert from_store == from_file
    assert split_rows(from_store, RATIOS, 7) == split_rows(from_file, RATIOS, 7)  # type: ignore[arg-type]  # plain keys


async def test_files_for_each_split_give_their_rows_their_split(load_changed: Any, project: Path) -> None:
    lines = (project / "desks.jsonl").read_text().splitlines(keepends=True)
    (project / "a.jsonl").write_text("".join(lines[:8]))
    (project / "b.jsonl").write_text("".join(lines[8:]))
    config = load_changed(**{"data.file": ..., "data.files": {"train": "a.jsonl", "test": "b.jsonl"}}).config
    assert [example.split for example in limited_examples(config)] == ["train"] * 8 + ["test"] * (len(lines) - 8)


# --- resuming -------------------------------------------------------------------------------------------------------


@pytest.fixture
async def first_prepared(load_changed: Any, real_store: SqlStore) -> Prepared:
    """What the run was started with."""
    loaded = load_changed(optimizer={"name": "backprop", "options": {"children": 3, "rounds": 2}})
    return await prepare(real_store, loaded)


SAME = {"optimizer": {"name": "backprop", "options": {"children": 3, "rounds": 2}}}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"budget": {"calls": 9, "usd": 1}},
        {"tracking": {"mlflow": False}},
        {"database": {"url": "sqlite:////other.db"}},
        {"output": "elsewhere"},
        {"models.task": {"model": "offline/task", "concurrency": 2, "rpm": 5, "tpm": 9, "timeout": 1, "retries": 0}},
        {"models.task": {"model": "offline/task", "api_key": "${env:OTHER_KEY}"}},
        {"models.task": {"model": "offline/task", "api_base": "http://localhost:9/v1", "patience": 600}},
    ],
    ids=str,
)
async def test_a_run_may_go_on_with(
    load_changed: Any, real_store: SqlStore, first_prepared: Prepared, changes: dict[str, Any]
) -> None:
    run = await create_run(real_store, first_prepared, "optimize", {})
    check_same(real_store.run(run.id), await prepare(real_store, load_changed(**{**SAME, **changes})))


async def test_a_resumption_takes_over_what_may_differ_and_no_budget(
    load_changed: Any, real_store: SqlStore, first_prepared: Prepared
) -> None:
    run = await create_run(real_store, first_prepared, "optimize", {"cache": "off"})
    model = {"model": "offline/task", "patience": 600, "retries": 9, "api_base": "http://localhost:9/v1", "rpm": 5}
    changes = {**SAME, "models.task": model, "budget": {"calls": 9}, "output": "elsewhere"}
    prepared = await prepare(real_store, load_changed(**changes))
    await real_store.update_run(run.id, snapshot=refreshed(run, prepared))
    stored = real_store.run(run.id)
    before, after = (RunConfig.model_validate(one.snapshot["config"]) for one in (run, stored))
    task = after.models.task
    assert (task.patience, task.retries, task.api_base, task.rpm) == (600, 9, "http://localhost:9/v1", 5)
    assert after.output == prepared.config.output != before.output
    assert after.budget == before.budget
    assert after.models.rewriter == before.models.rewriter
    assert {**stored.snapshot, "config": 0} == {**run.snapshot, "config": 0}
    check_same(stored, first_prepared)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 8}, "seed"),
        ({"task": "Another task."}, "task"),
        ({"models.task": {"model": "offline/task", "temperature": 0.5}}, "models.task.temperature"),
        ({"models.rewriter": "offline/rewriter-weak"}, "models.rewriter.model"),
        (
            {
                "models.task": {
                    "model": "offline/task",
                    "price": {"prompt_usd_per_million": 1, "completion_usd_per_million": 2},
                }
            },
            "models.task.price.prompt_usd_per_million",
        ),
        (
            {"models.task": {"model": "offline/task", "params": {"extra_body": {"timeout": 5}}}},
            "models.task.params",
        ),
        ({"prompt": "Other: {{ text }}"}, "seeds"),
        ({"prompt": [{"file": "prompt.md"}, "Other: {{ text }}"]}, "seeds"),
        ({"metrics": [{"id": "label", "type": "contains"}]}, "metrics.0.type"),
        ({"metrics": [{"id": "label", "type": "exact", "weight": 2}]}, "metrics.0.weight"),
        ({"optimizer": {"name": "backprop", "options": {"children": 3}}}, "optimizer.options.rounds"),
        ({"optimizer": {"name": "backprop"}}, "optimizer.options"),
        ({"data.split": {"seed": 8}}, "data.split.seed"),
    ],
)
async def test_a_difference_is_refused_by_name(
    load_changed: Any, real_store: SqlStore, first_prepared: Prepared, changes: dict[str, Any], named: str
) -> None:
    run = await create_run(real_store, first_prepared, "optimize", {})
    other = await prepare(real_store, load_changed(**{**SAME, **changes}))
    with pytest.raises(SnapshotMismatch) as caught:
        check_same(real_store.run(run.id), other)
    assert named in caught.value.message
    assert caught.value.remedy


async def test_other_rows_another_world_or_another_engine_are_refused_by_name(
    load_changed: Any, real_store: SqlStore, first_prepared: Prepared, project: Path
) -> None:
    run = await create_run(real_store, first_prepared, "optimize", {})
    data, world = project / "desks.jsonl", project / "desks.world.yaml"
    kept = data.read_text(), world.read_text()
    data.write_text("".join(kept[0].splitlines(keepends=True)[:-1]))
    with pytest.raises(SnapshotMismatch, match="the dataset's contents"):
        check_same(run, await prepare(real_store, load_changed(**SAME)))
    data.write_text(kept[0])
    world.write_text(kept[1] + "\n# changed\n")
    with pytest.raises(SnapshotMismatch, match="worlds"):
        check_same(run, await prepare(real_store, load_changed(**SAME)))
    world.write_text(kept[1])
    older = {key: value for key, value in run.snapshot.items() if key not in {"engine", "scorer"}}
    with pytest.raises(SnapshotMismatch, match="engine, scorer"):
        check_same(replace(run, snapshot=older), first_prepared)
