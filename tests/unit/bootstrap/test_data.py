"""A configuration's rows: what earlier runs suspected of them, and how they are written apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from promptprop.adapters.storage.store import SqlStore
from promptprop.bootstrap.data import rows_of, suspects_of, write_rows
from promptprop.bootstrap.preparation import create_run, prepare
from promptprop.domain.errors import DatabaseTooNew, NotWritable, StorageError, UsageError
from promptprop.domain.events import LabelsSuspected, StoredEvent

DATABASE = Path("state") / "promptprop.db"
Load = Callable[..., Any]


def loaded_with(load_changed: Load, project: Path) -> Any:
    return load_changed(**{"database.url": f"sqlite:///{project / DATABASE}"})


def put_file(project: Path, content: bytes) -> None:
    (project / DATABASE).parent.mkdir()
    (project / DATABASE).write_bytes(content)


async def suspect(store: SqlStore, loaded: Any, *ids: str) -> None:
    """A run that suspected the labels of these rows."""
    run = await create_run(store, await prepare(store, loaded), "optimize", {})
    await store.append(StoredEvent(run.id, 1, datetime.now(timezone.utc), LabelsSuspected(1, ids)))


async def test_rows_are_counted_by_the_runs_of_this_name_that_suspected_them(
    load_changed: Load, real_store: SqlStore, project: Path
) -> None:
    loaded = loaded_with(load_changed, project)
    first, second = (example.id for example in rows_of(loaded).examples[:2])
    await suspect(real_store, loaded, first)
    await suspect(real_store, loaded, first, second)
    assert suspects_of(loaded) == {first: 2, second: 1}
    assert suspects_of(load_changed(name="another", **{"database.url": f"sqlite:///{project / DATABASE}"})) == {}


def test_without_a_database_nothing_is_suspected_and_none_is_made(load_changed: Load, project: Path) -> None:
    loaded = loaded_with(load_changed, project)
    assert suspects_of(loaded) == {}
    assert not (project / "state").exists()
    put_file(project, b"")  # an empty file is none, too
    assert suspects_of(loaded) == {}


def test_a_damaged_database_is_told_rather_than_taken_for_one_without_suspects(
    load_changed: Load, project: Path
) -> None:
    put_file(project, b"prompt,label\n" * 500)
    with pytest.raises(StorageError, match="no database"):
        suspects_of(loaded_with(load_changed, project))


def test_a_database_of_a_newer_version_is_told(load_changed: Load, real_store: SqlStore, project: Path) -> None:
    engine = create_engine(f"sqlite:///{project / DATABASE}")
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(DatabaseTooNew, match="9999"):
        suspects_of(loaded_with(load_changed, project))


def test_to_read_and_split_rows_no_database_is_asked(load_changed: Load, project: Path) -> None:
    put_file(project, b"prompt,label\n" * 500)
    rows = rows_of(loaded_with(load_changed, project))
    assert len(rows.examples) == len(rows.splits) == 24
    assert set(rows.splits.values()) == {"train", "select", "test"}


COLUMNS = {
    "inputs": ["Customer message", "meta.the text", "team"],
    "expected": "label",
    "id": "meta.id",
    "tags": "tags",
    "weight": "weight",
    "cluster": "team",
    "hard_negatives": "never",
}


def odd_rows(count: int = 24) -> list[dict[str, Any]]:
    """Rows of which only the first have what a row may lack."""
    first = {0: {"tags": "new, odd", "weight": 2}, 1: {"never": [{"literal": "sorry"}]}}
    return [
        {
            "meta": {"id": f"r{n}", "the text": [n, {"deep": f"text {n}"}]},
            "Customer message": f"message {n}",
            "label": "ab"[n % 2],
            "team": n // 2,
            **first.get(n, {}),
        }
        for n in range(count)
    ]


def test_splits_that_were_written_apart_are_read_again_as_the_rows_they_were(load_changed: Load, project: Path) -> None:
    (project / "odd.jsonl").write_text("".join(json.dumps(row) + "\n" for row in odd_rows()))
    loaded = load_changed(data={"file": "odd.jsonl", **COLUMNS})
    rows = rows_of(loaded)
    files = write_rows(rows, loaded.config.data, project / "apart")
    assert list(files) == ["train", "select", "test"]
    again = rows_of(load_changed(data={"files": {name: str(file) for name, file in files.items()}, **COLUMNS}))
    assert again.splits == rows.splits
    read = {one.id: replace(one, split=None) for one in again.examples}
    assert read == {one.id: one for one in rows.examples}


def test_rows_are_never_written_over_the_file_they_come_from(load_changed: Load, project: Path) -> None:
    (project / "desks.jsonl").rename(project / "train.jsonl")
    before = (project / "train.jsonl").read_bytes()
    loaded = load_changed(**{"data.file": "train.jsonl"})
    with pytest.raises(UsageError, match="is what the rows are read from"):
        write_rows(rows_of(loaded), loaded.config.data, project)
    assert (project / "train.jsonl").read_bytes() == before
    assert not (project / "test.jsonl").exists()


@pytest.mark.parametrize("folder", ["desks.jsonl", "desks.jsonl/below"])
def test_a_folder_that_cannot_be_made_is_told(load_changed: Load, project: Path, folder: str) -> None:
    loaded = load_changed()
    with pytest.raises(NotWritable, match="cannot be made"):
        write_rows(rows_of(loaded), loaded.config.data, project / folder)
