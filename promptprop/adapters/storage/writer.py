"""The writer: one thread that owns the connection that writes, and commits whatever has queued up in one transaction.

A write counts as done only when its future resolves, which is after the commit. A write that fails leaves the others of
its batch untouched; a batch that cannot be committed (disk full, database locked) fails as a whole, and the next one is
tried afresh. A waiter that was cancelled changes nothing: its write still happens.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

from sqlalchemy import Connection, RootTransaction
from sqlalchemy.exc import SQLAlchemyError

from promptprop.adapters.storage.connection import translate
from promptprop.domain.errors import NotWritable, PromptPropError, StorageError, StorageFull

BATCH = 500

Apply: TypeAlias = Callable[[Connection, Sequence[Any]], Sequence[Any]]


@dataclass(slots=True)
class Write:
    """Rows with one `apply` that stand next to each other in the queue are applied in one call."""

    apply: Apply
    row: Any
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


@dataclass(slots=True)
class Done:
    """A write with what came of it."""

    write: Write
    result: Any = None
    error: PromptPropError | None = None


class Writer:
    """Commits writes in the order submitted. The thread starts with the first one."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        """`connect` opens the connection, in the writer's thread."""
        self._connect = connect
        self._connection: Connection | None = None
        self._queue: SimpleQueue[Write | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, apply: Apply, row: Any = None) -> asyncio.Future[Any]:
        """Queue a write; the future resolves to the row's result after the commit. Called on an event loop."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        with self._lock:
            if self._closed:
                raise StorageError("the database has been closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="promptprop-writer", daemon=True)
                self._thread.start()
            self._queue.put(Write(apply, row, future, loop))
        return future

    def close(self) -> None:
        """Commit what is queued, then end the thread. May be called twice."""
        with self._lock:
            first, self._closed = not self._closed, True
            if first and self._thread is not None:
                self._queue.put(None)
        if self._thread is not None:
            self._thread.join()

    def _serve(self) -> None:
        last = False
        while not last:
            batch, last = self._drain()
            if batch:
                _settle(self._commit(batch))
        if self._connection is not None:
            with contextlib.suppress(SQLAlchemyError):  # all is committed: nothing can be lost by a failing close
                self._connection.close()

    def _drain(self) -> tuple[list[Write], bool]:
        """Wait for one write, then take what else is there; True means that none will follow."""
        batch: list[Write] = []
        item = self._queue.get()
        while item is not None:
            batch.append(item)
            if len(batch) == BATCH:
                return batch, False
            try:
                item = self._queue.get_nowait()
            except Empty:
                return batch, False
        return batch, True

    def _commit(self, batch: list[Write]) -> list[Done]:
        transaction: RootTransaction | None = None
        try:
            if self._connection is None:
                self._connection = self._connect()
            transaction = self._connection.begin()
            done = [one for group in _groups(batch) for one in _apply(self._connection, group)]
            transaction.commit()
        except Exception as error:  # noqa: BLE001 - handed to every waiter of the batch
            self._abandon(transaction)
            return [Done(write, error=translate(error)) for write in batch]
        return done

    def _abandon(self, transaction: RootTransaction | None) -> None:
        """Roll back; where even that fails, the next batch begins on a new connection."""
        try:
            if transaction is not None:
                transaction.rollback()
        except Exception:  # noqa: BLE001 - the batch's own error is what its waiters are told
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.invalidate()
                connection.close()


def _groups(batch: Sequence[Write]) -> list[list[Write]]:
    """Neighbours with one `apply` together; the order stays."""
    groups: list[list[Write]] = []
    for write in batch:
        if groups and groups[-1][0].apply == write.apply:
            groups[-1].append(write)
        else:
            groups.append([write])
    return groups


def _apply(connection: Connection, group: list[Write]) -> list[Done]:
    """Apply a group under a savepoint; if it fails, one by one, so that only the bad row fails."""
    savepoint = connection.begin_nested()
    try:
        results = group[0].apply(connection, [write.row for write in group])
        savepoint.commit()
    except Exception as error:
        reason = translate(error)
        if isinstance(reason, StorageFull | NotWritable) or connection.invalidated:
            raise  # no row's fault: the batch fails, and SQLite may have ended the transaction already
        savepoint.rollback()
        if len(group) == 1:
            return [Done(group[0], error=reason)]
        return [one for write in group for one in _apply(connection, [write])]
    return [Done(write, result) for write, result in zip(group, results, strict=True)]


def _settle(done: list[Done]) -> None:
    """Resolve futures on their loops: one callback a loop, since each wakes the loop up."""
    loops: dict[asyncio.AbstractEventLoop, list[Done]] = {}
    for one in done:
        loops.setdefault(one.write.loop, []).append(one)
    for loop, settled in loops.items():
        with contextlib.suppress(RuntimeError):  # the loop was closed, and its waiters with it
            loop.call_soon_threadsafe(_resolve, settled)


def _resolve(done: list[Done]) -> None:
    for one in done:
        if one.write.future.done():
            continue  # its waiter was cancelled; the write stands
        if one.error is not None:
            one.write.future.set_exception(one.error)
        else:
            one.write.future.set_result(one.result)
