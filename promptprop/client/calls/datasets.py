"""Datasets: upload, check and read rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import httpx

from promptprop.client.call import Call, Listing, as_nothing, given, json_of, listing, path, reads
from promptprop.client.values import Dataset, DatasetHead, JsonObject, Row

T = TypeVar("T")
COLUMNS = ("expected", "id", "cluster", "tags", "weight", "split", "soft_negatives", "hard_negatives")
FORMATS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".parquet": "parquet",
}


def upload(
    rows: Path | bytes, inputs: Sequence[str], *, name: str | None = None, form: str | None = None, **columns: str
) -> Call[Dataset]:
    """Store the rows of a file, which is sent in pieces, or of bytes; sent twice, they are stored once.

    `inputs` are the columns that fill variables of prompts; `expected`, `id`, `cluster`, `tags`, `weight`, `split`,
    `soft_negatives` and `hard_negatives` name the others. `form` is jsonl, json, csv, tsv, yaml or parquet, and is
    told by a file's ending.
    """
    return _sent(reads(Dataset), path("datasets"), rows, inputs, name, form, columns)


def validate(
    rows: Path | bytes, inputs: Sequence[str], *, name: str | None = None, form: str | None = None, **columns: str
) -> Call[JsonObject]:
    """What is odd about rows, as `promptprop data validate` finds it; nothing is stored. Takes what `upload` takes."""
    return _sent(json_of, path("datasets", "validate"), rows, inputs, name, form, columns)


def list_datasets() -> Listing[DatasetHead]:
    """Stored datasets, newest first."""
    return listing(DatasetHead, path("datasets"), limit=200)


def show(dataset: str) -> Call[Dataset]:
    """A stored dataset with its columns and splits."""
    return Call("GET", path("datasets", dataset), reads(Dataset), repeatable=True)


def remove(dataset: str) -> Call[None]:
    """Erase a dataset that no run was made of; for an admin."""
    return Call("DELETE", path("datasets", dataset), as_nothing)


def rows(dataset: str, *, split: str | None = None) -> Listing[Row]:
    """The rows of a dataset in the order of the file."""
    return listing(Row, path("datasets", dataset, "rows"), split=split, limit=500)


def split(
    dataset: str,
    *,
    train: float | None = None,
    select: float | None = None,
    test: float | None = None,
    seed: int | None = None,
) -> Call[JsonObject]:
    """How many rows of which labels a run with these shares would learn from, choose by, and keep sealed."""
    params = given(train=train, select=select, test=test, seed=seed)
    return Call("GET", path("datasets", dataset, "split"), json_of, params, repeatable=True)


def _sent(
    read: Callable[[httpx.Response], T],
    where: str,
    rows: Path | bytes,
    inputs: Sequence[str],
    name: str | None,
    form: str | None,
    columns: dict[str, str],
) -> Call[T]:
    """The call that sends rows. Raises ValueError."""
    if unknown := sorted(set(columns) - set(COLUMNS)):
        raise ValueError(f"there is no column {unknown[0]!r}: the columns are inputs, {', '.join(COLUMNS)}")
    if isinstance(inputs, str):
        raise ValueError(f"inputs is a list of columns: write [{inputs!r}]")
    if isinstance(rows, Path):
        name = name or rows.name.partition(".")[0]
        plain = rows.with_suffix("") if rows.suffix == ".gz" else rows
        form = form or FORMATS.get(plain.suffix.lower())
    if form is None:
        raise ValueError("how the rows are written is not known: name it with form=")
    params = {**given(name=name, format=form, inputs=list(inputs)), **columns}
    headers = {"Content-Type": "application/octet-stream"}
    return Call("POST", where, read, params, upload=rows, headers=headers, repeatable=True)
