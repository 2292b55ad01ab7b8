"""Rows written by the driver itself, many in one statement: the hot writes, several times faster than one by one.

Each statement that SQLite steps through gives the interpreter away and must win it back from the event loop, so what
counts is how many statements there are. Values go through the types of their columns, as everywhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from sqlalchemy import Connection, Dialect, Table

from promptprop.adapters.storage.connection import chunks

Convert: TypeAlias = "Callable[[Any], Any] | None"

VALUES = 900  # bound values in one statement: old SQLite builds allow 999
NOTHING = "DO NOTHING"


def insert_rows(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], conflict: str = NOTHING
) -> list[int] | None:
    """Insert rows that all have the same columns; `conflict` is what follows ON CONFLICT, in SQL.

    Returns the numbers that SQLite gave them, in order, if each row was inserted: it numbers the rows of a statement
    one after the other. None where a row met another one, and on a server.
    """
    if not rows:
        return []
    names = tuple(rows[0])
    converters = _converters(table, names, connection.dialect)
    head = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES "  # noqa: S608 - names of our own tables
    marks = f"({_marks(connection, len(names))})"
    numbers: list[int] = []
    for part in chunks(rows, max(1, VALUES // len(names))):
        sql = f"{head}{', '.join([marks] * len(part))} ON CONFLICT {conflict}"
        values = [row[name] if convert is None else convert(row[name]) for row in part for name, convert in converters]
        cursor = execute(connection, sql, values)
        if connection.dialect.name == "sqlite" and cursor.rowcount == len(part):
            numbers.extend(range(cursor.lastrowid - len(part) + 1, cursor.lastrowid + 1))
    return numbers if len(numbers) == len(rows) else None


def select_in(connection: Connection, sql: str, values: Sequence[Any], *before: Any) -> list[Sequence[Any]]:
    """All rows of a query for many values; `{before}` and `{values}` in `sql` become marks, in this order.

    >>> "SELECT id FROM calls WHERE edition = {before} AND key IN ({values})".format(before="?", values="?, ?")
    'SELECT id FROM calls WHERE edition = ? AND key IN (?, ?)'
    """
    found: list[Sequence[Any]] = []
    for part in chunks(values, VALUES - len(before)):
        text = sql.format(before=_marks(connection, len(before)), values=_marks(connection, len(part)))
        found.extend(execute(connection, text, [*before, *part]).fetchall())
    return found


def execute(connection: Connection, sql: str, values: Sequence[Any]) -> Any:
    """Run one statement on the driver's connection; returns its cursor. Raises the driver's own errors."""
    driver: Any = connection.connection.driver_connection
    return driver.execute(sql, values)


def _marks(connection: Connection, count: int) -> str:
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    return ", ".join([mark] * count)


@lru_cache(maxsize=64)
def _converters(table: Table, names: tuple[str, ...], dialect: Dialect) -> list[tuple[str, Convert]]:
    return [(name, table.c[name].type.dialect_impl(dialect).bind_processor(dialect)) for name in names]
