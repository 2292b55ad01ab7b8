"""Requests under a key of their sender's: carried out once, answered as often as they are sent."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, select, update

from promptprop.adapters.storage.connection import insert
from promptprop.adapters.storage.database import Database
from promptprop.adapters.storage.records import storable_or_none
from promptprop.adapters.storage.runs import utc_now
from promptprop.adapters.storage.tables import idempotency
from promptprop.domain.models import storable
from promptprop.ports import KeptAnswer


class IdempotencyRows(Database):
    """The part of the store that keeps answers by key."""

    async def begin_request(
        self, owner: str, key: str, fingerprint: str, stale_seconds: float = 60
    ) -> KeptAnswer | None:
        """Take the key: None says that it is ours now, else this is what was made of it before.

        A request that has been under way for longer than `stale_seconds` was lost with its process: its key is ours.
        """
        now, row_of_key = utc_now(), _key(owner, key)
        fresh = {"fingerprint": storable(fingerprint), "created_at": now}
        lost = and_(
            row_of_key,
            idempotency.c.status.is_(None),
            idempotency.c.created_at < now - timedelta(seconds=stale_seconds),
        )

        def work(connection: Connection) -> KeptAnswer | None:
            taken = insert(connection, idempotency).values(owner=storable(owner), key=storable(key), **fresh)
            options: dict[str, Any] = {"preserve_rowcount": True}  # else −1 on a server
            if connection.execute(taken.on_conflict_do_nothing(), execution_options=options).rowcount:
                return None
            if connection.execute(update(idempotency).where(lost).values(**fresh)).rowcount:
                return None
            found = connection.execute(select(idempotency).where(row_of_key)).one()
            return KeptAnswer(found.fingerprint, found.created_at, found.status, found.location, found.body)

        return await self.write(work)

    async def keep_answer(self, owner: str, key: str, status: int, body: str, location: str | None = None) -> None:
        """Store what the request was answered."""
        values = {"status": status, "body": storable(body), "location": storable_or_none(location)}
        statement = update(idempotency).where(_key(owner, key)).values(**values)
        await self.write(lambda connection: connection.execute(statement))

    async def drop_request(self, owner: str, key: str) -> None:
        """Give the key back: the request came to nothing, and may be sent again."""
        statement = delete(idempotency).where(_key(owner, key), idempotency.c.status.is_(None))
        await self.write(lambda connection: connection.execute(statement))

    async def prune_answers(self, before: datetime) -> int:
        """Forget what was asked before this time; returns how many keys that were."""
        statement = delete(idempotency).where(idempotency.c.created_at < before)
        return await self.write(lambda connection: connection.execute(statement).rowcount)


def _key(owner: str, key: str) -> ColumnElement[bool]:
    return and_(idempotency.c.owner == storable(owner), idempotency.c.key == storable(key))
