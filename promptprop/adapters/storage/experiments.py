"""Experiments: runs, and datasets that are named after the id under which a run may come later."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import Connection, Select, exists, func, select

from promptprop.adapters.storage.connection import chunks
from promptprop.adapters.storage.database import Database
from promptprop.adapters.storage.runs import NEWEST, run_of
from promptprop.adapters.storage.tables import datasets, runs
from promptprop.domain.models import storable
from promptprop.ports.experiments import Experiment
from promptprop.ports.service import DatasetHead

Place: TypeAlias = "tuple[datetime, str]"
NAMED = "experiment:"  # what the names of such datasets begin with


def experiment_name(experiment_id: str) -> str:
    """The name of the dataset that holds an experiment's rows."""
    return NAMED + experiment_id


class ExperimentRows(Database):
    """The part of the store that finds experiments."""

    def experiment_page(self, limit: int, offset: int, activities: Sequence[str]) -> tuple[list[Experiment], int]:
        """Experiments, newest first, and how many there are: runs of these activities, and rows without a run."""
        chosen = runs.c.activity.in_(activities)
        with self.reading() as connection:
            waiting = [(row.created_at, row.id) for row in connection.execute(_waiting())]
            count = int(connection.execute(select(func.count()).select_from(runs).where(chosen)).scalar_one())
            # of the rows that wait, at most all stand before a run: so many runs further up the page may begin
            begin = max(0, offset - len(waiting))
            wanted = select(runs.c.created_at, runs.c.id).where(chosen).order_by(*NEWEST)
            window = [
                (row.created_at, row.id)
                for row in connection.execute(wanted.limit(offset - begin + limit).offset(begin))
            ]
            page = _page(window, waiting, begin, offset)[:limit] if begin < count or not begin else []
            known = {one.id: one for one in _of_runs(connection, [name for _, name in page])}
        listed = [known.get(name) or self.experiment(name) for _, name in page]
        return [one for one in listed if one is not None], count + len(waiting)

    def experiment(self, experiment_id: str) -> Experiment | None:
        """The run of exactly this id, else the rows that were stored under it; None where there is neither."""
        with self.reading() as connection:
            if known := _of_runs(connection, [storable(experiment_id)]):
                return known[0]
            named = _named(experiment_id)
            first = connection.execute(named.order_by(datasets.c.created_at, datasets.c.id).limit(1)).first()
        last = self.experiment_rows(experiment_id)
        if first is None or last is None:
            return None
        return Experiment(experiment_id, first.created_at, last.created_at, last.id, last.size)

    def experiment_rows(self, experiment_id: str) -> DatasetHead | None:
        """The rows that were stored under an id last; None where there are none."""
        newest = _named(experiment_id).order_by(datasets.c.created_at.desc(), datasets.c.id.desc()).limit(1)
        with self.reading() as connection:
            row = connection.execute(newest).first()
        return None if row is None else DatasetHead(**row._mapping)


def _named(experiment_id: str) -> Select[Any]:
    return select(datasets).where(datasets.c.name == experiment_name(storable(experiment_id)))


def _page(window: list[Place], waiting: list[Place], begin: int, offset: int) -> list[Place]:
    """What stands from `offset` on among runs and rows that wait, newest first; `window` are runs from `begin` on.

    >>> from datetime import datetime
    >>> times = [datetime(2026, 1, day) for day in range(1, 6)]
    >>> window, waiting = [(times[2], "run-2"), (times[0], "run-0")], [(times[3], "w-3"), (times[1], "w-1")]
    >>> [name for _, name in _page(window, waiting, 1, 3)]
    ['w-1', 'run-0']
    """
    before = [one for one in waiting if begin and one > window[0]]
    after = [one for one in waiting if one not in before]
    merged = sorted([*window, *after], reverse=True)
    return merged[offset - begin - len(before) :]


def _waiting() -> Select[Any]:
    """The ids of rows that no run has, each with the time at which the first of them came."""
    found = func.substr(datasets.c.name, len(NAMED) + 1)
    taken = exists().where(runs.c.id == found)
    return (
        select(found.label("id"), func.min(datasets.c.created_at).label("created_at"))
        .where(datasets.c.name.startswith(NAMED, autoescape=True), ~taken)
        .group_by(datasets.c.name)
    )


def _of_runs(connection: Connection, ids: Sequence[str]) -> list[Experiment]:
    """The runs of these ids, with the sizes of their datasets."""
    found = [run_of(row) for part in chunks(ids) for row in connection.execute(select(runs).where(runs.c.id.in_(part)))]
    sizes: dict[str, int] = {}
    for part in chunks(list({run.dataset_id for run in found})):
        sized = select(datasets.c.id, datasets.c.size).where(datasets.c.id.in_(part))
        sizes.update({row.id: row.size for row in connection.execute(sized)})
    return [
        Experiment(run.id, run.created_at, run.updated_at, run.dataset_id, sizes.get(run.dataset_id, 0), run)
        for run in found
    ]
