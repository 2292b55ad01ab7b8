"""A configuration's rows for the data commands: read, split as a run would split them, held against earlier runs."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from promptprop.domain.errors import DatabaseAbsent
from promptprop.domain.models import Example, Json

if TYPE_CHECKING:
    from promptprop.adapters.files.config import LoadedConfig
    from promptprop.domain.config import DataConfig
    from promptprop.services.data_checks import Rows

RUNS = 200  # earlier runs that are asked for suspects


def rows_of(loaded: LoadedConfig) -> Rows:
    """The rows with their splits; no database is asked. Raises DataError."""
    from promptprop.bootstrap.preparation import limited_examples
    from promptprop.domain.sampling import ratios_of, row_of, split_rows
    from promptprop.services.data_checks import Rows

    examples = list(limited_examples(loaded.config))
    split = loaded.config.data.split
    found = split_rows([row_of(example) for example in examples], ratios_of(split), split.seed)
    splits = {row.id: name for name, rows in found.items() for row in rows}
    return Rows(examples, splits)


def suspects_of(loaded: LoadedConfig) -> Mapping[str, int]:
    """Rows whose labels earlier runs of this name suspected, with how many did; none where there is no database yet.

    Raises StorageError where there is a database that cannot be used: silence would pass for "nothing suspected".
    """
    from promptprop.bootstrap.configuration import database_url, open_database
    from promptprop.domain.history import fold

    counted: Counter[str] = Counter()
    try:
        store = open_database(database_url(None, loaded.config, loaded.environment), must_exist=True)
    except DatabaseAbsent:
        return counted
    with contextlib.closing(store):
        for run in store.runs(RUNS):
            if run.name == loaded.config.name:
                counted.update(fold(store.events(run.id)).suspects)
    return counted


def row_json(example: Example, data: DataConfig) -> dict[str, Json]:
    """An example under the columns of its configuration."""
    from promptprop.adapters.files.datasets import Columns

    known = (
        (data.expected, example.expected),
        (data.soft_negatives, list(example.soft_negatives) or None),
        (data.hard_negatives, list(example.hard_negatives) or None),
        (data.tags, list(example.tags) or None),
        (data.cluster, example.cluster),
        (data.weight, example.weight if example.weight != 1.0 else None),
    )
    more = {column: value for column, value in known if column and value is not None}
    return {data.id or "id": example.id, **Columns(data.inputs).values(example.inputs), **more}


def write_rows(rows: Rows, data: DataConfig, folder: Path) -> dict[str, Path]:
    """One JSONL file a split, in this folder; the order of rows stays. Returns the files by split."""
    import json

    from promptprop.adapters.files.writing import write_atomically

    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for name in ("train", "select", "test"):
        chosen = [one for one in rows.examples if rows.splits.get(one.id) == name]
        if chosen:
            lines = (json.dumps(row_json(one, data), ensure_ascii=False) + "\n" for one in chosen)
            files[name] = folder / f"{name}.jsonl"
            write_atomically(files[name], "".join(lines))
    return files
