"""What a campaign looks at in a database whose processes have died, without repairing anything that they left."""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from runs_over_http import committed, integrity, left_behind
from world_server import question

PATIENCE = 60.0  # seconds that a server may take to notice that a client is gone


class Remains(Protocol):
    """A database seen from outside."""

    url: str

    def names(self) -> dict[str, str]:
        """Run ids by name; nothing where the tables are not there yet."""
        ...

    def calls(self, *, after_death: bool) -> Counter[str]:
        """How often each question was answered and committed."""
        ...

    def check(self) -> str:
        """`ok` where the database is sound."""
        ...


@dataclass(frozen=True)
class SqliteRemains:
    """An SQLite file, read from a copy where its process has died, so that recovery is left to the next one."""

    file: Path

    @property
    def url(self) -> str:
        """As the command line takes it."""
        return f"sqlite:///{self.file}"

    def names(self) -> dict[str, str]:
        """Run ids by name."""
        if not self.file.exists():
            return {}
        with closing(sqlite3.connect(self.file)) as connection, connection:
            try:
                return dict(connection.execute("SELECT name, id FROM runs").fetchall())
            except sqlite3.OperationalError:
                return {}  # killed before the tables were made

    def calls(self, *, after_death: bool) -> Counter[str]:
        """Answers by question."""
        if not self.names():
            return Counter()
        return left_behind(self.file) if after_death else committed(self.file)

    def check(self) -> str:
        """What SQLite says of the file."""
        return integrity(self.file)


@dataclass(frozen=True)
class PostgresRemains:
    """A database on a server: looked at once the server has ended the sessions of those who died."""

    url: str

    def names(self) -> dict[str, str]:
        """Run ids by name."""
        return {str(name): str(run_id) for name, run_id in self._rows("SELECT name, id FROM runs")}

    def calls(self, *, after_death: bool) -> Counter[str]:
        """Answers by question."""
        deadline = time.monotonic() + PATIENCE
        while after_death and self._sessions() and time.monotonic() < deadline:
            time.sleep(0.01)
        rows = self._rows("SELECT model, request FROM calls")
        return Counter(question(model.partition("/")[2], json.loads(request)["messages"]) for model, request in rows)

    def check(self) -> str:
        """`ok` where every call that a run has consumed is there; a server has no integrity check of its own."""
        lost = "SELECT count(*) FROM run_calls r LEFT JOIN calls c ON c.id = r.call_id WHERE r.call_id IS NOT NULL"
        ((missing,),) = self._rows(f"{lost} AND c.id IS NULL")
        return "ok" if not missing else f"{missing} calls are missing"

    def _sessions(self) -> int:
        mine = "datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        return int(self._rows(f"SELECT count(*) FROM pg_stat_activity WHERE {mine}")[0][0])

    def _rows(self, statement: str) -> list[tuple[Any, ...]]:
        from promptprop.adapters.storage.connection import make_engine

        engine = make_engine(self.url, "read")
        try:
            with engine.connect() as connection:
                return [tuple(row) for row in connection.exec_driver_sql(statement)]
        finally:
            engine.dispose()
