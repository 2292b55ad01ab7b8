"""What every part of the store stands on: reads on the caller's thread, writes through the one writer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Table, bindparam, literal, tuple_
from sqlalchemy.exc import SQLAlchemyError

from promptprop.adapters.storage.bulk import select_in
from promptprop.adapters.storage.connection import make_engine, translate, translated
from promptprop.adapters.storage.locks import lock_guard
from promptprop.adapters.storage.sessions import has_ended, is_broken
from promptprop.adapters.storage.writer import Apply, Writer
from promptprop.domain.errors import StorageError
from promptprop.ports import Cursor

T = TypeVar("T")


class Database:
    """One database: a read connection for each thread that reads, each statement seeing what is committed by then."""

    def __init__(self, url: str) -> None:
        """`url` names a database that exists and is at the newest revision: see `open_store`."""
        self.url = url
        self._engine = make_engine(url, "read")
        self._write_engine = make_engine(url, "write")
        self._writer = Writer(self._write_engine.connect, lock_guard(url))
        self._readers: dict[threading.Thread, Connection] = {}
        self._lock = threading.Lock()
        self._closed = False

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in the writer's next transaction; resolves once that is committed."""
        result: T = await self._writer.submit(lambda connection, _rows: [work(connection)])
        return result

    async def write_row(self, apply: Apply, row: Any) -> Any:
        """Write one row, together with its neighbours in the queue that have the same `apply`."""
        return await self._writer.submit(apply, row)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """The thread's own read connection."""
        with translated():
            yield self._reader()

    def many(self, sql: str, values: Sequence[Any], *before: Any) -> list[Any]:
        """Rows of a query for many values: see `select_in`.

        Read below SQLAlchemy's types; once more on a new connection where a server has ended the old one.
        """
        with translated():
            connection = self._reader()
        try:
            return select_in(connection, sql, values, *before)
        except Exception as error:
            lost = is_broken(connection)
            self._drop_reader()
            if not lost:
                raise translate(error) from error
        with translated():  # once more: a read changes nothing
            return select_in(self._reader(), sql, values, *before)

    def close(self) -> None:
        """Drain the writer and close. May be called twice."""
        self._writer.close()
        with self._lock:
            self._closed = True
            readers, self._readers = self._readers, {}
        for connection in readers.values():
            _close(connection)
        self._engine.dispose()
        self._write_engine.dispose()

    def _reader(self) -> Connection:
        thread = threading.current_thread()
        connection = self._readers.get(thread)
        if connection is not None and not connection.invalidated and not has_ended(connection):
            return connection
        with self._lock:
            if self._closed:
                raise StorageError("the database has been closed")
            for other in [other for other in self._readers if other is thread or not other.is_alive()]:
                _close(self._readers.pop(other))
            connection = self._readers[thread] = self._engine.connect()
        return connection

    def _drop_reader(self) -> None:
        """The next read connects anew: below SQLAlchemy's types nobody else notices that a server went away."""
        with self._lock:
            connection = self._readers.pop(threading.current_thread(), None)
        if connection is not None:
            connection.invalidate()
            connection.close()


def behind(table: Table, after: Cursor) -> ColumnElement[bool]:
    """The rows that follow the cursor where the newest come first; an index on both columns answers it."""
    moment, row_id = after
    return tuple_(table.c.created_at, table.c.id) < tuple_(
        bindparam(None, moment, table.c.created_at.type), literal(row_id)
    )


def _close(connection: Connection) -> None:
    with suppress(SQLAlchemyError):  # one that a server has ended cannot be rolled back, and has nothing to lose
        connection.close()
