"""A configuration's rows for the data commands: read, split as a run would split them, held against earlier runs."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from promptprop.domain.errors import DatabaseAbsent, UsageError
from promptprop.domain.models import Example, Json, Split

if TYPE_CHECKING:
    from promptprop.adapters.files.config import LoadedConfig
    from promptprop.domain.config import DataConfig, SplitConfig
    from promptprop.services.data_checks import DataFinding, Rows

RUNS = 200  # earlier runs that are asked for suspects
SPLITS: tuple[Split, ...] = ("train", "select", "test")


def rows_of(loaded: LoadedConfig) -> Rows:
    """The rows with their splits; no database is asked. Raises DataError."""
    from promptprop.bootstrap.preparation import limited_examples
    from promptprop.services.data_checks import Rows

    examples = list(limited_examples(loaded.config))
    return Rows(examples, split_of(examples, loaded.config.data.split))


def split_of(examples: Sequence[Example], split: SplitConfig) -> dict[str, Split]:
    """The split that each row is in, by its id. Raises DataError."""
    from promptprop.domain.sampling import ratios_of, row_of, split_rows

    found = split_rows([row_of(example) for example in examples], ratios_of(split), split.seed)
    return {row.id: name for name, rows in found.items() for row in rows}


def findings_json(findings: Iterable[DataFinding]) -> list[Json]:
    """Findings with what their rules say, as `data validate --json` and the API tell them."""
    from promptprop.services.data_checks import rule_of

    return [
        {
            "id": one.id,
            "name": rule_of(one).name,
            "severity": rule_of(one).severity,
            "message": one.message,
            "rows": list(one.rows),
            "count": one.count,
            "remedy": one.remedy,
            "why": rule_of(one).why,
        }
        for one in findings
    ]


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
    """An example under the columns of its configuration, so that the same configuration reads it again.

    A column that is named stands in every row: a file in which none has it is taken for one with a wrong name.
    """
    from promptprop.adapters.files.datasets import Columns

    row: dict[str, Json] = {data.id or "id": example.id, **Columns(data.inputs).values(example.inputs)}
    known: tuple[tuple[str | None, Json], ...] = (
        (data.expected, example.expected),
        (data.soft_negatives, list(example.soft_negatives)),
        (data.hard_negatives, list(example.hard_negatives)),
        (data.tags, list(example.tags)),
        (data.cluster, example.cluster),
        (data.weight, example.weight),
    )
    # a column that is an input, too, stays as prompts show it
    return {**row, **{column: value for column, value in known if column and column not in data.inputs}}


def write_rows(rows: Rows, data: DataConfig, folder: Path) -> dict[Split, Path]:
    """One JSONL file a split, in this folder; the order of rows stays. Returns the files by split.

    Raises UsageError where a file is one that the rows come from, NotWritable, StorageFull.
    """
    import json

    from promptprop.adapters.files.writing import make_folder, write_atomically

    parts = {name: [one for one in rows.examples if rows.splits.get(one.id) == name] for name in SPLITS}
    files = {name: folder / f"{name}.jsonl" for name, part in parts.items() if part}
    sources = {Path(source).resolve() for source in (data.file, *(data.files or {}).values()) if source is not None}
    if own := [file for file in files.values() if file.resolve() in sources]:
        raise UsageError(f"{own[0]} is what the rows are read from", remedy="name another folder")
    make_folder(folder, remedy="name a folder that you may write to")
    for name, file in files.items():
        lines = (json.dumps(row_json(one, data), ensure_ascii=False) + "\n" for one in parts[name])
        write_atomically(file, "".join(lines))
    return files
