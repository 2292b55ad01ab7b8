"""What every store must do for experiments: runs and rows by id, and pages of both."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest
from store_rows import NOON, run_row

from promptprop.adapters.storage.experiments import experiment_name
from promptprop.adapters.storage.store import SqlStore, open_store
from promptprop.domain.models import Example

ACTIVITIES = ("optimize", "evaluate")


@pytest.fixture
def store(any_database_url: str) -> Iterator[SqlStore]:
    with closing(open_store(any_database_url)) as opened:
        yield opened


async def put_rows(store: SqlStore, experiment: str, count: int = 1) -> str:
    rows = [Example(f"{experiment}-{n}", {"query": "q"}) for n in range(count)]
    return await store.put_dataset(experiment_name(experiment), rows)


async def test_runs_of_the_wanted_activities_and_rows_that_wait_are_listed_newest_first(store: SqlStore) -> None:
    for number, activity in enumerate(["optimize", "lint", "evaluate"]):
        made = replace(run_row(f"run-{number}"), activity=activity, created_at=NOON + timedelta(minutes=number))
        await store.create_run(made)
    await put_rows(store, "waiting-1")
    found, total = store.experiment_page(10, 0, ACTIVITIES)
    assert [one.id for one in found] == ["waiting-1", "run-2", "run-0"], "the rows came today"
    assert total == 3
    assert [one.run is None for one in found] == [True, False, False]
    assert store.experiment_page(1, 1, ACTIVITIES)[0][0].id == "run-2"
    assert store.experiment_page(1, 3, ACTIVITIES) == ([], 3)


async def test_rows_under_the_id_of_a_run_are_no_experiment_of_their_own(store: SqlStore) -> None:
    await put_rows(store, "experiment-1", 2)
    await store.create_run(run_row("experiment-1"))
    found, total = store.experiment_page(10, 0, ACTIVITIES)
    assert ([one.id for one in found], total) == (["experiment-1"], 1)
    assert found[0].run is not None
    stored = store.experiment_rows("experiment-1")
    assert stored is not None
    assert stored.size == 2


async def test_rows_that_were_stored_last_count_and_the_first_ones_tell_the_age(store: SqlStore) -> None:
    first = await put_rows(store, "experiment-1")
    await asyncio.sleep(0.01)
    second = await put_rows(store, "experiment-1", 3)
    found = store.experiment("experiment-1")
    assert found is not None
    assert (found.dataset_id, found.rows, found.run) == (second, 3, None)
    assert found.updated_at > found.created_at
    assert first != second


@pytest.mark.parametrize("name", ["nobody", "%", "experiment_1", "", "run", "latest"])
async def test_an_id_is_met_exactly(store: SqlStore, name: str) -> None:
    await store.create_run(run_row("run-1234"))
    await put_rows(store, "experiment-1")
    assert store.experiment(name) is None
    assert store.experiment_rows(name) is None


async def test_a_run_whose_dataset_is_gone_has_no_rows(store: SqlStore) -> None:
    await store.create_run(run_row("run-1"))
    found = store.experiment("run-1")
    assert found is not None
    assert found.rows == 0


async def test_pages_are_cut_from_one_order_wherever_they_begin(store: SqlStore) -> None:
    for number in range(7):
        await store.create_run(replace(run_row(f"run-{number}"), created_at=NOON + timedelta(days=3000 * number)))
    for number in range(3):
        await put_rows(store, f"waiting-{number}")
        await asyncio.sleep(0.01)
    whole, total = store.experiment_page(100, 0, ACTIVITIES)
    ids = [one.id for one in whole]
    assert (len(ids), total) == (10, 10)
    assert ids == [one.id for one in sorted(whole, key=lambda one: (one.created_at, one.id), reverse=True)]
    assert 0 < ids.index("waiting-0") < 9, "they stand among the runs"
    for limit in (1, 2, 3, 10):
        for offset in range(12):
            page, _ = store.experiment_page(limit, offset, ACTIVITIES)
            assert [one.id for one in page] == ids[offset : offset + limit], (limit, offset)
