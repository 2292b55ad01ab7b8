"""Recordings in the store: replies that a run is given, and those that it has consumed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from promptprop.adapters.storage.bulk import insert_rows, select_in
from promptprop.adapters.storage.connection import chunks, insert
from promptprop.adapters.storage.database import Database
from promptprop.adapters.storage.ledger_rows import NO_ATTEMPT, OF_EDITION, call_columns, pin_columns
from promptprop.adapters.storage.records import REPLY, reply_of
from promptprop.adapters.storage.tables import calls, run_calls
from promptprop.domain.models import ModelRequest
from promptprop.ports import RecordedReply


class RecordingRows(Database):
    """The part of the store that gives runs what was recorded elsewhere, and tells what they have consumed."""

    async def pin_replies(self, run_id: str, replies: Sequence[RecordedReply]) -> None:
        """This run consumes replies of a recording, free and for itself alone; what it has recorded stands."""
        found = {one.request.key: one for one in replies}

        def work(connection: Connection) -> None:
            for part in chunks(list(found)):
                rows = [call_columns(found[key].request, found[key].reply, run_id, shared=False) for key in part]
                insert_rows(connection, calls, rows)
                stored = {key: number for key, number, *_ in select_in(connection, OF_EDITION, part, run_id)}
                pins = [
                    {
                        **pin_columns(run_id, found[key].request, 0, NO_ATTEMPT, paid=False),
                        "call_id": stored[key],
                    }
                    for key in part
                ]
                connection.execute(insert(connection, run_calls).on_conflict_do_nothing(), pins)

        if found:
            await self.write(work)

    def replies(self, run_id: str) -> list[RecordedReply]:
        """The replies that a run has consumed, by key, in the newest generation of each."""
        columns = (run_calls.c.key, run_calls.c.role, calls.c.endpoint, calls.c.model)
        statement = (
            select(*columns, *(calls.c[name] for name in REPLY))
            .join(calls, calls.c.id == run_calls.c.call_id)
            .where(run_calls.c.run_id == run_id, run_calls.c.generation >= 0)
            .order_by(run_calls.c.key, run_calls.c.generation)
        )
        with self.reading() as connection:
            found = connection.execute(statement).all()
        return list({row.key: _recorded(row) for row in found}.values())


def _recorded(row: Any) -> RecordedReply:
    key, role, endpoint, model, *reply = row
    return RecordedReply(ModelRequest(endpoint, model, (), role=role, key=key), reply_of(reply))
