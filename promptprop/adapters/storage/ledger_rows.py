"""The rows of the ledger: calls, which every run shares and only grow, and what each run consumed of them.

A key may have several replies. Runs in mode read-write write the edition `''`, so that of two that miss a key at once
the first one stored wins; a run in any other mode writes an edition of its own, named by its id, and so meets nobody.
A hit is the newest shared row of its key, by id: a refreshed reply from the moment that it is committed. Whatever came
since, a run goes on with what it has pinned.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, case, func, select

from promptprop.adapters.storage.bulk import insert_rows, select_in
from promptprop.adapters.storage.connection import insert
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
from promptprop.domain.budget import Amount, RoleSpend, Spend
from promptprop.domain.models import Attempts, ModelRequest, Reply, storable
from promptprop.ports import READING_MODES, CacheMode, FailedCall, RecordedCall

SPENDING = (  # of a role, in the order in which they are asked for
    "calls", "prompt_tokens", "completion_tokens", "picousd", "hits", "unconfirmed", "unconfirmed_tokens", "unpriced",
)  # fmt: skip
NO_ATTEMPT = Attempts(sent=0)
COMMON = ""  # the edition of runs in mode read-write
OWN = {"read-write": (COMMON, True), "refresh": (None, True), "read": (None, False), "off": (None, False)}
REPLIES = f"SELECT key, id, {', '.join(REPLY)} FROM calls WHERE"  # noqa: S608 - names of our own columns
NEWEST_SHARED = f"{REPLIES} id IN (SELECT max(id) FROM calls WHERE key IN ({{values}}) AND shared = TRUE GROUP BY key)"  # noqa: S608
OF_EDITION = f"{REPLIES} edition = {{before}} AND key IN ({{values}})"
CONSUMED = (
    "SELECT run_calls.key, generation, failure, paid, "  # noqa: S608 - names of our own columns
    f"{', '.join(ATTEMPTS)}, calls.id, {', '.join(f'calls.{name}' for name in REPLY)} "
    "FROM run_calls LEFT JOIN calls ON calls.id = run_calls.call_id "
    "WHERE run_id = {before} AND run_calls.key IN ({values}) ORDER BY generation DESC"
)
ADD_ATTEMPTS = "(run_id, key, generation) DO UPDATE SET " + ", ".join(
    [*(f"{name} = run_calls.{name} + excluded.{name}" for name in ATTEMPTS), "paid = TRUE"]
)


@dataclass(frozen=True, slots=True)
class CallRow:
    """A reply on its way to the store: the row of `calls` and the row of `run_calls` that pins it."""

    call: dict[str, Any]
    pin: dict[str, Any]
    attempts: Attempts

    @property
    def place(self) -> tuple[str, str]:
        """Key and edition: which row of `calls` the reply is, or loses to."""
        return self.call["key"], self.call["edition"]


@dataclass(frozen=True, slots=True)
class PinRow:
    """Another run's reply on its way to be pinned; `call` is stored only if it has been pruned meanwhile."""

    call: dict[str, Any]
    pin: dict[str, Any]


class LedgerRows(Database):
    """The part of the store that keeps model calls."""

    def find_call(
        self, run_id: str, key: str, generation: int = 0, cache: CacheMode = "read-write"
    ) -> RecordedCall | None:
        """What this run consumed for `key` until `generation`; else the newest shared one, if `cache` reads; else None.

        The newest record of the run counts. A failure of an older generation does not answer. Attempts of this
        generation that brought nothing (failures committed under generation −1 − n) come with another run's reply, or
        else as a record with neither reply nor failure.
        """
        return self.find_calls(run_id, [key], generation, cache).get(key)

    def find_calls(
        self, run_id: str, keys: Sequence[str], generation: int = 0, cache: CacheMode = "read-write"
    ) -> dict[str, RecordedCall]:
        """What `find_call` says of each of these keys, without those of which it knows nothing."""
        wanted = list(dict.fromkeys(keys))
        records: dict[str, list[Sequence[Any]]] = {}
        for key, *record in self.many(CONSUMED, wanted, run_id):
            records.setdefault(key, []).append(record)
        found = {key: answer for key, known in records.items() if (answer := _answer(known, generation)) is not None}
        if cache in READING_MODES:
            unanswered = [key for key in wanted if key not in found or _open(found[key])]
            shared = self.many(NEWEST_SHARED, unanswered)
            found |= {key: _shared_answer(reply, found.get(key)) for key, *reply in shared}
        return found

    def paid(self, run_id: str) -> Amount:
        """What this run has paid in all: usage of replies, all attempts, those that brought nothing included."""
        return self.paid_by_role(run_id).total

    def paid_by_role(self, run_id: str) -> Spend:
        """What this run has paid, by role, whatever its caps let it replay; `hits` are the pins it has not paid for."""
        with self.reading() as connection:
            found = connection.execute(_spending(), {"run": run_id}).all()
        spent = {role: dict(zip(SPENDING, map(int, sums), strict=True)) for role, *sums in found}
        return Spend({role: RoleSpend(**sums) for role, sums in spent.items()})

    def failed_calls(self, run_id: str, generation: int = 0) -> int:
        """How many calls have failed for good in this generation: they stay failed until errors are retried."""
        statement = select(func.count()).where(
            run_calls.c.run_id == run_id, run_calls.c.generation == generation, run_calls.c.failure.is_not(None)
        )
        with self.reading() as connection:
            return int(connection.execute(statement).scalar_one())

    async def record_call(
        self,
        run_id: str,
        request: ModelRequest,
        reply: Reply,
        attempts: Attempts,
        generation: int = 0,
        cache: CacheMode = "read-write",
    ) -> RecordedCall:
        """Commit a reply and pin it to the run, which has paid for `attempts`; returns what was pinned.

        In mode read-write that is the newest shared row: another run's, if it was stored first. If the run has a
        record of this key and generation already, that one stands, and the attempts are added.
        """
        own, shared = OWN[cache]
        call = call_columns(request, reply, run_id if own is None else own, shared=shared)
        pin = pin_columns(run_id, request, generation, attempts, paid=True)
        recorded: RecordedCall = await self.write_row(_insert_calls, CallRow(call, pin, attempts))
        return recorded

    async def pin_call(self, run_id: str, request: ModelRequest, found: RecordedCall, generation: int = 0) -> None:
        """This run consumes another run's call, free of charge; a second time is a no-op.

        A call that was pruned since it was found is stored again, as an edition of this run that nobody shares.
        """
        if found.call_id is None or found.reply is None:
            raise ValueError(f"the call to pin has no reply: {request.key}")
        pin = pin_columns(run_id, request, generation, NO_ATTEMPT, paid=False)
        call = call_columns(request, found.reply, run_id, shared=False)
        await self.write_row(_insert_pins, PinRow(call, {**pin, "call_id": found.call_id}))


def call_columns(request: ModelRequest, reply: Reply, edition: str, *, shared: bool) -> dict[str, Any]:
    """The row of `calls` of a reply."""
    return {
        "key": request.key,
        "edition": edition,
        "shared": shared,
        "endpoint": storable(request.endpoint),
        "model": storable(request.model),
        "request": request_text(request),
        **reply_columns(reply),
        "created_at": utc_now(),
    }


def pin_columns(
    run_id: str, request: ModelRequest, generation: int, attempts: Attempts, *, paid: bool
) -> dict[str, Any]:
    """The row of `run_calls` with which a run consumes a reply; `call_id` is put to it."""
    return {
        "run_id": run_id,
        "key": request.key,
        "generation": generation,
        "failure": None,
        **attempts_columns(attempts),
        "paid": paid,
        "role": request.role,
        "created_at": utc_now(),
    }


def insert_failures(connection: Connection, run_id: str, failures: Sequence[FailedCall], generation: int) -> None:
    """Make failures final for this run; a record that is there already stands.

    Under a negative generation they are attempts that brought nothing so far, and the newest record of them stands.
    """
    rows = [
        {
            **pin_columns(run_id, failed.request, generation, failed.attempts, paid=True),
            "call_id": None,
            "failure": failure_text(failed.failure),
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
    ordered = sorted(rows, key=lambda row: row.place)
    numbers = insert_rows(connection, calls, [row.call for row in ordered])
    stored: dict[tuple[str, str], Sequence[Any]]
    if numbers is not None:  # all are new, and so the newest of their keys
        stored = {row.place: (number, *map(row.call.get, REPLY)) for row, number in zip(ordered, numbers, strict=True)}
        pins = [{**row.pin, "call_id": number} for row, number in zip(ordered, numbers, strict=True)]
    else:
        stored = _stored(connection, {row.place: None for row in ordered})
        pins = [{**row.pin, **_surplus(row, found := stored[row.place]), "call_id": found[0]} for row in ordered]
    for distinct in _rounds(pins):
        insert_rows(connection, run_calls, distinct, ADD_ATTEMPTS)
    return [_recorded(stored[row.place], row.attempts) for row in rows]


def _surplus(row: CallRow, found: Sequence[Any]) -> dict[str, int]:
    """What is put to the attempts of a reply that lost to another one: so both together are what the run has paid.

    The reply that is pinned tells its own usage; the loser's was more or less than that (then this is negative).
    """
    pinned = dict(zip(REPLY, found[1:], strict=True))
    tokens = sum(row.call[name] - pinned[name] for name in ("prompt_tokens", "completion_tokens"))
    surplus = {"unconfirmed_tokens": row.attempts.unconfirmed_tokens + tokens}
    money = row.attempts.unconfirmed_picousd
    if None not in (money, row.call["picousd"], pinned["picousd"]):
        surplus["unconfirmed_picousd"] = (money or 0) + row.call["picousd"] - pinned["picousd"]
    return surplus


def _rounds(pins: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The pins, so that none meets itself: no statement may add to one row twice."""
    rounds: list[dict[tuple[Any, ...], dict[str, Any]]] = []
    for pin in pins:
        place = (pin["run_id"], pin["key"], pin["generation"])
        free = next((one for one in rounds if place not in one), None)
        if free is None:
            rounds.append(free := {})
        free[place] = pin
    return [list(one.values()) for one in rounds]


def _stored(connection: Connection, places: Collection[tuple[str, str]]) -> dict[tuple[str, str], Sequence[Any]]:
    """Id and reply at each key and edition; at the common edition those of the newest shared row of the key."""
    common = [key for key, edition in places if edition == COMMON]
    found: dict[tuple[str, str], Sequence[Any]]
    found = {(key, COMMON): columns for key, *columns in select_in(connection, NEWEST_SHARED, common)}
    own: dict[str, list[str]] = {}
    for key, edition in places:
        if edition != COMMON:
            own.setdefault(edition, []).append(key)
    for edition, keys in own.items():
        found |= {(key, edition): columns for key, *columns in select_in(connection, OF_EDITION, keys, edition)}
    return found


def _recorded(found: Sequence[Any], attempts: Attempts) -> RecordedCall:
    call_id, *reply = found
    return RecordedCall(call_id, reply_of(reply), None, attempts, paid=True, mine=True)


def _insert_pins(connection: Connection, rows: Sequence[PinRow]) -> list[None]:
    """Pin calls that were found; those that were pruned since then are stored again first."""
    found = select_in(connection, "SELECT id, key FROM calls WHERE id IN ({values})", [r.pin["call_id"] for r in rows])
    there = {(call_id, key) for call_id, key in found}
    gone = [row.call for row in rows if (row.pin["call_id"], row.pin["key"]) not in there]
    again: dict[tuple[str, str], Sequence[Any]] = {}
    if gone:
        insert_rows(connection, calls, gone)
        again = _stored(connection, {(call["key"], call["edition"]): None for call in gone})
    pins = [
        row.pin
        if (row.pin["call_id"], row.pin["key"]) in there
        else {**row.pin, "call_id": again[row.call["key"], row.call["edition"]][0]}
        for row in rows
    ]
    insert_rows(connection, run_calls, pins)
    return [None for _ in rows]


@cache
def _spending() -> Select[Any]:
    """What a run has paid, by role, in the columns of SPENDING; made once, for it takes as long as its answer."""
    replied = and_(run_calls.c.paid, run_calls.c.call_id.is_not(None))
    sums = (
        _sum(run_calls.c.sent, run_calls.c.paid),
        _sum(calls.c.prompt_tokens, replied),
        _sum(calls.c.completion_tokens, replied),
        _sum(calls.c.picousd, replied) + _sum(run_calls.c.unconfirmed_picousd, run_calls.c.paid),
        _sum(1, ~run_calls.c.paid),
        _sum(run_calls.c.unconfirmed, run_calls.c.paid),
        _sum(run_calls.c.unconfirmed_tokens, run_calls.c.paid),
        _sum(1, and_(replied, calls.c.picousd.is_(None)))
        + _sum(run_calls.c.unconfirmed, and_(run_calls.c.paid, run_calls.c.unconfirmed_picousd.is_(None))),
    )
    return (
        select(run_calls.c.role, *sums)
        .select_from(run_calls.outerjoin(calls, calls.c.id == run_calls.c.call_id))
        .where(run_calls.c.run_id == bindparam("run"), (run_calls.c.generation >= 0) | ~_contained())
        .group_by(run_calls.c.role)
    )


def _sum(value: ColumnElement[Any] | int, where: ColumnElement[bool]) -> ColumnElement[Any]:
    return func.coalesce(func.sum(case((where, value), else_=0)), 0)


def _contained() -> ColumnElement[bool]:
    """Whether attempts that brought nothing are part of the record that ended their call."""
    ended = run_calls.alias("ended")
    return (
        select(ended.c.key)
        .where(ended.c.run_id == run_calls.c.run_id, ended.c.key == run_calls.c.key)
        .where(ended.c.generation == -1 - run_calls.c.generation, ended.c.paid)
        .exists()
    )


def _answer(records: Sequence[Sequence[Any]], generation: int) -> RecordedCall | None:
    """What a run's records of one key amount to, the newest generation first: see `find_call`."""
    found = next((record for record in records if 0 <= record[0] <= generation), None)
    if found:
        recorded, failure, paid, *rest = found
        attempts = Attempts(*rest[: len(ATTEMPTS)])
        call_id, *reply = rest[len(ATTEMPTS) :]
        if call_id is not None:
            return RecordedCall(call_id, reply_of(reply), None, attempts, bool(paid), mine=True)
        if recorded == generation:
            return RecordedCall(None, None, failure_of(failure), attempts, bool(paid), mine=True)
    lost = next((record for record in records if record[0] == -1 - generation), None)
    if lost is None:
        return None
    return RecordedCall(None, None, None, Attempts(*lost[3 : 3 + len(ATTEMPTS)]), paid=True, mine=True)


def _open(answer: RecordedCall) -> bool:
    """Whether there are only attempts that brought nothing, so that another run's reply may answer."""
    return answer.reply is None and answer.failure is None


def _shared_answer(found: Sequence[Any], lost: RecordedCall | None) -> RecordedCall:
    call_id, *reply = found
    attempts = lost.attempts if lost else NO_ATTEMPT
    return RecordedCall(call_id, reply_of(reply), None, attempts, paid=False, mine=False)
