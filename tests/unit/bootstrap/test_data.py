"""A configuration's rows: what earlier runs suspected of them, and which failures of the database are shown."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from promptprop.adapters.storage.store import SqlStore
from promptprop.bootstrap.data import rows_of, suspects_of
from promptprop.bootstrap.preparation import create_run, prepare
from promptprop.domain.errors import DatabaseTooNew, StorageError
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
