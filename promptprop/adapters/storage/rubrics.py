"""Rubrics: versions by name, each stored once under the hash of its contents."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, Row, func, select

from promptprop.adapters.storage.connection import serialize
from promptprop.adapters.storage.database import Database
from promptprop.adapters.storage.records import json_text, storable_or_none
from promptprop.adapters.storage.runs import utc_now
from promptprop.adapters.storage.tables import rubrics
from promptprop.domain.models import storable
from promptprop.domain.rubric import Rubric
from promptprop.ports import RubricVersion


class RubricRows(Database):
    """The part of the store that keeps rubrics."""

    async def keep_rubric(self, name: str, rubric: Rubric, run_id: str | None) -> RubricVersion:
        """A new version of this name, unless the rubric is stored already: then that one."""
        name = storable(name)

        def work(connection: Connection) -> RubricVersion:
            serialize(connection, f"rubric {name}")  # or two processes would count the same next version
            found = connection.execute(_by_id(rubric.id)).first()
            if found is None:
                newest = connection.execute(select(func.max(rubrics.c.version)).where(rubrics.c.name == name)).scalar()
                row = {
                    "id": rubric.id,
                    "name": name,
                    "version": (newest or 0) + 1,
                    "contents": json_text(rubric.as_json()),
                    "run_id": storable_or_none(run_id),
                    "created_at": utc_now(),
                }
                connection.execute(rubrics.insert(), row)
                found = connection.execute(_by_id(rubric.id)).one()
            return _version_of(found)

        return await self.write(work)

    def rubric(self, rubric_id: str) -> RubricVersion | None:
        """The rubric of this id; None where there is none."""
        with self.reading() as connection:
            found = connection.execute(_by_id(storable(rubric_id))).first()
        return None if found is None else _version_of(found)


def _by_id(rubric_id: str) -> Any:
    return select(rubrics).where(rubrics.c.id == rubric_id)


def _version_of(row: Row[Any]) -> RubricVersion:
    return RubricVersion(row.name, row.version, Rubric.from_json(json.loads(row.contents)), row.run_id, row.created_at)
