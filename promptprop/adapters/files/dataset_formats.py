"""Dataset formats read row by row: JSON Lines, CSV, TSV and Parquet; JSON and YAML stand in `dataset_documents`.

A reader takes the bytes of a file and yields one `Record` a row. What is wrong with a row is a record, too, so that
reading goes on behind it. A new format is one function and one line in `FORMATS`; its name is also its suffix.
"""

from __future__ import annotations

import csv
import difflib
import gzip
import importlib
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, BinaryIO, cast

from promptprop.adapters.files.dataset_sources import STDIN, copied, file_problem
from promptprop.domain.models import Json, storable

_HERE = "promptprop.adapters.files.dataset_formats"
_DOCUMENTS = "promptprop.adapters.files.dataset_documents"
FORMATS: dict[str, str] = {
    "jsonl": f"{_HERE}:read_jsonl",
    "ndjson": f"{_HERE}:read_jsonl",
    "json": f"{_DOCUMENTS}:read_json",
    "csv": f"{_HERE}:read_csv",
    "tsv": f"{_HERE}:read_tsv",
    "yaml": f"{_DOCUMENTS}:read_yaml",
    "yml": f"{_DOCUMENTS}:read_yaml",
    "parquet": f"{_HERE}:read_parquet",
}
FIELD_LIMIT = 2**31 - 1  # characters in a CSV field; the most that every platform takes
BATCH_ROWS = 1024


@dataclass(frozen=True, slots=True)
class Record:
    """A row as its format reads it: the line on which it starts, and its value or the flaw that left it without one.

    `line` counts from 1, in Parquet rows; 0 is the whole file. `text_only` tells that the format has no null: an empty
    cell may mean that there is no value.
    """

    line: int
    value: Json = None
    flaw: str = ""
    remedy: str = ""
    column: int = 0
    text_only: bool = False


Reader = Callable[[BinaryIO], Iterator[Record]]


def format_of(path: str, given: str | None = None) -> str:
    """The format of a dataset: the one given, else what the suffix says (before .gz); stdin is JSON Lines.

    Raises DataError where it is unknown.

    >>> format_of("rows.CSV.gz"), format_of("-"), format_of("rows.txt", "tsv")
    ('csv', 'jsonl', 'tsv')
    """
    known = ", ".join(FORMATS)
    if given is not None:
        if given in FORMATS:
            return given
        close = difflib.get_close_matches(given, FORMATS, n=1)
        remedy = f"did you mean {close[0]}?" if close else f"use one of {known}"
        raise file_problem(path, f"there is no dataset format {given!r}", remedy)
    if path == STDIN:
        return "jsonl"
    name = PurePath(path.lower())
    suffix = (PurePath(name.stem) if name.suffix == ".gz" else name).suffix
    if suffix[1:] not in FORMATS:
        said = f"the suffix {suffix!r} names no dataset format" if suffix else "the name has no suffix"
        raise file_problem(path, said, f"set data.format to one of {known}")
    return suffix[1:]


def load_reader(name: str) -> Reader:
    """The reader of a registered format."""
    module, function = FORMATS[name].split(":")
    return cast("Reader", getattr(importlib.import_module(module), function))


def decoded_lines(stream: BinaryIO) -> Iterator[tuple[str, bool]]:
    """The lines of a UTF-8 text with their ends, each with whether its bytes were valid; a BOM is dropped."""
    text = io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")
    try:
        for line in text:
            # Valid UTF-8 never decodes to a surrogate: one that stands here was an undecodable byte.
            valid = line.isascii() or storable(line.replace("\x00", "")) == line.replace("\x00", "")
            yield line, valid
    finally:
        text.detach()


class JsonDecoder(json.JSONDecoder):
    """A decoder that notes keys which stand twice in one object, since all but the last value would be lost."""

    def __init__(self) -> None:
        """Begin without notes."""
        self.repeated: list[str] = []
        super().__init__(object_pairs_hook=self._object)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) < len(pairs):
            keys = [key for key, _ in pairs]
            self.repeated.extend(key for key in value if keys.count(key) > 1)
        return value

    def record(self, line: int, value: Json) -> Record:
        """The record of a decoded row, with the flaw noted while it was decoded."""
        if self.repeated:
            flaw = f"the key {self.repeated[0]!r} stands twice in one object"
            self.repeated.clear()
            return Record(line, flaw=flaw)
        return Record(line, value)


BAD_UTF8 = "the text is not valid UTF-8"
UTF8_REMEDY = "save the file as UTF-8"


def read_jsonl(stream: BinaryIO) -> Iterator[Record]:
    """JSON Lines: one JSON value a line; blank lines are skipped."""
    decoder = JsonDecoder()
    for number, (line, valid) in enumerate(decoded_lines(stream), start=1):
        if not line.strip():
            continue
        if not valid:
            yield Record(number, flaw=BAD_UTF8, remedy=UTF8_REMEDY)
            continue
        try:
            value = decoder.decode(line)
        except json.JSONDecodeError as error:
            yield Record(number, flaw=f"invalid JSON: {error.msg}", column=error.colno)
        except (ValueError, RecursionError) as error:
            yield Record(number, flaw=json_flaw(error))
        else:
            yield decoder.record(number, value)
            continue
        decoder.repeated.clear()


def json_flaw(error: Exception) -> str:
    """Why JSON that is well-formed cannot be held."""
    return "the JSON is nested too deeply" if isinstance(error, RecursionError) else f"invalid JSON: {error}"


def read_csv(stream: BinaryIO) -> Iterator[Record]:
    """CSV with a header line, by the rules of RFC 4180: every value is text, quoted fields may hold line ends."""
    return _delimited(stream, ",")


def read_tsv(stream: BinaryIO) -> Iterator[Record]:
    """Tab-separated values with a header line, quoted as in CSV."""
    return _delimited(stream, "\t")


def _delimited(stream: BinaryIO, delimiter: str) -> Iterator[Record]:
    """Rows of a CSV file; a row's line is its first one, also where quoted fields hold line ends."""
    csv.field_size_limit(FIELD_LIMIT)
    invalid: list[int] = []

    def clean() -> Iterator[str]:
        for number, (line, valid) in enumerate(decoded_lines(stream), start=1):
            if not valid:
                invalid.append(number)
            # NUL stops the csv module on Python 3.10.
            yield line if valid and "\x00" not in line else storable(line)

    reader = csv.reader(clean(), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    rows = 0
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            yield Record(line, flaw=f"invalid CSV: {error}", remedy='close each quote, and write " in a quote as ""')
            rows += 1
            continue
        if invalid:
            yield Record(invalid[0], flaw=BAD_UTF8, remedy=UTF8_REMEDY)
            invalid.clear()
            rows += 1
            if header is not None:
                continue
        if not fields:
            continue
        if header is None:
            header = [name.strip() for name in fields]
            twice = sorted({name for name in header if name and header.count(name) > 1})
            if twice:
                yield Record(line, flaw=f"the header names {twice[0]!r} twice", remedy="give each column its own name")
                return
            continue
        rows += 1
        yield _row_of(line, header, fields)
    if header is not None and not rows:
        yield Record(1, flaw="there is a header but no row below it", remedy="add rows")


def _row_of(line: int, header: list[str], fields: list[str]) -> Record:
    """One CSV row as an object; columns without a name are left out."""
    if len(fields) != len(header):
        flaw = f"the row has {len(fields)} fields where the header has {len(header)}"
        return Record(line, flaw=flaw, remedy="quote fields that hold the delimiter")
    if not any(fields):
        return Record(line, flaw="every cell of the row is empty", remedy="delete the row")
    value = {name: field for name, field in zip(header, fields, strict=True) if name}
    return Record(line, value, text_only=True)


def read_parquet(stream: BinaryIO) -> Iterator[Record]:
    """Parquet by batches; NaN, which stands for a missing value there, is null. Lines count rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with ExitStack() as stack:
        source: object = stream
        if isinstance(source, gzip.GzipFile):  # Parquet is read from its end, where gzip would unpack all anew
            stream = stack.enter_context(copied(stream))
        number = 0
        try:
            for batch in pq.ParquetFile(stream).iter_batches(batch_size=BATCH_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    yield Record(number, _without_nan(row))
        except pa.ArrowException as error:
            flaw = f"the file cannot be read as Parquet: {error}"
            yield Record(number and number + 1, flaw=flaw, remedy="write it anew, or set data.format")


def _without_nan(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with NaN as null."""
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}
