"""Evaluations and candidates of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from promptprop.adapters.storage.bulk import insert_rows
from promptprop.adapters.storage.connection import chunks, insert
from promptprop.adapters.storage.database import Database
from promptprop.adapters.storage.ledger_rows import insert_failures
from promptprop.adapters.storage.records import (
    candidate_text,
    critiques_text,
    evaluation_columns,
    evaluation_of,
    proposal_of,
)
from promptprop.adapters.storage.runs import utc_now
from promptprop.adapters.storage.tables import candidates, evaluations
from promptprop.domain.models import Cell, Evaluation, Proposal, storable
from promptprop.ports import Costs, EvaluationRow, FailedCall

PAGE = 500


class EvaluationRows(Database):
    """The part of the store that keeps evaluations and candidates."""

    async def commit_block(
        self,
        run_id: str,
        evaluations: Sequence[Evaluation],
        failures: Sequence[FailedCall],
        metrics_fingerprint: str,
        generation: int = 0,
    ) -> None:
        """Commit a block's evaluations and failures in one transaction; what is stored already stays as it is."""
        context = {"run_id": run_id, "metrics_fingerprint": metrics_fingerprint, "generation": generation}
        rows = [{**context, **evaluation_columns(evaluation)} for evaluation in evaluations]
        if not rows and not failures:
            return

        def work(connection: Connection) -> None:
            _insert_evaluations(connection, rows)
            insert_failures(connection, run_id, failures, generation)

        await self.write(work)

    def find_evaluations(
        self, run_id: str, cells: Sequence[Cell], metrics_fingerprint: str, generation: int = 0
    ) -> list[Evaluation | None]:
        """The stored evaluations of these cells, in order: the newest up to `generation`.

        A missing one (an error, or no score) answers only in the generation that stored it.
        """
        newest: dict[tuple[str, str, int], Row[Any]] = {}
        groups: dict[tuple[str, int], list[str]] = {}
        for cell in cells:
            groups.setdefault((cell.candidate.id, cell.replicate), []).append(storable(cell.example_id))
        with self.reading() as connection:
            for (candidate_id, replicate), ids in groups.items():
                for part in chunks(ids):
                    statement = _cells(run_id, candidate_id, replicate, part, metrics_fingerprint, generation)
                    for row in connection.execute(statement):
                        newest[candidate_id, row.example_id, replicate] = row
        found = [newest.get((cell.candidate.id, storable(cell.example_id), cell.replicate)) for cell in cells]
        return [evaluation_of(row) if row is not None and _answers(row, generation) else None for row in found]

    def evaluations(self, run_id: str, candidate_id: str | None = None) -> Iterator[Evaluation]:
        """All evaluations of a run, or of one candidate, in the order stored.

        They are read by the page, so that no open cursor pins what this thread's other reads can see. A cell that was
        retried comes once for each generation; the last one counts.
        """
        last = 0
        while True:
            page = self._page(run_id, candidate_id, last, PAGE)
            yield from map(evaluation_of, page)
            if len(page) < PAGE:
                return
            last = page[-1].id

    def evaluation_page(
        self, run_id: str, candidate_id: str | None = None, after_id: int = 0, limit: int = 100
    ) -> list[EvaluationRow]:
        """Evaluations of a run, or of one candidate, in the order stored."""
        page = self._page(run_id, candidate_id, after_id, limit)
        return [EvaluationRow(row.id, row.metrics_fingerprint, row.generation, evaluation_of(row)) for row in page]

    def _page(self, run_id: str, candidate_id: str | None, after_id: int, limit: int) -> Sequence[Row[Any]]:
        statement = select(evaluations).where(evaluations.c.run_id == run_id, evaluations.c.id > after_id)
        if candidate_id is not None:
            statement = statement.where(evaluations.c.candidate_id == candidate_id)
        with self.reading() as connection:
            return connection.execute(statement.order_by(evaluations.c.id).limit(limit)).all()

    def evaluation_costs(self, run_id: str, candidate_id: str) -> Costs:
        """What the answers of a candidate cost in all; missing rows are left out."""
        sums = (func.count(), func.count(evaluations.c.picousd), func.coalesce(func.sum(evaluations.c.picousd), 0))
        statement = select(*sums).where(evaluations.c.run_id == run_id, evaluations.c.candidate_id == candidate_id)
        with self.reading() as connection:
            count, priced, picousd = connection.execute(statement.where(evaluations.c.error.is_(None))).one()
        return Costs(count, count - priced, int(picousd))

    async def keep_candidate(self, run_id: str, proposal: Proposal) -> None:
        """Store a candidate's texts, hypothesis and critiques; a second time is a no-op."""
        row = {
            "run_id": run_id,
            "candidate_id": storable(proposal.candidate.id),
            "contents": candidate_text(proposal.candidate),
            "critiques": critiques_text(proposal.critiques),
            "created_at": utc_now(),
        }

        def work(connection: Connection) -> None:
            connection.execute(insert(connection, candidates).on_conflict_do_nothing(), row)

        await self.write(work)

    def candidates(self, run_id: str) -> dict[str, Proposal]:
        """A run's candidates by id, in the order stored."""
        columns = (candidates.c.candidate_id, candidates.c.contents, candidates.c.critiques)
        statement = select(*columns).where(candidates.c.run_id == run_id).order_by(candidates.c.id)
        with self.reading() as connection:
            found = connection.execute(statement).all()
        return {row.candidate_id: proposal_of(row.contents, row.critiques) for row in found}


def _insert_evaluations(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    insert_rows(connection, evaluations, rows)


def _cells(
    run_id: str, candidate_id: str, replicate: int, example_ids: Sequence[str], fingerprint: str, generation: int
) -> Select[Any]:
    """Evaluations of one candidate's replicate on these examples, the newest generation last."""
    table = evaluations.c
    return (
        select(evaluations)
        .where(table.run_id == run_id, table.candidate_id == candidate_id, table.replicate == replicate)
        .where(table.example_id.in_(example_ids), table.metrics_fingerprint == fingerprint)
        .where(table.generation <= generation)
        .order_by(table.generation)
    )


def _answers(row: Row[Any], generation: int) -> bool:
    missing = row.score is None or row.error is not None
    return not missing or row.generation == generation
