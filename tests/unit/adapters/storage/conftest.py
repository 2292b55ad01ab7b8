"""A database in a folder of its own, and the values that the tests of storage write into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from promptprop.adapters.storage.store import SqlStore, open_store
from promptprop.domain.models import Message, ModelRequest
from promptprop.ports import RunRow


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """Names a database that does not exist yet."""
    return f"sqlite:///{tmp_path}/state/promptprop.db"


@pytest.fixture
def sql_store(database_url: str) -> Iterator[SqlStore]:
    """A new store, closed afterwards."""
    store = open_store(database_url)
    yield store
    store.close()


@pytest.fixture
def some_run() -> RunRow:
    """A run with the id `run-1`."""
    now = datetime(2026, 1, 2, tzinfo=timezone.utc)
    return RunRow("run-1", "name", "optimize", "created", 7, now, now, {}, "dataset")


@pytest.fixture
def request_of() -> Callable[[object], ModelRequest]:
    """Requests that differ by their text."""
    return lambda text: ModelRequest("task", "m", (Message("user", str(text)),))
