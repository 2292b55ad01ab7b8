"""Lists and tables: items in order or in any order, and rows of cells."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from promptprop.domain.models import Example, Json, Judgement, text_of
from promptprop.metrics.base import UNEXPECTED, CodeMetric, judged, shown
from promptprop.metrics.items import differing, named, read_items
from promptprop.metrics.normalise import NormalOptions, normalise
from promptprop.metrics.structured import parse_json

LONGEST = 50_000  # characters of an answer that are read
MOST_ITEMS = 2000
_RULE = re.compile(r":?-{2,}:?")  # a cell of the line between header and rows


class ListOptions(NormalOptions):
    """How items are compared."""

    order: bool = Field(default=True, description="Whether items have to come in the expected order.")
    casefold: bool = Field(default=True, description="Ignore upper and lower case.")
    collapse_whitespace: bool = Field(default=True, description="Any run of white space equals one space.")


class ListItems(CodeMetric[ListOptions]):
    """The share of items that the answer and the expected list have in common, repeated ones counted.

    In order, that is the longest common subsequence over the mean length; in any order, the common items over it. The
    answer is a JSON list, or one item a line, with or without bullets and numbers.
    """

    Options = ListOptions
    needs_expected = True
    sample = "{id: steps, type: list, order: true}"

    def judge(self, output: str, example: Example) -> Judgement:
        """The share; None where the row expects nothing."""
        if example.expected is None:
            return UNEXPECTED
        wanted, got = self._items(example.expected), self._items(output)
        score = alike(got, wanted, order=self.options.order)
        if score >= 1:
            return judged(1.0)
        missing = list((Counter(wanted) - Counter(got)).elements())
        extra = list((Counter(got) - Counter(wanted)).elements())
        order = f"the items come in another order than {named(wanted, 4, 60)}"
        return judged(score, differing(missing, extra, 4, 60) or order)

    def _items(self, value: Json) -> list[str]:
        listed = value if isinstance(value, list | tuple) else read_items(text_of(value), LONGEST, str.splitlines)
        items = (normalise(text_of(one), self.options) for one in listed[:MOST_ITEMS])
        return [item for item in items if item]


class TableOptions(NormalOptions):
    """How rows and cells are compared."""

    order: bool = Field(default=False, description="Whether rows have to come in the expected order.")
    header: Literal["names", "ignore"] = Field(
        default="names", description="Whether the first row names the columns, which may then come in any order."
    )
    casefold: bool = Field(default=True, description="Ignore upper and lower case.")
    collapse_whitespace: bool = Field(default=True, description="Any run of white space equals one space.")


class Table(CodeMetric[TableOptions]):
    """The share of rows that the answer's table and the expected one have in common; a row counts as a whole.

    Tables are Markdown, CSV, TSV, a JSON list of lists, or a JSON list of objects. Columns are matched by name: one
    that is not expected is left out, one that is missing leaves its cells empty.
    """

    Options = TableOptions
    needs_expected = True
    sample = "{id: prices, type: table}"

    def judge(self, output: str, example: Example) -> Judgement:
        """The share of rows; None where the row expects no table."""
        if example.expected is None:
            return UNEXPECTED
        wanted, got = self._table(example.expected), self._table(output)
        if not wanted:
            return judged(None, f"the expected answer {shown(example.expected)} is no table with rows")
        if not got:
            return judged(0.0, f"the answer holds no table: {shown(output)}")
        rows, answered = self._matched(wanted, got)
        score = alike(answered, rows, order=self.options.order)
        if score >= 1:
            return judged(1.0)
        missing = list((Counter(rows) - Counter(answered)).elements())
        extra = list((Counter(answered) - Counter(rows)).elements())
        return judged(score, differing(missing, extra, 2, 60, "rows ") or "the rows come in another order")

    def _table(self, value: Json) -> list[list[str]]:
        rows = table_of(value)
        return [[normalise(cell, self.options) for cell in row] for row in rows[:MOST_ITEMS]]

    def _matched(self, wanted: list[list[str]], got: list[list[str]]) -> tuple[list[str], list[str]]:
        """The rows of both as texts, the answer's columns in the expected order."""
        if self.options.header == "ignore":
            return [" | ".join(row) for row in wanted], [" | ".join(row) for row in got]
        names = wanted[0]
        places = [got[0].index(name) if name in got[0] else None for name in names]
        if all(place is None for place in places):  # no header: cells by their place
            return [" | ".join(row) for row in wanted[1:]], [" | ".join(row) for row in got]
        mapped = [[row[p] if p is not None and p < len(row) else "" for p in places] for row in got[1:]]
        return [" | ".join(row) for row in wanted[1:]], [" | ".join(row) for row in mapped]


def alike(got: Sequence[str], wanted: Sequence[str], *, order: bool) -> float:
    """What two lists share, over their mean length; 1 where both are empty.

    >>> alike(["a", "b"], ["b", "a"], order=True), alike(["a", "b"], ["b", "a"], order=False)
    (0.5, 1.0)
    """
    if not got and not wanted:
        return 1.0
    if order:
        from rapidfuzz.distance import LCSseq

        common = LCSseq.similarity(got, wanted)
    else:
        common = (Counter(got) & Counter(wanted)).total()
    return 2 * common / (len(got) + len(wanted))


def table_of(value: Json) -> list[list[str]]:
    """The rows of a table in any of the known forms, the names of columns first where it has them; else none.

    >>> table_of("| a | b |" + chr(10) + "|---|---|" + chr(10) + "| 1 | 2 |")
    [['a', 'b'], ['1', '2']]
    """
    if isinstance(value, list | tuple):
        return _from_json(list(value))
    text = text_of(value)[:LONGEST]
    try:
        parsed = parse_json(text, lenient=True)
    except ValueError:
        parsed = None
    if isinstance(parsed, list):
        return _from_json(parsed)
    lines = [line for line in text.splitlines() if line.strip() and not line.strip().startswith("```")]
    piped = [line for line in lines if line.count("|") >= 1 and line.strip().startswith("|")]
    if piped:
        return [_cells(line) for line in piped if not _is_rule(line)]
    separator = next((mark for mark in ("\t", ";", ",") if lines and all(mark in line for line in lines)), None)
    if separator is None:
        return []
    try:
        return [
            [cell.strip() for cell in row] for row in csv.reader(io.StringIO("\n".join(lines)), delimiter=separator)
        ]
    except csv.Error:
        return []


def _from_json(rows: list[Json]) -> list[list[str]]:
    if rows and all(isinstance(row, Mapping) for row in rows):
        names = list(dict.fromkeys(str(name) for row in rows for name in row))
        return [names, *([text_of(row.get(name, "")) for name in names] for row in rows)]
    if rows and all(isinstance(row, list | tuple) for row in rows):
        return [[text_of(cell) for cell in row] for row in rows]
    return []


def _is_rule(line: str) -> bool:
    inner = line.strip().removeprefix("|").removesuffix("|")
    return all(_RULE.fullmatch(cell.strip()) for cell in inner.split("|"))


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
