"""Pages are answered by an index, however much is stored: SQLite tells so of each statement."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from itertools import combinations
from typing import Any

import pytest
from sqlalchemy import event

from promptprop.adapters.storage.store import SqlStore

NOW = datetime(2026, 1, 2, tzinfo=timezone.utc)
FILTERS = {"status": "running", "activity": "check", "name": "router", "owner": "alice"}
CHOSEN = [dict(some) for size in range(len(FILTERS) + 1) for some in combinations(FILTERS.items(), size)]


@contextmanager
def statements(store: SqlStore) -> Iterator[list[tuple[str, Any]]]:
    """What is asked of the database, in SQL."""
    found: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        found.append((statement, parameters))

    event.listen(store._engine, "before_cursor_execute", note)
    yield found
    event.remove(store._engine, "before_cursor_execute", note)


def plan_of(store: SqlStore, ask: Callable[[SqlStore], object]) -> list[str]:
    """How SQLite answers, a line for each step."""
    with statements(store) as asked:
        ask(store)
    assert asked
    with store.reading() as connection:
        return [
            str(row[3])
            for sql, parameters in asked
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters).all()
        ]


@pytest.mark.parametrize("after", [None, (NOW, "r")], ids=["first", "later"])
@pytest.mark.parametrize("filters", CHOSEN, ids=lambda chosen: "+".join(chosen) or "all")
def test_a_page_of_runs_reads_an_index_in_its_order(sql_store: SqlStore, filters: dict[str, str], after: Any) -> None:
    plan = plan_of(sql_store, lambda store: store.run_page(50, after, **filters))  # type: ignore[arg-type]
    assert len(plan) == 1, "a second step would sort"
    assert "INDEX ix_runs_" in plan[0]


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: store.run_counts(),
        lambda store: store.live_runs_of("alice"),
        lambda store: store.dataset_heads(50, (NOW, "d")),
        lambda store: store.evaluation_page("run-1", after_id=7),
        lambda store: store.event_page("run-1", 7, 100),
        lambda store: store.dataset_rows("d", 7),
        lambda store: store.wishes("run-1"),
        lambda store: store.find_token("pp_" + "a" * 43),
        lambda store: store.audit_page(50, 700),
    ],
    ids=["counts", "live", "datasets", "evaluations", "events", "rows", "wishes", "token", "audit"],
)
def test_what_a_server_asks_all_the_time_sorts_nothing(sql_store: SqlStore, ask: Callable[[SqlStore], object]) -> None:
    plan = plan_of(sql_store, ask)
    assert len(plan) == 1
    assert plan[0].startswith("SEARCH") or "COVERING INDEX" in plan[0]


def test_a_run_is_found_by_its_id_without_reading_others(sql_store: SqlStore) -> None:
    assert plan_of(sql_store, lambda store: store.progress(["run-1"]))[0].startswith("SEARCH")
    assert plan_of(sql_store, lambda store: store.last_seqs(["run-1", "run-2"]))[0].startswith("SEARCH")
