"""Rows that scripts store under the id of an experiment, before a run or beside one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from promptprop.bootstrap.experiments import EXPERIMENT_ID, PageRow, example_of_row
from promptprop.domain.errors import DataError, RunNotFound
from promptprop.domain.models import Example, Split, digest

if TYPE_CHECKING:
    from promptprop.adapters.storage.store import SqlStore

SEED = 7
_APPENDING: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


async def add_rows(
    store: SqlStore, experiment_id: str, rows: Sequence[PageRow], ratios: tuple[float, float, float] | None, most: int
) -> tuple[list[Example], list[str]]:
    """Add rows to an experiment, which may be new. Returns all of its rows, and the ids of the new ones.

    With `ratios` (train, val, test) rows that name no split are shared out; else they are train rows.
    Raises DataError, also for an id that cannot be one.
    """
    from promptprop.adapters.storage.experiments import experiment_name

    if not EXPERIMENT_ID.fullmatch(experiment_id):
        remedy = "use 8 to 64 letters, digits, - and _, such as a UUID"
        raise DataError(f"{experiment_id[:80]!r} cannot be the id of an experiment", remedy=remedy)
    async with _APPENDING.setdefault(asyncio.get_running_loop(), asyncio.Lock()):  # no request loses another one's rows
        known = rows_of(store, experiment_id) or []
        if len(known) + len(rows) > most:
            raise DataError(f"the experiment would have more than {most:,} rows", remedy="take fewer rows")
        suffix = f"-{digest(experiment_id, 8)}"  # so that equal rows of two experiments are two datasets
        fresh = [example_of_row(row, len(known) + number, suffix) for number, row in enumerate(rows)]
        fresh = _shared_out(fresh, ratios) if ratios else [replace(one, split=one.split or "train") for one in fresh]
        whole = [*known, *fresh]
        await store.put_dataset(experiment_name(experiment_id), whole)
    return whole, [one.id for one in fresh]


def rows_of(store: SqlStore, experiment_id: str) -> list[Example] | None:
    """The rows of an experiment: those stored under its id, else its run's; None where there is neither."""
    dataset_id = dataset_of(store, experiment_id)
    if dataset_id is None:
        return None
    return store.examples(dataset_id, [row.id for row in store.rows(dataset_id)])


def dataset_of(store: SqlStore, experiment_id: str) -> str | None:
    """The dataset of an experiment; None for an id that is unknown."""
    stored = store.experiment_rows(experiment_id)
    if stored is not None:
        return stored.id
    found = store.experiment(experiment_id)
    return found.dataset_id if found else None


def require_dataset(store: SqlStore, experiment_id: str) -> str:
    """The dataset of an experiment. Raises RunNotFound."""
    found = dataset_of(store, experiment_id)
    if found is None:
        raise RunNotFound(f"no experiment has the id {experiment_id[:80]!r}", remedy="GET /api/experiments lists them")
    return found


def _shared_out(examples: Sequence[Example], ratios: tuple[float, float, float]) -> list[Example]:
    """The rows with their splits: as they say, else by the ratios; equal queries stay together."""
    from promptprop.domain.sampling import cut, row_of

    open_rows = [row_of(one) for one in examples if one.split is None]
    train, val, test = ratios
    rest, tested = cut(open_rows, test / (train + val + test), SEED, "test")
    _, selected = cut(rest, val / (train + val) if train + val else 0.0, SEED, "val")
    splits: dict[str, Split] = {row.id: "test" for row in tested}
    splits |= {row.id: "select" for row in selected}
    return [replace(one, split=one.split or splits.get(one.id, "train")) for one in examples]
