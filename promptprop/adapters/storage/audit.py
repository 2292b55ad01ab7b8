"""The audit log: what was changed through the server, and who was turned away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, and_, delete, or_, select

from promptprop.adapters.logs import redact
from promptprop.adapters.storage.database import Database
from promptprop.adapters.storage.tables import audit
from promptprop.domain.models import storable
from promptprop.ports import AuditRow
from promptprop.ports.service import TURNED_AWAY

SLICE = 5_000  # rows that are looked at before other writes have their turn


class AuditRows(Database):
    """The part of the store that keeps the audit log."""

    async def record_audit(self, rows: Sequence[AuditRow]) -> None:
        """Add rows; their ids are given by the store, and texts are redacted."""
        values = [
            {name: storable(redact(value)) if isinstance(value, str) else value for name, value in asdict(row).items()}
            for row in rows
        ]
        for row in values:
            del row["id"]
        if values:
            await self.write(lambda connection: connection.execute(audit.insert(), values))

    def audit_page(self, limit: int, before_id: int | None = None) -> list[AuditRow]:
        """Rows, newest first, those with ids under `before_id`."""
        statement = select(audit).order_by(audit.c.id.desc()).limit(limit)
        if before_id is not None:
            statement = statement.where(audit.c.id < before_id)
        with self.reading() as connection:
            return [AuditRow(**row._mapping) for row in connection.execute(statement)]

    async def prune_audit(self, before: datetime, refused_before: datetime) -> int:
        """Leave out rows from before a time, those of who was turned away from before another; returns how many."""
        refused = and_(audit.c.status.in_(TURNED_AWAY), audit.c.at < refused_before)
        old = or_(audit.c.at < before, refused)
        latest = max(before, refused_before)
        place, pruned = 0, 0

        def work(connection: Connection) -> tuple[int | None, int]:
            upcoming = select(audit.c.id, audit.c.at).where(audit.c.id > place).order_by(audit.c.id).limit(SLICE)
            rows = connection.execute(upcoming).all()
            if not rows:
                return None, 0
            doomed = delete(audit).where(audit.c.id > place, audit.c.id <= rows[-1].id, old)
            count = connection.execute(doomed).rowcount
            return (rows[-1].id if rows[-1].at < latest else None), count

        while True:
            last, count = await self.write(work)
            pruned += count
            if last is None:
                return pruned
            place = last
