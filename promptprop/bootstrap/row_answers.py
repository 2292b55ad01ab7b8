"""Rows by their ids: which a run is limited to, and what was asked and answered on each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from promptprop.domain.errors import UsageError
from promptprop.domain.models import Row, storable

if TYPE_CHECKING:
    from promptprop.adapters.storage.store import SqlStore
    from promptprop.ports import RunRow
    from promptprop.services.row_answers import RowAnswers


def named_rows(rows: Sequence[Row], names: Sequence[str], split: str) -> tuple[Row, ...]:
    """The rows of these ids, in the order of the data; all where none is named. Raises UsageError for unknown ids."""
    from promptprop.adapters.files.config_problems import closest

    if not names:
        return tuple(rows)
    wanted = {storable(name) for name in names}
    known = {row.id for row in rows}
    if absent := [name for name in names if storable(name) not in known]:
        near = closest(absent[0], known)
        where = "the data" if split == "all" else f"the split {split}"
        raise UsageError(
            f"there is no row {absent[0]!r} in {where}",
            remedy=f"did you mean {near!r}?" if near else f"name ids of rows, such as {min(known, default='none')!r}",
        )
    return tuple(row for row in rows if row.id in wanted)


def answers_of(store: SqlStore, run: RunRow) -> list[RowAnswers]:
    """What an evaluation of named rows asked and got, prompt by prompt."""
    from promptprop.bootstrap.assembly import seeds_of
    from promptprop.bootstrap.outputs import program_of
    from promptprop.services.judging import newest
    from promptprop.services.row_answers import row_answers

    evaluations = newest(store.evaluations(run.id))
    ids = list(dict.fromkeys(one.example_id for one in evaluations))
    examples = store.examples(run.dataset_id, ids)
    return [one for seed in seeds_of(run) for one in row_answers(program_of(run), seed, examples, evaluations)]
