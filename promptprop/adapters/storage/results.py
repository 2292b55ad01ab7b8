"""What a run measured, read in parts: pages and cells, each by an index."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, func, select

from promptprop.adapters.storage.connection import chunks
from promptprop.adapters.storage.database import Database
from promptprop.adapters.storage.records import evaluation_of
from promptprop.adapters.storage.tables import evaluations, events
from promptprop.domain.events import ScoreOverridden
from promptprop.domain.models import Evaluation, storable
from promptprop.ports.results import CellScore, Wanted
from promptprop.ports.service import EvaluationRow

TABLE = evaluations.c


class ResultRows(Database):
    """The part of the store that shows results."""

    def newest_evaluations(
        self, run_id: str, after_id: int, limit: int, wanted: Wanted | None = None
    ) -> list[EvaluationRow]:
        """Evaluations in the order stored, those with an id > `after_id`; each cell as it was stored last."""
        asked = wanted or Wanted()
        statement = select(evaluations).where(TABLE.run_id == run_id, TABLE.id > after_id, _is_newest())
        if asked.candidate_id is not None:
            statement = statement.where(TABLE.candidate_id == storable(asked.candidate_id))
        if asked.example_id is not None:
            statement = statement.where(TABLE.example_id == storable(asked.example_id))
        if asked.missing:
            statement = statement.where(TABLE.score.is_(None))
        with self.reading() as connection:
            found = connection.execute(statement.order_by(TABLE.id).limit(limit)).all()
        return [EvaluationRow(row.id, row.metrics_fingerprint, row.generation, evaluation_of(row)) for row in found]

    def cell_evaluations(self, run_id: str, candidate_ids: Sequence[str], example_id: str) -> list[Evaluation]:
        """The answers of these candidates to one row, by replicate."""
        found = [evaluation_of(row) for row in self._cells(run_id, candidate_ids, [example_id], evaluations.columns)]
        return sorted(found, key=lambda one: (one.replicate, one.candidate_id))

    def cell_scores(self, run_id: str, candidate_ids: Sequence[str], example_ids: Sequence[str]) -> list[CellScore]:
        """The scores of these candidates on these rows, one for each answer."""
        columns = (TABLE.candidate_id, TABLE.example_id, TABLE.score)
        return [CellScore(*row) for row in self._cells(run_id, candidate_ids, example_ids, columns)]

    def score_overrides(self, run_id: str) -> list[ScoreOverridden]:
        """The scores that people have corrected, in the order of the events."""
        statement = select(events.c.body).where(events.c.run_id == run_id, events.c.kind == ScoreOverridden.kind)
        with self.reading() as connection:
            found = connection.execute(statement.order_by(events.c.seq)).scalars().all()
        return [ScoreOverridden(**json.loads(body)) for body in found]

    def _cells(
        self, run_id: str, candidate_ids: Sequence[str], example_ids: Sequence[str], columns: Any
    ) -> list[Row[Any]]:
        """Cells of candidates and rows, by the index over both."""
        rows = [storable(one) for one in example_ids]
        statement = select(*columns).where(TABLE.run_id == run_id, _is_newest())
        found: list[Row[Any]] = []
        with self.reading() as connection:
            for candidates in chunks([storable(one) for one in candidate_ids]):
                for part in chunks(rows):
                    chosen = TABLE.candidate_id.in_(candidates), TABLE.example_id.in_(part)
                    found += connection.execute(statement.where(*chosen)).all()
        return found


def _is_newest() -> ColumnElement[bool]:
    """Whether nothing was stored for the same cell later.

    As a question to each row, which both databases answer by the index over cells, and for the rows of a page alone.
    `NOT EXISTS` lets PostgreSQL join all of a run with itself; plain ids let SQLite take the index over those.
    """
    later = evaluations.alias("later")
    same = [later.c[name] == TABLE[name] for name in ("run_id", "candidate_id", "example_id", "replicate")]
    return select(func.max(later.c.id + 0)).where(*same).scalar_subquery() == TABLE.id
