"""From a run's row to the engine that runs it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from promptprop.adapters.storage.store import SqlStore
from promptprop.bootstrap import assembly as subject
from promptprop.bootstrap import models
from promptprop.bootstrap.assembly import assemble, build_engine, build_search, plan_run
from promptprop.bootstrap.preparation import create_run, prepare
from promptprop.domain.config import RunConfig
from promptprop.domain.errors import ConfigError, UsageError
from promptprop.domain.events import body_of, event_of
from promptprop.ports import RunRow
from promptprop.services.desk import Interventions


async def new_run(
    store: SqlStore, loaded: Any, activity: str = "optimize", options: dict[str, Any] | None = None
) -> RunRow:
    return await create_run(store, await prepare(store, loaded), activity, options or {})


async def test_a_run_is_composed_from_its_row_alone(load_changed: Any, real_store: SqlStore, project: Path) -> None:
    run = await new_run(real_store, load_changed())
    for name in ("desks.yaml", "prompt.md"):  # what they said is in the store
        (project / name).unlink()
    assembly = await assemble(real_store, real_store.run(run.id), {})
    await assembly.equipment.ledger.close()
    started = assembly.started
    assert (started.name, started.activity, started.optimizer, started.simulated) == (
        "desks", "optimize", "backprop", True,
    )  # fmt: skip
    assert started.models == {
        "task": "offline/task", "critic": "offline/critic", "rewriter": "offline/rewriter",
    }  # fmt: skip
    assert sum(started.rows.values()) == 24
    assert started.budget["calls"] == 4000
    assert event_of("run_started", body_of(started)) == started
    assert assembly.equipment.longest_inputs > 20


async def test_rows_to_confirm_are_cut_from_select_and_no_row_is_in_two_parts(
    load_changed: Any, real_store: SqlStore
) -> None:
    run = await new_run(real_store, load_changed())
    _, brief = build_search(real_store, run, RunConfig.model_validate(run.snapshot["config"]))
    parts = [brief.train, brief.select, brief.confirm, brief.test]
    ids = [row.id for part in parts for row in part]
    assert len(ids) == len(set(ids)) == 24
    assert all(parts)
    assert brief.seeds[0].text.startswith("You route messages")


@pytest.mark.parametrize("split", ["all", "train", "select", "test"])
async def test_an_evaluation_scores_the_rows_of_its_split(load_changed: Any, real_store: SqlStore, split: str) -> None:
    run = await new_run(real_store, load_changed(), "evaluate", {"split": split, "repeats": 2})
    config = RunConfig.model_validate(run.snapshot["config"])
    optimizer, brief = build_search(real_store, run, config)
    searched = await new_run(real_store, load_changed())
    _, whole = build_search(real_store, searched, config)
    expected = {
        "all": 24, "train": len(whole.train), "select": len(whole.select) + len(whole.confirm), "test": len(whole.test),
    }  # fmt: skip
    assert len(brief.select) == expected[split]
    assert brief.train == brief.test == brief.confirm == ()
    assert optimizer.shape(brief).finish == 2 * expected[split]


async def test_a_split_that_does_not_exist_is_refused_with_those_that_do(
    load_changed: Any, real_store: SqlStore
) -> None:
    run = await new_run(real_store, load_changed(), "evaluate", {"split": "validation"})
    with pytest.raises(UsageError, match="there is no split 'validation'") as caught:
        build_search(real_store, run, RunConfig.model_validate(run.snapshot["config"]))
    assert "all, train, select, test" in caught.value.remedy


@pytest.mark.parametrize("cap", [{"calls": 3}, {"tokens": 50}, {"usd": "0.000001"}])
async def test_a_budget_that_cannot_pay_the_end_names_its_cap(
    load_changed: Any, real_store: SqlStore, cap: dict[str, Any]
) -> None:
    run = await new_run(real_store, load_changed(budget=cap))
    (name,) = cap
    with pytest.raises(UsageError, match=rf"budget\.{name} leaves nothing for the search") as caught:
        await assemble(real_store, run, {})
    assert f"raise budget.{name}" in caught.value.remedy


async def test_all_clients_are_closed_where_the_run_cannot_be_composed(
    load_changed: Any, real_store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []

    async def open_client(_config: object, _model: object, _environment: object, key: str) -> object:
        async def close() -> None:
            closed.append(key)

        return SimpleNamespace(price=lambda: None, close=close)

    monkeypatch.setattr(models, "open_client", open_client)
    run = await new_run(real_store, load_changed(budget={"usd": 1}))
    with pytest.raises(ConfigError, match=r"budget\.usd is set"):
        await assemble(real_store, run, {})
    assert sorted(closed) == ["models.critic", "models.rewriter", "models.task"]


async def test_a_missing_world_is_named(load_changed: Any, real_store: SqlStore, project: Path) -> None:
    run = await new_run(real_store, load_changed())
    (project / "desks.world.yaml").unlink()
    with pytest.raises(ConfigError, match=r"desks\.world\.yaml"):
        await assemble(real_store, run, {})


async def test_a_missing_key_is_named_when_a_run_is_composed(load_changed: Any, real_store: SqlStore) -> None:
    run = await new_run(real_store, load_changed(**{"models.rewriter": "openai/m"}))
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        await assemble(real_store, run, {})


async def test_a_plan_costs_nothing_and_knows_the_price(load_changed: Any, real_store: SqlStore) -> None:
    run = await new_run(real_store, load_changed())
    plan = await plan_run(real_store, run, {})
    assert sum(plan.rows.values()) == 24
    assert plan.priced
    assert plan.finish.high.calls > 0
    assert plan.total.high.calls <= 4000
    assert real_store.events(run.id) == []


async def test_the_longest_inputs_are_found_in_bytes_over_all_rows(
    load_changed: Any, real_store: SqlStore, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await new_run(real_store, load_changed())
    rows = real_store.rows(run.dataset_id)
    contents = real_store.examples(run.dataset_id, [row.id for row in rows])
    longest = max(len(str(example.inputs["text"]).encode()) for example in contents)
    assert subject.longest_inputs(real_store, run.dataset_id, rows) == longest
    assert subject.longest_inputs(real_store, run.dataset_id, []) == 0


async def test_an_evaluation_runs_from_end_to_end(load_changed: Any, real_store: SqlStore, project: Path) -> None:
    run = await new_run(real_store, load_changed(), "evaluate", {"split": "test"})
    engine = build_engine(real_store, f"sqlite:///{project}/state/promptprop.db", {})
    await engine.run(run.id)
    report = engine.report(run.id)
    assert report.history.status == "finished"
    assert 0 <= report.history.record(report.seed.id).scores["test"].mean <= 1
    assert report.history.spend.total.calls == report.history.record(report.seed.id).scores["test"].n


async def test_a_cap_on_money_that_comes_late_is_refused_at_an_unknown_price(
    load_changed: Any, real_store: SqlStore, project: Path
) -> None:
    model = {"model": "openai/my-own", "api_base": "http://127.0.0.1:9/v1"}
    run = await new_run(real_store, load_changed(**{"models.task": model}), "evaluate", {"split": "test"})
    engine = build_engine(real_store, f"sqlite:///{project}/state/promptprop.db", {})
    with pytest.raises(ConfigError, match=r"the price of openai/my-own \(task\) is not known"):
        await engine.run(run.id, interventions=Interventions({"usd": "1"}))
    assert real_store.events(run.id) == []
    assert real_store.run(run.id).status == "created"
