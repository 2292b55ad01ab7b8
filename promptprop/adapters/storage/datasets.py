"""Datasets: the rows of a file under the fingerprint of their contents."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import IO, Any

from sqlalchemy import Connection, delete, func, select

from promptprop.adapters.storage.connection import chunks, insert
from promptprop.adapters.storage.database import Database, behind
from promptprop.adapters.storage.records import example_json, example_of, json_text
from promptprop.adapters.storage.runs import utc_now
from promptprop.adapters.storage.tables import datasets, examples, runs
from promptprop.domain.errors import DataError, StorageError
from promptprop.domain.models import Example, Row, canonical, storable
from promptprop.domain.sampling import row_of
from promptprop.ports import Cursor, DatasetHead, DatasetRow

BATCH = 1000
SPOOL_BYTES = 8 * 1024 * 1024  # small datasets stay in memory between fingerprint and insert, large ones on disk


class DatasetRows(Database):
    """The part of the store that keeps datasets."""

    async def put_dataset(self, name: str, examples: Iterable[Example]) -> str:
        """Store a dataset under the fingerprint of its contents and return that id; a second time is a no-op.

        The rows stream through a spool: the id is known only after the last one, and all of them are committed at once.
        Raises DataError for two rows of one id.
        """
        with tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES, mode="w+", encoding="utf-8", newline="\n") as spool:
            dataset_id, size = await _spool(examples, spool)
            if not self._has_dataset(dataset_id):
                row = {"id": dataset_id, "name": storable(name), "size": size, "created_at": utc_now()}
                await self.write(lambda connection: _insert_dataset(connection, row, spool))
        return dataset_id

    def rows(self, dataset_id: str) -> list[Row]:
        """Ids, strata and clusters of a dataset, in file order, with the split that the file gave."""
        columns = (examples.c.example_id, examples.c.stratum, examples.c.cluster, examples.c.split)
        statement = select(*columns).where(examples.c.dataset_id == dataset_id).order_by(examples.c.position)
        with self.reading() as connection:
            found = connection.execute(statement).all()
        if not found and not self._has_dataset(dataset_id):
            raise _unknown(dataset_id)
        return [Row(*row) for row in found]

    def examples(self, dataset_id: str, ids: Sequence[str]) -> list[Example]:
        """These examples, in the order asked. Raises StorageError where one is not stored."""
        wanted = [storable(row_id) for row_id in ids]
        found: dict[str, Example] = {}
        with self.reading() as connection:
            for part in chunks(list(dict.fromkeys(wanted))):
                statement = select(examples.c.example_id, examples.c.content)
                statement = statement.where(examples.c.dataset_id == dataset_id, examples.c.example_id.in_(part))
                found.update((row_id, example_of(content)) for row_id, content in connection.execute(statement))
        try:
            return [found[row_id] for row_id in wanted]
        except KeyError as error:
            raise StorageError(f"the dataset {dataset_id} has no example {error.args[0]!r}") from error

    def dataset_heads(self, limit: int, after: Cursor | None = None) -> list[DatasetHead]:
        """Datasets, newest first, those behind `after`."""
        table = datasets.c
        statement = select(datasets).order_by(table.created_at.desc(), table.id.desc()).limit(limit)
        if after is not None:
            statement = statement.where(behind(datasets, after))
        with self.reading() as connection:
            return [DatasetHead(*row) for row in connection.execute(statement)]

    def dataset_head(self, dataset_id: str) -> DatasetHead | None:
        """The dataset of this id; None where there is none."""
        with self.reading() as connection:
            found = connection.execute(select(datasets).where(datasets.c.id == storable(dataset_id))).first()
        return None if found is None else DatasetHead(*found)

    async def delete_dataset(self, dataset_id: str) -> int:
        """Remove a dataset with its rows, unless runs were made of it; returns how many those are."""
        wanted = storable(dataset_id)
        made = select(func.count()).select_from(runs).where(runs.c.dataset_id == wanted)

        def work(connection: Connection) -> int:
            if count := int(connection.execute(made).scalar_one()):
                return count
            connection.execute(delete(datasets).where(datasets.c.id == wanted))  # its rows go with it
            return 0

        return await self.write(work)

    def dataset_rows(
        self, dataset_id: str, after_position: int = -1, limit: int = 100, split: str | None = None
    ) -> list[DatasetRow]:
        """Rows of a dataset in file order, behind `after_position`; of one split of the file's, if it is named."""
        table = examples.c
        statement = select(table.position, table.content).where(table.dataset_id == storable(dataset_id))
        statement = statement.where(table.position > after_position)
        if split is not None:
            statement = statement.where(table.split == storable(split))
        with self.reading() as connection:
            found = connection.execute(statement.order_by(table.position).limit(limit)).all()
        return [DatasetRow(row.position, example_of(row.content)) for row in found]

    def dataset_splits(self, dataset_id: str) -> dict[str, int]:
        """How many rows of a dataset its file put into which split; rows without one count under ""."""
        table = examples.c
        statement = select(table.split, func.count()).where(table.dataset_id == storable(dataset_id))
        with self.reading() as connection:
            found = connection.execute(statement.group_by(table.split)).all()
        return {split or "": int(count) for split, count in found}

    def _has_dataset(self, dataset_id: str) -> bool:
        with self.reading() as connection:
            return connection.execute(select(datasets.c.id).where(datasets.c.id == dataset_id)).first() is not None


async def _spool(examples: Iterable[Example], spool: IO[str]) -> tuple[str, int]:
    """Write the examples' JSON, a line each; returns their fingerprint (32 hex digits) and number."""
    fingerprint, seen = hashlib.sha256(), set[str]()
    source = iter(examples)
    while batch := list(islice(source, BATCH)):
        for example in batch:
            row_id = storable(example.id)
            if row_id in seen:
                raise DataError(f"two rows have the id {row_id!r}", remedy="give each row an id of its own")
            seen.add(row_id)
            content = example_json(example)
            try:
                fingerprint.update(canonical(content).encode("utf-8", "surrogatepass") + b"\n")
            except (TypeError, ValueError) as error:
                raise DataError(f"the row {row_id!r} holds a value that is no JSON: {error}") from error
            spool.write(json_text(content) + "\n")
        await asyncio.sleep(0)  # a large file must not stop what else runs on this loop
    return fingerprint.hexdigest()[:32], len(seen)


def _insert_dataset(connection: Connection, dataset: dict[str, Any], spool: IO[str]) -> None:
    addition = insert(connection, datasets).on_conflict_do_nothing()
    added = connection.execute(addition, dataset, execution_options={"preserve_rowcount": True})  # else −1 on a server
    if added.rowcount == 0:
        return  # another process stored it in the meantime
    spool.seek(0)
    rows = _rows(dataset["id"], spool)
    while batch := list(islice(rows, BATCH)):
        connection.execute(examples.insert(), batch)


def _rows(dataset_id: str, spool: IO[str]) -> Iterator[dict[str, Any]]:
    for position, line in enumerate(spool):
        row = row_of(example_of(line))
        yield {
            "dataset_id": dataset_id,
            "position": position,
            "example_id": row.id,
            "content": line.rstrip("\n"),
            "stratum": row.stratum,
            "cluster": row.cluster,
            "split": row.split,
        }


def _unknown(dataset_id: str) -> StorageError:
    return StorageError(f"the dataset {dataset_id!r} is not stored", remedy="start the run anew from its file")
