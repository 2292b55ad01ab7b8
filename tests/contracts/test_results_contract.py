"""What every store must do for whoever reads results: the newest answer of each cell, by the page and by the cell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
from store_rows import BAD, NOON, evaluation, run_row

from promptprop.adapters.storage.store import SqlStore, open_store
from promptprop.domain.events import NoteLeft, ScoreOverridden, StoredEvent
from promptprop.domain.models import Failure
from promptprop.ports.results import CellScore, Wanted

FAILED = Failure("timeout", "no answer")


@pytest.fixture
def store(any_database_url: str) -> Iterator[SqlStore]:
    with closing(open_store(any_database_url)) as opened:
        yield opened


async def fill(store: SqlStore) -> None:
    """Two runs alike: candidates a and b on two rows; of a the first row failed, and was answered when retried."""
    for run_id in ("one", "two"):
        await store.create_run(run_row(run_id))
        rows = [evaluation(row, candidate_id=name, score=0.5) for name in "ab" for row in ("r1", "r2")]
        rows[0] = rows[0].with_error(FAILED)
        await store.commit_block(run_id, rows, [], "f")
        await store.commit_block(run_id, [replace(rows[0], error=None, score=1.0)], [], "f", generation=1)


def cells(store: SqlStore, wanted: Wanted | None = None, after: int = 0) -> list[tuple[str, str, float | None]]:
    found = [row.evaluation for row in store.newest_evaluations("one", after, 100, wanted)]
    return [(one.candidate_id, one.example_id, one.score) for one in found]


async def test_a_cell_that_was_retried_comes_once_as_it_was_stored_last(store: SqlStore) -> None:
    await fill(store)
    assert cells(store) == [("a", "r2", 0.5), ("b", "r1", 0.5), ("b", "r2", 0.5), ("a", "r1", 1.0)]
    first = store.newest_evaluations("one", 0, 3)
    assert cells(store, after=first[-1].id) == [("a", "r1", 1.0)]


async def test_evaluations_of_a_candidate_of_a_row_and_missing_ones(store: SqlStore) -> None:
    await fill(store)
    assert cells(store, Wanted(candidate_id="b")) == [("b", "r1", 0.5), ("b", "r2", 0.5)]
    assert cells(store, Wanted(example_id="r1")) == [("b", "r1", 0.5), ("a", "r1", 1.0)]
    assert cells(store, Wanted(missing=True)) == []
    await store.commit_block("one", [evaluation("r3", candidate_id="b", score=None)], [], "f")
    assert cells(store, Wanted(missing=True)) == [("b", "r3", None)]


async def test_cells_come_by_candidates_and_rows(store: SqlStore) -> None:
    await fill(store)
    await store.commit_block("one", [evaluation("r1", candidate_id="a", replicate=1, score=0.0)], [], "f")
    answers = store.cell_evaluations("one", ["a", "b"], "r1")
    assert [(one.candidate_id, one.replicate, one.score) for one in answers] == [
        ("a", 0, 1),
        ("b", 0, 0.5),
        ("a", 1, 0),
    ]
    scores = store.cell_scores("one", ["a"], ["r1", "r2"])
    assert sorted(scores, key=str) == [CellScore("a", "r1", 0.0), CellScore("a", "r1", 1.0), CellScore("a", "r2", 0.5)]
    assert store.cell_scores("one", [], ["r1"]) == store.cell_scores("one", ["a"], []) == []


async def test_many_candidates_and_rows_are_no_trouble(store: SqlStore) -> None:
    await fill(store)
    many = [f"x{number}" for number in range(1200)]
    assert len(store.cell_scores("one", [*many, "a"], [*many, "r1", "r2"])) == 2


async def test_names_that_no_database_holds_are_unknown_ones(store: SqlStore) -> None:
    await fill(store)
    assert cells(store, Wanted(BAD)) == cells(store, Wanted(example_id=BAD)) == []
    assert store.cell_evaluations("one", [BAD], BAD) == []


async def test_corrected_scores_come_in_the_order_of_the_events(store: SqlStore) -> None:
    await fill(store)
    corrections = [ScoreOverridden("a", "r1", score, "it is right") for score in (0.0, 1.0)]
    for seq, event in enumerate([corrections[0], NoteLeft("mind"), corrections[1]], start=1):
        await store.append(StoredEvent("one", seq, NOON, event, {}))
    assert store.score_overrides("one") == corrections
    assert store.score_overrides("two") == []
