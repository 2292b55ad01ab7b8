"""The ledger as a cache: what it holds, what it has saved, and what can be removed from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, case, delete, func, select

from promptprop.adapters.storage.connection import sqlite_file
from promptprop.adapters.storage.database import Database
from promptprop.adapters.storage.tables import calls, run_calls

PRUNED_AT_ONCE = 2000  # rows in one transaction: runs that write meanwhile wait for no more than that


@dataclass(frozen=True, slots=True)
class CallSums:
    """Some calls in numbers. `unpriced` of them have no known price and are missing from `picousd`."""

    calls: int = 0
    tokens: int = 0
    picousd: int = 0
    unpriced: int = 0


@dataclass(frozen=True, slots=True)
class ModelCalls:
    """The calls of one model: all of them, and those that no run has consumed."""

    model: str
    held: CallSums
    prunable: int


@dataclass(frozen=True, slots=True)
class CacheStats:
    """The ledger in numbers.

    `shared` calls answer other runs; `pinned` ones are consumed by some run and stay; the others can be pruned. `saved`
    sums the hits: what runs took from others' calls instead of paying for it. `size_bytes` is the whole database.
    """

    held: CallSums
    shared: int
    pinned: int
    saved: CallSums
    models: tuple[ModelCalls, ...]
    size_bytes: int

    @property
    def prunable(self) -> int:
        """Calls that no run has consumed."""
        return self.held.calls - self.pinned


class CacheRows(Database):
    """The part of the store that counts and removes calls."""

    def cache_stats(self) -> CacheStats:
        """What the ledger holds and has saved; it reads all calls, so it takes seconds where there are millions."""
        pinned = _pinned()
        by_model = (
            select(
                calls.c.model,
                *_sums(),
                func.coalesce(func.sum(case((calls.c.shared, 1), else_=0)), 0),
                func.coalesce(func.sum(case((pinned, 1), else_=0)), 0),
            )
            .group_by(calls.c.model)
            .order_by(func.count().desc(), calls.c.model)
        )
        hits = select(*_sums()).select_from(run_calls.join(calls, calls.c.id == run_calls.c.call_id))
        with self.reading() as connection:
            found = connection.execute(by_model).all()
            saved = CallSums(*map(int, connection.execute(hits.where(~run_calls.c.paid)).one()))
        models = tuple(ModelCalls(row[0], CallSums(*map(int, row[1:5])), int(row[1]) - int(row[6])) for row in found)
        held = CallSums(*(sum(int(row[column]) for row in found) for column in range(1, 5)))
        shared, kept = (sum(int(row[column]) for row in found) for column in (5, 6))
        return CacheStats(held, shared, kept, saved, models, self.size_bytes())

    def prunable(self, before: datetime | None = None, model: str | None = None) -> CallSums:
        """The calls that `prune_calls` would remove."""
        with self.reading() as connection:
            found = connection.execute(select(*_sums()).where(_removable(before, model))).one()
        return CallSums(*map(int, found))

    async def prune_calls(self, before: datetime | None = None, model: str | None = None) -> int:
        """Remove calls that no run has consumed; returns how many. Runs may go on meanwhile.

        `before` leaves calls from then on, `model` those of other models.
        """
        some = select(calls.c.id).where(_removable(before, model)).limit(PRUNED_AT_ONCE)
        statement = delete(calls).where(calls.c.id.in_(some), ~_pinned())
        removed, last = 0, -1
        while last:
            last = await self.write(lambda connection: connection.execute(statement).rowcount)
            removed += last
        return removed

    def size_bytes(self) -> int:
        """Bytes on disk: an SQLite file with its journal, or what the server says of the database."""
        file = sqlite_file(self.url)
        if file is None:
            with self.reading() as connection:
                found = connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one()
            return int(found)
        parts = [file, file.with_name(f"{file.name}-wal")]
        return sum(part.stat().st_size for part in parts if part.exists())


def _pinned() -> ColumnElement[bool]:
    return select(run_calls.c.call_id).where(run_calls.c.call_id == calls.c.id).correlate(calls).exists()


def _removable(before: datetime | None, model: str | None) -> ColumnElement[bool]:
    wanted = [~_pinned()]
    if before is not None:
        wanted.append(calls.c.created_at < before)
    if model is not None:
        wanted.append(calls.c.model == model)
    return and_(*wanted)


def _sums() -> list[ColumnElement[Any]]:
    """The columns of `CallSums`."""
    return [
        func.count(),
        func.coalesce(func.sum(calls.c.prompt_tokens + calls.c.completion_tokens), 0),
        func.coalesce(func.sum(calls.c.picousd), 0),
        func.coalesce(func.sum(case((calls.c.picousd.is_(None), 1), else_=0)), 0),
    ]
