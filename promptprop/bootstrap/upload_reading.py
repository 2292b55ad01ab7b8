"""The process that reads one upload: `python -m promptprop.bootstrap.upload_reading`, a document in, a document out.

It is started by `bootstrap.uploads`, says what came of it on standard output, and ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from promptprop.bootstrap.configuration import DATABASE_VARIABLE
from promptprop.bootstrap.uploads import BODY
from promptprop.domain.errors import DataError, InputError, PromptPropError
from promptprop.domain.models import Example, Json

if TYPE_CHECKING:
    from promptprop.adapters.files.datasets import Columns

PIECE = 1 << 20
LONGEST_ROW = 2_000_000  # characters as JSON: a page of rows is read into the server's memory
NICE = 5
CPU_MARGIN = 10  # seconds, after which a reader that nobody waits for ends by itself


def main() -> None:
    """Read what to do, do it, and say what came of it."""
    wanted = json.loads(sys.stdin.buffer.read())
    _limit(wanted["memory"], wanted["seconds"])
    try:
        said = read(wanted)
    except MemoryError:
        said = {"error": error_json(DataError("the data takes more memory than there is", remedy="send fewer rows"))}
    except PromptPropError as error:
        said = {"error": error_json(error, wanted["file"])}
    sys.stdout.buffer.write(json.dumps(said).encode())


def _limit(memory: int, seconds: int) -> None:
    """Bound what this process may take, where the system can do so; the server goes first."""
    with contextlib.suppress(AttributeError, OSError):
        os.nice(NICE)
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds + CPU_MARGIN, seconds + CPU_MARGIN))
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


def read(wanted: Mapping[str, Json]) -> dict[str, Json]:
    """Store the rows, or look at them. Raises DataError, StorageError."""
    from promptprop.adapters.files.datasets import Columns, read_examples

    inputs = tuple(wanted["columns"]["inputs"])
    columns = Columns(**{**wanted["columns"], "inputs": inputs})
    file = unpacked(Path(wanted["file"]), wanted["size"])
    examples = bounded(read_examples(str(file), columns, wanted["format"], wanted["rows"]))
    if wanted["purpose"] == "store":
        return _stored(wanted["name"], examples)
    return _checked(examples, columns, wanted["split"])


def bounded(examples: Iterable[Example]) -> Iterator[Example]:
    """The examples, as long as each is one that can be shown. Raises DataError for a larger one."""
    for example in examples:
        if len(json.dumps(asdict(example))) > LONGEST_ROW:
            message = f"the row {example.id[:80]!r} holds more than {LONGEST_ROW:,} characters"
            raise DataError(message, remedy="cut what no model reads")
        yield example


def unpacked(file: Path, most: int) -> Path:
    """The file itself, or what a gzip file holds. Raises DataError where that is damaged, or more than `most` bytes."""
    import gzip
    import zlib

    from promptprop.adapters.files.dataset_sources import GZIP_MAGIC

    with file.open("rb") as raw:
        if raw.read(2) != GZIP_MAGIC:
            return file
    target = file.with_name(f"{BODY}-unpacked")
    try:
        with gzip.open(file, "rb") as packed, target.open("wb") as plain:
            size = 0
            while part := packed.read(PIECE):
                size += len(part)
                if size > most:
                    raise DataError(f"unpacked, the dataset is larger than {most:,} bytes", remedy="send fewer rows")
                plain.write(part)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"the gzip data is damaged: {error}", remedy="pack it again") from error
    file.unlink()
    return target


def _stored(name: str, examples: Iterator[Example]) -> dict[str, Json]:
    from promptprop.adapters.storage.store import open_store

    with contextlib.closing(open_store(os.environ[DATABASE_VARIABLE], must_exist=True, migrate=False)) as store:
        return {"id": asyncio.run(store.put_dataset(name, examples))}


def _checked(examples: Iterator[Example], columns: Columns, split: Mapping[str, Json]) -> dict[str, Json]:
    """Rows, splits and findings, as `data validate --json` tells them."""
    from promptprop.bootstrap.data import findings_json, split_of
    from promptprop.domain.config import SplitConfig
    from promptprop.services.data_checks import Rows, check_rows

    found, problem = list(examples), ""
    try:
        splits = split_of(found, SplitConfig(**split))
    except DataError as error:
        splits, problem = {}, error.message
    counts: dict[str, int] = {}
    for name in splits.values():
        counts[name] = counts.get(name, 0) + 1
    findings = check_rows(Rows(found, splits))
    document: dict[str, Json] = {"rows": len(found), "columns": list(columns.variables), "splits": counts}
    return {**document, "split_problem": problem, "findings": findings_json(findings)}


def error_json(error: PromptPropError, file: str = "") -> dict[str, Json]:
    """An error with its class; the file that it is about is called `upload`."""
    folder = f"{Path(file).parent}/" if file else ""

    def told(text: str) -> str:
        text = text.replace(f"{folder}{BODY}-unpacked", BODY) if folder else text
        return text.replace(folder, "") if folder else text

    problems: list[Json] = []
    for one in error.problems if isinstance(error, InputError) else ():
        place = replace(one.place, file=told(one.place.file)) if one.place else None
        parts = [place.file, place.line, place.column] if place else None
        problems.append({"message": told(one.message), "place": parts, "remedy": told(one.remedy)})
    kind = type(error).__name__
    return {"kind": kind, "message": told(error.message), "remedy": error.remedy, "problems": problems}


if __name__ == "__main__":
    main()
