"""The rows of the ledger: calls, which every run shares and only grow, and what each run consumed of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, bindparam, case, delete, func, select

from promptprop.adapters.storage.connection import chunks, insert
from promptprop.adapters.storage.database import Database
from promptprop.adapters.storage.records import (
    ATTEMPTS,
    REPLY,
    attempts_columns,
    failure_of,
    failure_text,
    reply_columns,
    reply_of,
    request_text,
)
from promptprop.adapters.storage.runs import utc_now
from promptprop.adapters.storage.tables import calls, run_calls
from promptprop.domain.budget import Amount
from promptprop.domain.models import Attempts, ModelRequest, Reply, storable
from promptprop.ports import FailedCall, RecordedCall

NO_ATTEMPT = Attempts(sent=0)
_REPLY_COLUMNS = [calls.c[name] for name in REPLY]
_ATTEMPTS_COLUMNS = [run_calls.c[name] for name in ATTEMPTS]


@dataclass(frozen=True, slots=True)
class CacheStats:
    """The ledger in numbers. `pinned` calls are consumed by some run; the others can be pruned."""

    calls: int
    pinned: int
    tokens: int
    picousd: int


@dataclass(frozen=True, slots=True)
class CallRow:
    """A reply on its way to the store: the row of `calls` and the row of `run_calls` that pins it."""

    call: dict[str, Any]
    pin: dict[str, Any]
    attempts: Attempts


class LedgerRows(Database):
    """The part of the store that keeps model calls."""

    def find_call(self, run_id: str, key: str, generation: int = 0) -> RecordedCall | None:
        """What this run consumed for `key` up to `generation`; else any run's reply; else None.

        The newest record of the run counts. A failure of an older generation does not answer. Attempts of this
        generation that brought nothing (failures committed under generation −1 − n) come with another run's reply, or
        else as a record with neither reply nor failure.
        """
        found = self.point("consumed", _consumed, {"run_id": run_id, "key": key, "generation": generation})
        if found:
            recorded, failure, paid, *rest = found[0]
            attempts = Attempts(*rest[: len(ATTEMPTS)])
            call_id, *reply = rest[len(ATTEMPTS) :]
            if call_id is not None:
                return RecordedCall(call_id, reply_of(reply), None, attempts, bool(paid), mine=True)
            if recorded == generation:
                return RecordedCall(None, None, failure_of(failure), attempts, bool(paid), mine=True)
        lost = self.point("lost", _lost, {"run_id": run_id, "key": key, "generation": -1 - generation})
        attempts = Attempts(*lost[0]) if lost else NO_ATTEMPT
        others = self.point("stored", _stored, {"key": key})
        if others:
            call_id, *reply = others[0]
            return RecordedCall(call_id, reply_of(reply), None, attempts, paid=False, mine=False)
        return RecordedCall(None, None, None, attempts, paid=True, mine=True) if lost else None

    def paid(self, run_id: str) -> Amount:
        """What this run has paid in all: usage of replies, all attempts, those that brought nothing included."""
        ended = run_calls.alias("ended")
        contained = (
            select(ended.c.key)
            .where(ended.c.run_id == run_calls.c.run_id, ended.c.key == run_calls.c.key)
            .where(ended.c.generation == -1 - run_calls.c.generation, ended.c.paid)
            .exists()
        )
        replies = case((run_calls.c.call_id.is_not(None), calls.c.prompt_tokens + calls.c.completion_tokens), else_=0)
        sums = (
            func.sum(run_calls.c.sent),
            func.sum(replies + run_calls.c.unconfirmed_tokens),
            func.sum(func.coalesce(calls.c.picousd, 0) + func.coalesce(run_calls.c.unconfirmed_picousd, 0)),
        )
        statement = (
            select(*(func.coalesce(one, 0) for one in sums))
            .select_from(run_calls.outerjoin(calls, calls.c.id == run_calls.c.call_id))
            .where(run_calls.c.run_id == run_id, run_calls.c.paid)
            .where((run_calls.c.generation >= 0) | ~contained)
        )
        with self.reading() as connection:
            return Amount(*(int(value) for value in connection.execute(statement).one()))

    async def record_call(
        self, run_id: str, request: ModelRequest, reply: Reply, attempts: Attempts, generation: int = 0
    ) -> RecordedCall:
        """Commit a reply and pin it to the run, which has paid for `attempts`; the row stored first wins.

        If the run has a record of this key and generation already, that one stands, and the attempts are added.
        """
        now = utc_now()
        call = {
            "key": request.key,
            "endpoint": storable(request.endpoint),
            "model": storable(request.model),
            "request": request_text(request),
            **reply_columns(reply),
            "created_at": now,
        }
        pin = {
            "run_id": run_id,
            "key": request.key,
            "generation": generation,
            "failure": None,
            **attempts_columns(attempts),
            "paid": True,
            "role": request.role,
            "created_at": now,
        }
        recorded: RecordedCall = await self.write_row(_insert_calls, CallRow(call, pin, attempts))
        return recorded

    async def pin_call(self, run_id: str, key: str, call_id: int, generation: int = 0) -> None:
        """This run consumes another run's call, free of charge; a second time is a no-op."""
        pin = {
            "run_id": run_id,
            "key": key,
            "generation": generation,
            "call_id": call_id,
            "failure": None,
            **attempts_columns(NO_ATTEMPT),
            "paid": False,
            "role": "",
            "created_at": utc_now(),
        }
        await self.write_row(_insert_pins, pin)

    def cache_stats(self) -> CacheStats:
        """How many calls the ledger holds, and what they cost."""
        tokens = func.coalesce(func.sum(calls.c.prompt_tokens + calls.c.completion_tokens), 0)
        totals = select(func.count(), tokens, func.coalesce(func.sum(calls.c.picousd), 0)).select_from(calls)
        pinned = select(func.count(run_calls.c.call_id.distinct()))
        with self.reading() as connection:
            count, token_sum, picousd = connection.execute(totals).one()
            return CacheStats(count, connection.execute(pinned).scalar_one(), int(token_sum), int(picousd))

    async def prune_calls(self) -> int:
        """Delete the calls that no run has consumed; returns how many."""
        pinned = select(run_calls.c.call_id).where(run_calls.c.call_id == calls.c.id).exists()
        return await self.write(lambda connection: connection.execute(delete(calls).where(~pinned)).rowcount)


def insert_failures(connection: Connection, run_id: str, failures: Sequence[FailedCall], generation: int) -> None:
    """Make failures final for this run; a record that is there already stands.

    Under a negative generation they are attempts that brought nothing so far, and the newest record of them stands.
    """
    now = utc_now()
    rows = [
        {
            "run_id": run_id,
            "key": failed.request.key,
            "generation": generation,
            "call_id": None,
            "failure": failure_text(failed.failure),
            **attempts_columns(failed.attempts),
            "paid": True,
            "role": failed.request.role,
            "created_at": now,
        }
        for failed in failures
    ]
    if not rows:
        return
    addition = insert(connection, run_calls)
    if generation >= 0:
        connection.execute(addition.on_conflict_do_nothing(), rows)
        return
    newest = {name: addition.excluded[name] for name in ("failure", *ATTEMPTS)}
    connection.execute(
        addition.on_conflict_do_update(index_elements=["run_id", "key", "generation"], set_=newest), rows
    )


def _insert_calls(connection: Connection, rows: Sequence[CallRow]) -> list[RecordedCall]:
    """Store replies by the hundred. Keys are sorted, so that two processes on one server cannot deadlock."""
    ordered = sorted(rows, key=lambda row: str(row.call["key"]))
    connection.execute(insert(connection, calls).on_conflict_do_nothing(), [row.call for row in ordered])
    stored: dict[str, Any] = {}
    for part in chunks([row.call["key"] for row in ordered]):
        statement = select(calls.c.key, calls.c.id, *_REPLY_COLUMNS).where(calls.c.key.in_(part))
        stored.update((key, found) for key, *found in connection.execute(statement).all())
    addition = insert(connection, run_calls)
    sums = {name: run_calls.c[name] + addition.excluded[name] for name in ATTEMPTS}
    addition = addition.on_conflict_do_update(
        index_elements=["run_id", "key", "generation"], set_={**sums, "paid": True}
    )
    connection.execute(addition, [{**row.pin, "call_id": stored[row.call["key"]][0]} for row in ordered])
    return [_recorded(stored[row.call["key"]], row.attempts) for row in rows]


def _recorded(found: Sequence[Any], attempts: Attempts) -> RecordedCall:
    call_id, *reply = found
    return RecordedCall(call_id, reply_of(reply), None, attempts, paid=True, mine=True)


def _insert_pins(connection: Connection, rows: Sequence[dict[str, Any]]) -> list[None]:
    connection.execute(insert(connection, run_calls).on_conflict_do_nothing(), list(rows))
    return [None for _ in rows]


def _consumed() -> Select[Any]:
    columns = [run_calls.c.generation, run_calls.c.failure, run_calls.c.paid, *_ATTEMPTS_COLUMNS]
    return (
        select(*columns, calls.c.id, *_REPLY_COLUMNS)
        .select_from(run_calls.outerjoin(calls, calls.c.id == run_calls.c.call_id))
        .where(run_calls.c.run_id == bindparam("run_id"), run_calls.c.key == bindparam("key"))
        .where(run_calls.c.generation.between(0, bindparam("generation")))
        .order_by(run_calls.c.generation.desc())
        .limit(1)
    )


def _lost() -> Select[Any]:
    return (
        select(*_ATTEMPTS_COLUMNS)
        .where(run_calls.c.run_id == bindparam("run_id"), run_calls.c.key == bindparam("key"))
        .where(run_calls.c.generation == bindparam("generation"))
    )


def _stored() -> Select[Any]:
    return select(calls.c.id, *_REPLY_COLUMNS).where(calls.c.key == bindparam("key"))
