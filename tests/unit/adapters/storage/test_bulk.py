"""Rows written and found by the hundred on the driver's own connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, select
from sqlalchemy.dialects import postgresql

from promptprop.adapters.storage.bulk import insert_rows, select_in
from promptprop.adapters.storage.connection import make_engine
from promptprop.adapters.storage.store import open_store
from promptprop.adapters.storage.tables import datasets

WHEN = datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=timezone.utc)


@pytest.fixture
def writing(tmp_path: Any) -> Iterator[Callable[[], Connection]]:
    url = f"sqlite:///{tmp_path / 'bulk.db'}"
    open_store(url).close()
    engine: Engine = make_engine(url, "write")
    opened: list[Connection] = []

    def connect() -> Connection:
        opened.append(engine.connect())
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()
    engine.dispose()


def row(number: int, name: str = "n") -> dict[str, Any]:
    return {"id": f"d{number:05d}", "name": name, "size": number, "created_at": WHEN}


@pytest.mark.parametrize("count", [0, 1, 2, 225, 226, 1000])
def test_any_number_of_rows_arrives_with_the_types_of_its_columns(
    writing: Callable[[], Connection], count: int
) -> None:
    connection = writing()
    with connection.begin():
        insert_rows(connection, datasets, [row(number) for number in range(count)])
    found = connection.execute(select(datasets).order_by(datasets.c.id)).all()
    assert [tuple(one) for one in found] == [(f"d{number:05d}", "n", number, WHEN) for number in range(count)]


def test_a_conflict_leaves_the_first_row_and_stores_the_others(writing: Callable[[], Connection]) -> None:
    connection = writing()
    with connection.begin():
        insert_rows(connection, datasets, [row(1, "first")])
        insert_rows(connection, datasets, [row(1, "second"), row(2, "other")])
        insert_rows(connection, datasets, [row(2, "newest")], "(id) DO UPDATE SET name = excluded.name")
    found = connection.execute(select(datasets.c.name).order_by(datasets.c.id)).scalars().all()
    assert found == ["first", "newest"]


def test_rows_are_found_by_more_values_than_one_statement_holds(writing: Callable[[], Connection]) -> None:
    connection = writing()
    with connection.begin():
        insert_rows(connection, datasets, [row(number) for number in range(2000)])
    wanted = [f"d{number:05d}" for number in range(0, 4000, 2)]
    sql = "SELECT size FROM datasets WHERE name = {before} AND id IN ({values})"
    assert sorted(size for (size,) in select_in(connection, sql, wanted, "n")) == list(range(0, 2000, 2))
    assert select_in(connection, sql, wanted, "nobody") == []
    assert select_in(connection, sql, [], "n") == []


def test_the_marks_are_those_of_the_dialect() -> None:
    sent: list[tuple[str, list[Any]]] = []

    class Cursor:
        def fetchall(self) -> list[Any]:
            return []

    class Driver:
        def execute(self, sql: str, values: list[Any]) -> Cursor:
            sent.append((sql, values))
            return Cursor()

    class Proxy:
        driver_connection = Driver()

    class Fake:
        dialect = postgresql.dialect()
        connection = Proxy()

    select_in(Fake(), "SELECT 1 WHERE a = {before} AND b IN ({values})", [1, 2], "x")  # type: ignore[arg-type]  # a fake
    assert sent == [("SELECT 1 WHERE a = %s AND b IN (%s, %s)", ["x", 1, 2])]
