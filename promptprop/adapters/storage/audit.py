"""The audit log: what was changed through the server, and who was turned away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import select

from promptprop.adapters.logs import redact
from promptprop.adapters.storage.database import Database
from promptprop.adapters.storage.tables import audit
from promptprop.domain.models import storable
from promptprop.ports import AuditRow


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
