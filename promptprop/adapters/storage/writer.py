"""The writer: one thread that owns the connection that writes, and commits whatever has queued up in one transaction.

A write counts as done only when its future resolves, which is after the commit. A write that fails leaves the others of
its batch untouched; a batch that cannot be committed (disk full, database locked) fails as a whole, and the next one is
tried afresh. A waiter that was cancelled changes nothing: its write still happens.

A batch whose connection to a server was lost is repeated once on a new one, but only where the server says that nothing
of it was committed: a write may add to what is stored, and must not happen twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from promptprop.adapters.storage.connection import is_conflict, translate
from promptprop.adapters.storage.sessions import has_committed, has_ended, transaction_number
from promptprop.domain.errors import NotWritable, PromptPropError, StorageError, StorageFull

BATCH = 500
SWITCH_SECONDS = 0.001  # the thread wins the interpreter back several times a commit: Python's 5 ms each add up
CONFLICTS = 5  # deadlocks with other processes that a batch is repeated after

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


@dataclass(slots=True)
class Trial:
    """One attempt at a batch: the number of its transaction, and its results once all that is left is the commit.

    `apart` means that each group has a savepoint of its own, so that a row that fails takes no other with it.
    """

    apart: bool = False
    number: int | None = None
    done: list[Done] | None = None


class Writer:
    """Commits writes in the order submitted. The thread starts with the first one."""

    def __init__(self, connect: Callable[[], Connection], guard: Callable[[], None] = lambda: None) -> None:
        """`connect` opens the connection, in the writer's thread; `guard` raises where nothing may be written now."""
        self._connect = connect
        self._guard = guard
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
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_SECONDS))
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
        """Apply and commit; repeated where nothing was committed, and the reason lay outside of the batch."""
        conflicts, reconnected, apart = 0, False, False
        while True:
            trial = Trial(apart)
            try:
                return self._try(batch, trial)
            except Exception as error:  # noqa: BLE001 - handed to every waiter of the batch
                lost = self._abandon()
                if is_conflict(error) and conflicts < CONFLICTS:
                    conflicts += 1
                    continue
                if not lost and not apart and not isinstance(translate(error), StorageFull | NotWritable):
                    apart = True  # some row is at fault: find it, and store the others
                    continue
                if not lost or reconnected:
                    return _failed(batch, translate(error))
                reconnected = True
                try:
                    if self._was_committed(trial, error):
                        return trial.done or []
                except PromptPropError as failure:
                    return _failed(batch, failure)

    def _try(self, batch: list[Write], trial: Trial) -> list[Done]:
        """One transaction; `trial` tells how far it came where this raises."""
        self._guard()
        if self._connection is not None and has_ended(self._connection):
            self._abandon()  # while idle: nothing is open on it
        connection = self._connection = self._connection or self._connect()
        transaction = connection.begin()
        trial.number = transaction_number(connection)
        apply = _apply_apart if trial.apart else _apply
        done = [one for group in _groups(batch) for one in apply(connection, group)]
        trial.done = done
        transaction.commit()
        return done

    def _was_committed(self, trial: Trial, error: Exception) -> bool:
        """Whether a transaction was committed whose connection was lost. Raises where that cannot be found out."""
        if trial.done is None:
            return False  # the commit was never sent
        try:
            connection = self._connection = self._connect()
            fate = None if trial.number is None else has_committed(connection, trial.number)
            connection.rollback()
        except Exception as failure:
            self._abandon()
            raise _unknown_fate(failure) from failure
        if fate is None:
            raise _unknown_fate(error) from error
        return fate

    def _abandon(self) -> bool:
        """Roll back; where even that fails, the next batch begins on a new connection. True if the old one was lost."""
        connection = self._connection
        if connection is None:
            return False
        lost = connection.invalidated
        try:
            if not lost and (transaction := connection.get_transaction()) is not None:
                transaction.rollback()
        except Exception:  # noqa: BLE001 - the batch's own error is what its waiters are told
            lost = True
        if lost or has_ended(connection):
            self._connection, lost = None, True
            with contextlib.suppress(Exception):  # it is gone already
                connection.invalidate()
            with contextlib.suppress(Exception):
                connection.close()
        return lost


def _failed(batch: list[Write], error: PromptPropError) -> list[Done]:
    return [Done(write, error=error) for write in batch]


def _unknown_fate(error: Exception) -> StorageError:
    return StorageError(
        f"the database server went away during a commit and cannot tell what became of it: {translate(error).message}",
        remedy="resume once the server is back: what is found to be stored then is not done again",
    )


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
    """Apply a group in one call."""
    results = group[0].apply(connection, [write.row for write in group])
    return [Done(write, result) for write, result in zip(group, results, strict=True)]


def _apply_apart(connection: Connection, group: list[Write]) -> list[Done]:
    """Apply a group under a savepoint; if it fails, one by one, so that only the bad row fails."""
    savepoint = connection.begin_nested()
    try:
        done = _apply(connection, group)
        savepoint.commit()
    except Exception as error:
        reason = translate(error)
        if isinstance(reason, StorageFull | NotWritable) or connection.invalidated or is_conflict(error):
            raise  # no row's fault: the batch fails, and SQLite may have ended the transaction already
        savepoint.rollback()
        if len(group) == 1:
            return [Done(group[0], error=reason)]
        return [one for write in group for one in _apply_apart(connection, [write])]
    return done


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
