"""The last tick of each live run, for those who watch from another process."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, select

from promptprop.adapters.storage.connection import chunks, insert
from promptprop.adapters.storage.database import Database
from promptprop.adapters.storage.records import json_text
from promptprop.adapters.storage.runs import utc_now
from promptprop.adapters.storage.tables import progress, runs
from promptprop.domain.models import Json
from promptprop.ports import ProgressRow


class ProgressRows(Database):
    """The part of the store that keeps ticks."""

    async def keep_progress(self, run_id: str, body: Mapping[str, Json]) -> None:
        """Replace the last tick of a run; one that is not stored any more is left out in silence."""
        row = {"run_id": run_id, "body": json_text(dict(body)), "at": utc_now()}

        def work(connection: Connection) -> None:
            if connection.execute(select(runs.c.id).where(runs.c.id == run_id)).first():
                kept = insert(connection, progress).values(**row)
                connection.execute(kept.on_conflict_do_update(index_elements=["run_id"], set_=row))

        await self.write(work)

    def progress(self, run_ids: Sequence[str]) -> dict[str, ProgressRow]:
        """The last ticks of these runs, as far as there are any."""
        found: dict[str, ProgressRow] = {}
        with self.reading() as connection:
            for part in chunks(run_ids):
                for row in connection.execute(select(progress).where(progress.c.run_id.in_(part))):
                    found[row.run_id] = ProgressRow(row.run_id, json.loads(row.body), row.at)
        return found
