"""Datasets as examples: which column means what, and every bad row reported at once, before the first is used."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from promptprop.adapters.files.dataset_fields import Flaw, FlawedRow, RowFields
from promptprop.adapters.files.dataset_formats import Reader, Record, format_of, load_reader
from promptprop.adapters.files.dataset_sources import STDIN, Start, open_source
from promptprop.domain.errors import DataError, Place, Problem
from promptprop.domain.models import Example, Json, Split, digest

SHOWN = 50  # problems that one error lists
SPLITS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "select": "select",
    "val": "select",
    "valid": "select",
    "validation": "select",
    "dev": "select",
    "test": "test",
}


@dataclass(frozen=True, slots=True)
class Columns:
    """What the columns of a dataset mean. A name may be dotted, to reach into nested objects: `meta.id`.

    An input fills a prompt variable of its name: `meta.text` fills `{{ meta.text }}`, and what no variable can be
    called becomes `_`, so that `Customer message` fills `{{ Customer_message }}`.
    Raises DataError where there are no inputs, or where two of them fill one variable.
    """

    inputs: tuple[str, ...]
    expected: str | None = None
    id: str | None = None
    cluster: str | None = None
    tags: str | None = None
    weight: str | None = None
    split: str | None = None
    soft_negatives: str | None = None
    hard_negatives: str | None = None

    def __post_init__(self) -> None:
        """Refuse inputs that cannot fill variables of their own."""
        if not self.inputs:
            raise DataError("no column is named as input", remedy="name at least one under data.inputs")
        taken: dict[tuple[str, ...], str] = {}
        for column in self.inputs:
            path = variable_path(column)
            for other, name in taken.items():
                if path[: len(other)] == other or other[: len(path)] == path:
                    raise DataError(
                        f"the input columns {name!r} and {column!r} fill one variable, {'.'.join(min(path, other))}",
                        remedy="rename one of them in the data",
                    )
            taken[path] = column

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables that prompts can use: of dotted names the first part."""
        return tuple(dict.fromkeys(variable_path(column)[0] for column in self.inputs))

    def filled(self, values: Mapping[str, Json]) -> dict[str, Json]:
        """What prompts are given of a row: variables, from the values of the input columns."""
        inputs: dict[str, Json] = {}
        for column in self.inputs:
            _put(inputs, variable_path(column), values[column])
        return inputs

    def values(self, inputs: Mapping[str, Json]) -> dict[str, Json]:
        """The values of the input columns, from the variables that prompts are given."""
        found: dict[str, Json] = {}
        for column in self.inputs:
            value: Json = inputs
            for part in variable_path(column):
                value = value[part]
            found[column] = value
        return found


def variable_path(column: str) -> tuple[str, ...]:
    """The names under which a template reaches an input.

    >>> variable_path("meta.first name"), variable_path("2nd")
    (('meta', 'first_name'), ('_2nd',))
    """
    words = [re.sub(r"\W", "_", part) or "_" for part in column.split(".")]
    return tuple(f"_{word}" if word[0].isdigit() else word for word in words)


def read_examples(
    path: str,
    columns: Columns,
    format: str | None = None,  # noqa: A002  (the word of the configuration)
    most: int | None = None,
) -> Iterator[Example]:
    """The examples of a dataset file, or of stdin (`-`), one at a time.

    The data is read twice: nothing is yielded before all rows have been checked. What is kept meanwhile is a line
    number per id, never the rows; JSON and YAML documents lie in memory as text or nodes. Stdin and pipes are read
    once, into a temporary file. Without an id column the id is a hash of the inputs, counted on where inputs repeat: it
    does not depend on the order of the rows (but rows with equal inputs take their numbers in file order). In CSV an
    empty cell of the `expected` column is a missing value, an empty input is an empty text.
    Raises DataError, at the first `next`, with up to 50 problems, and as soon as there are more than `most` rows.
    """
    return _read([(path, None)], columns, format, most)


def read_split_files(
    paths: Mapping[str, str],
    columns: Columns,
    format: str | None = None,  # noqa: A002  (the word of the configuration)
    most: int | None = None,
) -> Iterator[Example]:
    """The examples of one file per split (`train`, `select` or `val`, `test`), in this order, with their split set.

    As `read_examples`; ids are unique over all files. Raises DataError also where a key names no split.
    """
    files: list[tuple[str, Split | None]] = []
    for name, path in paths.items():
        files.append((path, split_of(name)))
    order = ("train", "select", "test", None)
    return _read(sorted(files, key=lambda file: order.index(file[1])), replace(columns, split=None), format, most)


def split_of(name: Json) -> Split:
    """The split that a value names. Raises DataError.

    >>> split_of("Validation")
    'select'
    """
    split = SPLITS.get(name.strip().lower()) if isinstance(name, str) else None
    if split is None:
        raise DataError(f"{name!r} names no split", remedy="write train, select (or val) or test")
    return split


@dataclass(frozen=True, slots=True)
class _File:
    """A file being read."""

    name: str
    start: Start
    reader: Reader
    split: Split | None


def too_many_rows(most: int) -> DataError:
    """The error for a dataset that is larger than somebody takes."""
    return DataError(f"the dataset has more than {most:,} rows", remedy="take fewer rows, or a part of them")


def _read(
    paths: Sequence[tuple[str, Split | None]], columns: Columns, given: str | None, most: int | None
) -> Iterator[Example]:
    """Check all files, then yield their examples."""
    with ExitStack() as stack:
        files = []
        for path, split in paths:
            reader = load_reader(format_of(path, given))
            start = stack.enter_context(open_source(path))
            files.append(_File("stdin" if path == STDIN else path, start, reader, split))
        for _ in _Reading(columns, most).examples(files):
            pass
        yield from _Reading(columns, most).examples(files)


class _Reading:
    """One pass over the files of a dataset: makes examples, remembers ids, collects what is wrong."""

    def __init__(self, columns: Columns, most: int | None) -> None:
        self.columns = columns
        self.most = most
        self.rows = 0
        self.problems = _Problems()
        self.places: dict[str, tuple[str, int]] = {}
        self.repeats: Counter[str] = Counter()

    def examples(self, files: Sequence[_File]) -> Iterator[Example]:
        """The good rows. Raises DataError at the end of the last file if there was a bad one."""
        for file in files:
            rows = 0
            present: set[str] = set()
            for record in file.reader(file.start()):
                rows += 1
                self._count()
                try:
                    example = self._example(record, file, present)
                except FlawedRow as error:
                    self.problems.add(Place(file.name, record.line, record.column), error.flaws)
                else:
                    yield example
            self._end(file.name, rows, present)
        self.problems.check()

    def _count(self) -> None:
        self.rows += 1
        if self.most is not None and self.rows > self.most:
            raise too_many_rows(self.most)

    def _end(self, file: str, rows: int, present: set[str]) -> None:
        """What can only be said of a whole file."""
        if not rows:
            self.problems.add(Place(file), [Flaw("the file holds no rows", "add rows, or name another file")])
            return
        self.problems.merge_missing(file, rows)
        optional = ("cluster", "tags", "weight", "soft_negatives", "hard_negatives")
        for column in filter(None, (getattr(self.columns, name) for name in optional)):
            if present and column not in present:
                self.problems.add(Place(file), [Flaw(f"no row has a column {column!r}", "check its name")])

    def _example(self, record: Record, file: _File, present: set[str]) -> Example:
        """The example of a record. Raises FlawedRow."""
        if record.flaw:
            raise FlawedRow([Flaw(record.flaw, record.remedy)])
        columns = self.columns
        fields = RowFields(record.value, text_only=record.text_only)
        inputs = columns.filled({column: fields.given(column) for column in columns.inputs})
        expected = fields.given(columns.expected, blank_is_null=True) if columns.expected else None
        given_id = fields.label(columns.id) if columns.id else None
        split = fields.chosen(columns.split, SPLITS) if columns.split else file.split
        example = Example(
            id=given_id or "",
            inputs=inputs,
            expected=expected,
            soft_negatives=fields.negatives(columns.soft_negatives),
            hard_negatives=fields.negatives(columns.hard_negatives),
            tags=fields.tags(columns.tags),
            cluster=fields.optional_label(columns.cluster),
            weight=fields.weight(columns.weight),
            split=split,
        )
        present |= fields.present
        if given_id:
            self._check_unique(given_id, file.name, record.line, fields)
        if fields.flaws:
            raise FlawedRow(fields.flaws)
        return example if given_id else replace(example, id=self._content_id(inputs))

    def _check_unique(self, name: str, file: str, line: int, fields: RowFields) -> None:
        """Note where an id stands; a second place is a flaw."""
        if name in self.places:
            first = Place(*self.places[name])
            fields.flaws.append(Flaw(f"the id {name!r} stands at {first} already", "give each row its own id"))
        else:
            self.places[name] = (file, line)

    def _content_id(self, inputs: Mapping[str, Json]) -> str:
        """A hash of the inputs, with a number from the second occurrence on."""
        name = digest(inputs, 16)
        self.repeats[name] += 1
        count = self.repeats[name]
        return name if count == 1 else f"{name}-{count}"


def _put(tree: dict[str, Any], path: Sequence[str], value: Json) -> None:
    """Set the value at a path, with objects on the way."""
    for part in path[:-1]:
        tree = tree.setdefault(part, {})
    tree[path[-1]] = value


class _Problems:
    """Problems in the order found: all are counted, no more than can be shown are kept.

    Rows that lack a column are kept apart by file and column: where all rows of a file lack it, they are one problem.
    """

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str] | None, list[tuple[int, Problem]]] = {}
        self.counts: Counter[tuple[str, str] | None] = Counter()
        self.found = 0

    def add(self, place: Place, flaws: Sequence[Flaw]) -> None:
        """Count the flaws of a row, and keep them while there is room."""
        for flaw in flaws:
            key = (place.file, flaw.missing) if flaw.missing else None
            self.found += 1
            self.counts[key] += 1
            kept = self.kept.setdefault(key, [])
            if len(kept) < SHOWN:
                kept.append((self.found, Problem(flaw.message, place, flaw.remedy)))

    def merge_missing(self, file: str, rows: int) -> None:
        """Make one problem of a column that all rows of the file lack."""
        for key, count in self.counts.items():
            if key is not None and key[0] == file and count == rows > 1:
                order, first = self.kept[key][0]
                self.kept[key] = [(order, Problem(f"{first.message} (in all {rows} rows)", Place(file), first.remedy))]
                self.counts[key] = 1

    def check(self) -> None:
        """Raise DataError with what was found, if anything was."""
        total = sum(self.counts.values())
        if not total:
            return
        ordered = sorted((entry for kept in self.kept.values() for entry in kept), key=lambda entry: entry[0])
        shown = [problem for _, problem in ordered[:SHOWN]]
        if total > len(shown):
            shown.append(Problem(f"… and {total - len(shown)} more"))
        raise DataError(shown)
