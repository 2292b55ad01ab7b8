"""Runs and their events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, delete, func, select, update

from promptprop.adapters.logs import redact
from promptprop.adapters.storage.connection import chunks
from promptprop.adapters.storage.database import Database
from promptprop.adapters.storage.records import json_text, storable_or_none
from promptprop.adapters.storage.tables import calls, events, run_calls, runs
from promptprop.domain.errors import AmbiguousRun, DatabaseTooNew, RunNotFound, StorageError
from promptprop.domain.events import Event, StoredEvent, body_of, event_of
from promptprop.domain.models import Json, storable
from promptprop.ports import RunRow

PREFIX = 4  # characters that a run reference needs to count as a prefix of an id
NEWEST = (runs.c.created_at.desc(), runs.c.id.desc())
OF_ID = runs.c.id == bindparam("run")


def utc_now() -> datetime:
    """The time that rows are stamped with."""
    return datetime.now(timezone.utc)


class RunRows(Database):
    """The part of the store that keeps runs and events."""

    async def create_run(self, run: RunRow) -> None:
        """Store a new run. Raises StorageError where its id is taken."""
        row = {
            "id": storable(run.id),
            "name": storable(run.name),
            "activity": storable(run.activity),
            "status": storable(run.status),
            "seed": run.seed,
            "created_at": run.created_at,
            "updated_at": run.updated_at,
            "snapshot": json_text(dict(run.snapshot)),
            "dataset_id": storable(run.dataset_id),
            "stop_reason": storable_or_none(run.stop_reason),
            "active_seconds": run.active_seconds,
            "summary": json_text(dict(run.summary)),
            "owner": storable(run.owner),
        }

        def work(connection: Connection) -> None:
            if connection.execute(select(runs.c.id).where(runs.c.id == row["id"])).first():
                raise StorageError(f"the run {run.id} is stored already", remedy=f"resume it: --resume {run.id}")
            connection.execute(runs.insert(), row)

        await self.write(work)

    def run(self, reference: str) -> RunRow:
        """The run of this id, name, unambiguous id prefix of at least 4 characters, or `latest`.

        They are tried in this order. A name stands for its newest run. Raises RunNotFound, AmbiguousRun.
        """
        with self.reading() as connection:
            return run_of(found_run(connection, select(runs), storable(reference)))

    def runs(self, limit: int = 50, offset: int = 0) -> list[RunRow]:
        """Runs, newest first."""
        with self.reading() as connection:
            found = connection.execute(select(runs).order_by(*NEWEST).limit(limit).offset(offset)).all()
        return [run_of(row) for row in found]

    def runs_that_opened(self, sealed: str) -> list[str]:
        """The finished runs whose summary says that they opened these sealed rows, oldest first."""
        chosen = select(runs.c.id, runs.c.summary).where(runs.c.status == "finished", runs.c.summary.contains(sealed))
        with self.reading() as connection:
            found = connection.execute(chosen.order_by(runs.c.created_at, runs.c.id)).all()
        return [row.id for row in found if json.loads(row.summary).get("opened") == sealed]

    async def update_run(
        self,
        run_id: str,
        *,
        status: str | None = None,
        stop_reason: str | None = None,
        active_seconds: float | None = None,
        summary: Mapping[str, Json] | None = None,
        snapshot: Mapping[str, Json] | None = None,
    ) -> None:
        """Change the fields that are given; a run that is running again has no stop reason. Raises RunNotFound."""
        given = {
            "status": storable_or_none(status),
            "stop_reason": storable_or_none(stop_reason),
            "active_seconds": active_seconds,
            "summary": None if summary is None else json_text(dict(summary)),
            "snapshot": None if snapshot is None else json_text(dict(snapshot)),
        }
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if status == "running":
            changes.setdefault("stop_reason", None)

        def work(connection: Connection) -> None:
            statement = update(runs).where(runs.c.id == run_id).values(updated_at=utc_now(), **changes)
            if connection.execute(statement).rowcount == 0:
                raise unknown_run(run_id)

        await self.write(work)

    async def delete_run(self, run_id: str, *, purge: bool = False) -> None:
        """Erase a run with its events, evaluations and candidates; `purge` takes along calls that no other run pins.

        Named prompts and datasets stay. Raises RunNotFound.
        """

        def work(connection: Connection) -> None:
            pinned = select(run_calls.c.call_id).where(run_calls.c.run_id == run_id, run_calls.c.call_id.is_not(None))
            ids = list(connection.execute(pinned).scalars()) if purge else []
            if connection.execute(delete(runs).where(runs.c.id == run_id)).rowcount == 0:
                raise unknown_run(run_id)
            elsewhere = select(run_calls.c.call_id).where(run_calls.c.call_id == calls.c.id).exists()
            for part in chunks(ids):
                connection.execute(delete(calls).where(calls.c.id.in_(part), ~elsewhere))

        await self.write(work)

    async def append(self, event: StoredEvent) -> None:
        """Append an event. Raises StorageError where its seq is not the next one of its run."""
        row = {
            "run_id": event.run_id,
            "seq": event.seq,
            "kind": event.event.kind,
            "body": json_text(_body(event.event)),
            "meta": json_text(dict(event.meta)),
            "at": event.at,
        }

        def work(connection: Connection) -> None:
            newest = select(func.max(events.c.seq)).where(events.c.run_id == event.run_id)
            expected = (connection.execute(newest).scalar() or 0) + 1
            if event.seq != expected:
                message = f"event {event.seq} of run {event.run_id} is not the next one, which is {expected}"
                raise StorageError(message, remedy="end the other process that works on this run")
            connection.execute(events.insert(), row)

        await self.write(work)

    def events(self, run_id: str, after: int = 0) -> list[StoredEvent]:
        """Events with seq > `after`, ascending. Raises DatabaseTooNew for a kind that this version does not know."""
        return self.event_page(run_id, after)

    def event_page(self, run_id: str, after: int, limit: int | None = None) -> list[StoredEvent]:
        """The same, at most `limit` of them."""
        statement = select(events).where(events.c.run_id == run_id, events.c.seq > after).order_by(events.c.seq)
        with self.reading() as connection:
            found = connection.execute(statement.limit(limit)).all()
        return [_event_of(row) for row in found]


def found_run(connection: Connection, wanted: Select[Any], reference: str) -> Row[Any]:
    """What is `wanted` of the run that a reference names. Raises RunNotFound, AmbiguousRun."""
    found = connection.execute(wanted.where(OF_ID), {"run": reference}).all()  # mostly: at once
    found = found or connection.execute(_matching(wanted, reference)).all()
    if not found:
        remedy = "`promptprop runs list` shows the runs of this database"
        raise RunNotFound(f"no run answers to {reference!r}", remedy=remedy)
    if len(found) > 1:
        ids = ", ".join(row.id for row in found)
        raise AmbiguousRun(f"{reference!r} begins the ids of several runs: {ids}", remedy="give more characters")
    return found[0]


def _matching(wanted: Select[Any], reference: str) -> Select[Any]:
    """The best match of a reference: at most one run, but for a prefix that several ids share."""
    if reference == "latest":
        return wanted.order_by(*NEWEST).limit(1)
    names = select(runs.c.id).where(runs.c.name == reference).order_by(*NEWEST).limit(1)
    same_id = select(runs.c.id).where(runs.c.id == reference)
    by_id = runs.c.id == reference
    by_name = runs.c.id.in_(names) & ~same_id.exists()
    if len(reference) < PREFIX:
        return wanted.where(by_id | by_name)
    by_prefix = (func.substr(runs.c.id, 1, len(reference)) == reference) & ~same_id.exists() & ~names.exists()
    return wanted.where(by_id | by_name | by_prefix).order_by(*NEWEST).limit(10)


def _body(event: Event) -> Json:
    """An event's body. Lifecycle events may repeat what a server said; decisions are compared and stay as they are."""
    body = body_of(event)
    return {name: _redacted(value) for name, value in body.items()} if event.lifecycle else body


def _redacted(value: Json) -> Json:
    """The value with every text in it redacted; names stay, for they are those of fields, roles and caps."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {name: _redacted(item) for name, item in value.items()}
    return [_redacted(item) for item in value] if isinstance(value, list) else value


def unknown_run(run_id: str) -> RunNotFound:
    """The error for an id that no run has."""
    return RunNotFound(f"no run has the id {run_id!r}", remedy="`promptprop runs list` shows the runs of this database")


def run_of(row: Row[Any]) -> RunRow:
    """A row of the table as the port has it."""
    fields = dict(row._mapping)
    for name in ("snapshot", "summary"):
        fields[name] = json.loads(fields[name])
    return RunRow(**fields)


def _event_of(row: Row[Any]) -> StoredEvent:
    try:
        event = event_of(row.kind, json.loads(row.body))
    except KeyError as error:
        remedy = "use the version of PromptProp that wrote it, or a newer one"
        raise DatabaseTooNew(f"the run holds an event of the unknown kind {row.kind!r}", remedy=remedy) from error
    return StoredEvent(row.run_id, row.seq, row.at, event, json.loads(row.meta))
