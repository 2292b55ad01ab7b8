"""Runs without their snapshots, by the page, and what else lists and heads of runs need."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select, update

from promptprop.adapters.storage.connection import chunks, serialize
from promptprop.adapters.storage.database import Database, behind
from promptprop.adapters.storage.records import storable_or_none
from promptprop.adapters.storage.runs import NEWEST, OF_ID, found_run, unknown_run, utc_now
from promptprop.adapters.storage.tables import events, progress, runs
from promptprop.domain.models import storable
from promptprop.ports import LIVE_RUNS, Cursor, Queued, RunHead, RunState

HEAD = [column for column in runs.c if column.name != "snapshot"]
HEADS = select(*HEAD)
HEAD_OF_ID = HEADS.where(OF_ID)


class ListingRows(Database):
    """The part of the store that lists runs."""

    def run_page(
        self,
        limit: int,
        after: Cursor | None = None,
        *,
        status: str | None = None,
        activity: str | None = None,
        name: str | None = None,
        owner: str | None = None,
    ) -> list[RunHead]:
        """Runs, newest first, those behind `after`."""
        statement = HEADS.order_by(*NEWEST).limit(limit)
        if after is not None:
            statement = statement.where(behind(runs, after))
        wanted = {"status": status, "activity": activity, "name": name, "owner": owner}
        for column, value in wanted.items():
            if value is not None:
                statement = statement.where(runs.c[column] == storable(value))
        with self.reading() as connection:
            found = connection.execute(statement).all()
        return [_head_of(row) for row in found]

    def run_head(self, run_id: str) -> RunHead:
        """The run of exactly this id, without its snapshot. Raises RunNotFound."""
        with self.reading() as connection:
            found = connection.execute(HEAD_OF_ID, {"run": storable(run_id)}).first()
        if found is None:
            raise unknown_run(run_id)
        return _head_of(found)

    def find_run_head(self, reference: str) -> RunHead:
        """The run that a reference names, as `run` finds it. Raises RunNotFound, AmbiguousRun."""
        with self.reading() as connection:
            return _head_of(found_run(connection, HEADS, storable(reference)))

    def run_counts(self) -> dict[str, int]:
        """How many runs there are of each status."""
        with self.reading() as connection:
            found = connection.execute(select(runs.c.status, func.count()).group_by(runs.c.status)).all()
        return {status: int(count) for status, count in found}

    def live_runs_of(self, owner: str) -> int:
        """How many runs of this owner are queued or running."""
        with self.reading() as connection:
            return int(connection.execute(_live(storable(owner))).scalar_one())

    async def change_status(
        self, run_id: str, before: Sequence[str], status: str, stop_reason: str | None = None
    ) -> bool:
        """Give a run this status and stop reason if it has one of those before; tells whether it had."""
        changes = {"status": storable(status), "stop_reason": storable_or_none(stop_reason), "updated_at": utc_now()}
        statement = update(runs).where(runs.c.id == run_id, runs.c.status.in_(before)).values(**changes)
        return await self.write(lambda connection: connection.execute(statement).rowcount > 0)

    async def queue_run(self, run_id: str, before: Sequence[str], most_live: int | None = None) -> Queued:
        """Give a run the status queued if it has one of those before, and its owner has fewer live runs than this."""
        row = select(runs.c.owner, runs.c.status).where(runs.c.id == run_id)
        change = update(runs).where(runs.c.id == run_id).values(status="queued", stop_reason=None, updated_at=utc_now())

        def work(connection: Connection) -> Queued:
            found = connection.execute(row.with_for_update()).first()
            if found is None or found.status not in before:
                return "elsewhere"
            if most_live is not None:
                serialize(connection, f"runs of {found.owner}")  # or two processes would count the same room
                if connection.execute(_live(found.owner)).scalar_one() >= most_live:
                    return "full"
            connection.execute(change)
            return "queued"

        return await self.write(work)

    def last_seq(self, run_id: str) -> int:
        """The seq of a run's newest event, 0 where there is none."""
        with self.reading() as connection:
            found = connection.execute(select(func.max(events.c.seq)).where(events.c.run_id == run_id)).scalar()
        return found or 0

    def last_seqs(self, run_ids: Sequence[str]) -> dict[str, int]:
        """The same of several runs; those without events are left out."""
        found: dict[str, int] = {}
        with self.reading() as connection:
            for part in chunks(run_ids):
                newest = select(events.c.run_id, func.max(events.c.seq)).where(events.c.run_id.in_(part))
                found.update((run_id, seq) for run_id, seq in connection.execute(newest.group_by(events.c.run_id)))
        return found

    def run_states(self, run_ids: Sequence[str]) -> dict[str, RunState]:
        """What is to be told of these runs now; those that are not stored are left out.

        Status and last event are read by one statement: a run that is over has no more events than this tells.
        """
        newest = select(func.max(events.c.seq)).where(events.c.run_id == runs.c.id).scalar_subquery()
        columns = (runs.c.id, runs.c.status, runs.c.stop_reason, newest.label("last_seq"), progress.c.body)
        joined = runs.outerjoin(progress, progress.c.run_id == runs.c.id)
        found: dict[str, RunState] = {}
        with self.reading() as connection:
            for part in chunks(run_ids):
                for row in connection.execute(select(*columns).select_from(joined).where(runs.c.id.in_(part))):
                    tick = None if row.body is None else json.loads(row.body)
                    found[row.id] = RunState(row.status, row.stop_reason, row.last_seq or 0, tick)
        return found


def _live(owner: str) -> Select[tuple[int]]:
    return select(func.count()).where(runs.c.owner == owner, runs.c.status.in_(LIVE_RUNS))


def _head_of(row: Row[Any]) -> RunHead:
    return RunHead(**{**row._mapping, "summary": json.loads(row.summary)})
