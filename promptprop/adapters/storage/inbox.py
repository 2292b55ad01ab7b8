"""The inbox of a run: what people ask of it while it goes on, and what it asks them about a rewrite."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update

from promptprop.adapters.logs import redact
from promptprop.adapters.storage.connection import insert
from promptprop.adapters.storage.database import Database
from promptprop.adapters.storage.records import json_text
from promptprop.adapters.storage.runs import unknown_run, utc_now
from promptprop.adapters.storage.tables import interventions, pending_reviews, runs
from promptprop.domain.errors import UsageError
from promptprop.domain.models import Json, storable
from promptprop.domain.people import ENDINGS, Ending, Wish, intervention_of
from promptprop.ports import WishRow

WITHDRAWN = "the run was resumed before it ended"


class InboxRows(Database):
    """The part of the store that keeps wishes."""

    async def leave_wish(self, run_id: str, kind: str, body: Mapping[str, Json], author: str = "") -> Wish:
        """Leave a wish. Raises RunNotFound, and UsageError for what can never be, or not any more."""
        if kind not in ENDINGS:
            intervention_of(kind, body)
        elif body:
            raise UsageError(f"{kind} takes nothing, got {', '.join(body)}")
        row = {
            "run_id": run_id,
            "kind": kind,
            "body": json_text(dict(body)),
            "author": storable(author),
            "created_at": utc_now(),
        }

        def work(connection: Connection) -> Wish:
            status = connection.execute(select(runs.c.status).where(runs.c.id == run_id)).scalar()
            if status is None:
                raise unknown_run(run_id)
            if status == "finished":
                raise UsageError(f"run {run_id[:8]} is finished: what it found stands", remedy="start a new run")
            left = interventions.insert().values(**row).returning(interventions)
            return _wish_of(connection.execute(left).one())

        return await self.write(work)

    def wishes(self, run_id: str) -> list[Wish]:
        """The wishes that wait, oldest first; one look at an index where there are none."""
        with self.reading() as connection:
            return [_wish_of(row) for row in connection.execute(_waiting(run_id))]

    def wish_rows(self, run_id: str, after_id: int = 0, limit: int = 100) -> list[WishRow]:
        """All wishes of a run, oldest first, with what came of them."""
        table = interventions.c
        statement = select(interventions).where(table.run_id == run_id, table.id > after_id)
        with self.reading() as connection:
            return [_wish_row_of(row) for row in connection.execute(statement.order_by(table.id).limit(limit))]

    def wish_row(self, run_id: str, wish_id: int) -> WishRow | None:
        """One wish of a run."""
        found = self.wish_rows(run_id, wish_id - 1, 1)
        return found[0] if found and found[0].wish.id == wish_id else None

    async def settle_wish(self, wish_id: int, refused: str | None = None) -> None:
        """Mark a wish as taken, or as refused for this reason; one that is settled stays as it is."""
        reason = None if refused is None else storable(redact(refused))
        statement = update(interventions).where(interventions.c.id == wish_id, interventions.c.taken_at.is_(None))
        await self.write(lambda connection: connection.execute(statement.values(taken_at=utc_now(), refused=reason)))

    def ending(self, run_id: str) -> Ending:
        """How a run that is interrupted now ends: as a waiting wish says (cancelled first), else interrupted."""
        wanted = {wish.kind for wish in self.wishes(run_id)}
        return next((ending for ending in reversed(ENDINGS) if ending in wanted), "interrupted")

    async def withdraw_endings(self, run_id: str) -> None:
        """Waiting pauses and cancellations count no more: somebody resumes the run."""
        table = interventions.c
        statement = update(interventions).where(table.run_id == run_id, table.taken_at.is_(None))
        statement = statement.where(table.kind.in_(ENDINGS)).values(taken_at=utc_now(), refused=WITHDRAWN)
        await self.write(lambda connection: connection.execute(statement))

    async def show_review(self, run_id: str, body: Mapping[str, Json] | None) -> None:
        """What a run waits to be told about a rewrite; None where it waits no longer."""
        if body is None:
            over = delete(pending_reviews).where(pending_reviews.c.run_id == run_id)
            await self.write(lambda connection: connection.execute(over))
            return
        row = {"run_id": run_id, "body": json_text(dict(body)), "at": utc_now()}

        def work(connection: Connection) -> None:
            shown = insert(connection, pending_reviews).values(**row)
            connection.execute(shown.on_conflict_do_update(index_elements=["run_id"], set_=row))

        await self.write(work)

    def pending_review(self, run_id: str) -> Mapping[str, Json] | None:
        """What a run waits to be told, if it waits."""
        statement = select(pending_reviews.c.body).where(pending_reviews.c.run_id == run_id)
        with self.reading() as connection:
            found = connection.execute(statement).scalar()
        return None if found is None else dict(json.loads(found))


def _waiting(run_id: str) -> Any:
    table = interventions.c
    return select(interventions).where(table.run_id == run_id, table.taken_at.is_(None)).order_by(table.id)


def _wish_of(row: Row[Any]) -> Wish:
    return Wish(row.id, row.run_id, row.kind, json.loads(row.body), row.author, row.created_at)


def _wish_row_of(row: Row[Any]) -> WishRow:
    return WishRow(_wish_of(row), row.taken_at, row.refused)
