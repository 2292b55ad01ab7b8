"""The fields of one row: taken by column name, checked, and made storable; what is wrong is collected, not raised."""

from __future__ import annotations

import datetime
import difflib
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

from promptprop.domain.models import Json, storable

MAX_DEPTH = 100
NAMES_SHOWN = 12
_SEPARATORS = re.compile(r"[,;\t|]")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing wrong in a row; `missing` names the column that the row lacks."""

    message: str
    remedy: str = ""
    missing: str = ""


class FlawedRow(Exception):
    """A row that cannot become an example."""

    def __init__(self, flaws: list[Flaw]) -> None:
        """Keep every flaw of the row."""
        super().__init__("; ".join(flaw.message for flaw in flaws))
        self.flaws = flaws


class _Absent:
    """The mark of a column that is not there, as opposed to one that holds null."""


ABSENT = _Absent()


def plain(value: Any, depth: int = 0) -> Json:
    """`value` as JSON that every database can hold: dates as ISO texts, decimals as texts, texts storable.

    Raises ValueError where JSON has no such value.
    """
    if depth > MAX_DEPTH:
        raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is no number that JSON can hold")
        return value
    if isinstance(value, Mapping):
        return {storable(str(key)): plain(child, depth + 1) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [plain(child, depth + 1) for child in value]
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    raise ValueError(f"a value of type {type(value).__name__} cannot be put into a prompt")


class RowFields:
    """Takes the fields of a row by column name.

    `flaws` collects what is wrong, `present` the columns that were there. `text_only` rows come from a format without
    null. Raises FlawedRow where the row is not an object.
    """

    def __init__(self, row: Json, *, text_only: bool = False) -> None:
        """Begin without flaws."""
        if not isinstance(row, Mapping):
            kind = {list: "a list", str: "a text", type(None): "null"}.get(type(row), f"{row!r:.40}")
            raise FlawedRow([Flaw(f"the row is not an object but {kind}", 'write {"column": value, …}')])
        self.row = row
        self.text_only = text_only
        self.flaws: list[Flaw] = []
        self.present: set[str] = set()

    def given(self, column: str, *, blank_is_null: bool = False) -> Json:
        """The value of a column that every row must have; null is a flaw."""
        value = self._take(column)
        if isinstance(value, _Absent):
            self._lacks(column)
            return None
        if value is None or (value == "" and blank_is_null and self.text_only):
            self.flaws.append(Flaw(f"the column {column!r} is {'null' if value is None else 'empty'}", "fill it in"))
        return value

    def label(self, column: str) -> str | None:
        """An id: a text or a whole number, as text."""
        known = len(self.flaws)
        value = self.given(column, blank_is_null=True)
        return self._named(column, value) if len(self.flaws) == known else None

    def optional_label(self, column: str | None) -> str | None:
        """A cluster: a text or a whole number, as text; null and empty mean none."""
        value = self._optional(column)
        return None if value is None else self._named(column, value)

    def chosen(self, column: str, choices: Mapping[str, T]) -> T | None:
        """What the column's word stands for among the choices."""
        known = len(self.flaws)
        value = self.given(column)
        if len(self.flaws) > known:
            return None
        choice = choices.get(value.strip().lower()) if isinstance(value, str) else None
        if choice is None:
            self.flaws.append(Flaw(f"{column!r} is {_short(value)}", f"write one of {', '.join(choices)}"))
        return choice

    def weight(self, column: str | None) -> float:
        """A number above 0; 1 where there is none."""
        value = self._optional(column)
        if value is None:
            return 1.0
        try:
            weight = math.nan if isinstance(value, bool | list | dict) else float(value)
        except (ValueError, OverflowError):
            weight = math.nan
        if not (math.isfinite(weight) and weight > 0):
            self.flaws.append(Flaw(f"the weight {column!r} is {_short(value)}", "write a number above 0"))
            return 1.0
        return weight

    def tags(self, column: str | None) -> tuple[str, ...]:
        """A list of texts, or one text split at commas; each tag once."""
        value = self._optional(column)
        if value is None:
            return ()
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, list) or not all(isinstance(part, str | int | float) for part in parts):
            self.flaws.append(Flaw(f"the tags {column!r} are {_short(value)}", "write a list, or a text with commas"))
            return ()
        return tuple(dict.fromkeys(word for part in parts if (word := str(part).strip())))

    def negatives(self, column: str | None) -> tuple[Json, ...]:
        """A list of negatives, or a single one: a text (numbers become one), or `{"literal": text}`."""
        value = self._optional(column)
        if value is None:
            return ()
        found: list[Json] = []
        for entry in value if isinstance(value, list) else [value]:
            literal = entry.get("literal") if isinstance(entry, dict) and len(entry) == 1 else entry
            if isinstance(entry, int | float) and not isinstance(entry, bool):
                found.append(str(entry))
            elif isinstance(literal, str) and literal.strip():
                found.append(entry)
            else:
                remedy = 'write texts, or {"literal": "…"} for a text that must not occur'
                self.flaws.append(Flaw(f"a negative in {column!r} is {_short(entry)}", remedy))
        return tuple(found)

    def _optional(self, column: str | None) -> Json:
        """The value of a column that a row may lack; None where it is absent, null or blank."""
        value = ABSENT if column is None else self._take(column)
        return None if isinstance(value, _Absent) or (isinstance(value, str) and not value.strip()) else value

    def _take(self, column: str) -> Any:
        """The value of a column, or ABSENT: the name as it stands first, then as a path into nested objects."""
        value: Any = self.row.get(column, ABSENT)
        if value is ABSENT and "." in column:
            value = self.row
            for part in column.split("."):
                value = value.get(part, ABSENT) if isinstance(value, Mapping) else ABSENT
        if value is ABSENT:
            return ABSENT
        self.present.add(column)
        try:
            return plain(value)
        except ValueError as error:
            self.flaws.append(Flaw(f"the column {column!r}: {error}"))
            return ""

    def _named(self, column: str | None, value: Json) -> str | None:
        """A text or a whole number as a name."""
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, str | int) and not isinstance(value, bool) and (name := str(value).strip()):
            return name
        self.flaws.append(Flaw(f"the column {column!r} is {_short(value)}", "write a text or a whole number"))
        return None

    def _lacks(self, column: str) -> None:
        """Note that a column is missing, with the names that there are."""
        names = list(_names(self.row))
        shown = ", ".join(names[:NAMES_SHOWN]) + (", …" if len(names) > NAMES_SHOWN else "")
        close = difflib.get_close_matches(column, names, n=1)
        remedy = f"did you mean {close[0]!r}?" if close else ""
        if len(names) == 1 and column in _SEPARATORS.split(names[0]):
            remedy = "separate columns by commas, or by tabs with data.format: tsv"
        message = f"the column {column!r} is missing; there are: {shown or 'none'}"
        self.flaws.append(Flaw(message, remedy, missing=column))


def _names(row: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[str]:
    """The column names of a row, those of nested objects dotted, three levels deep."""
    for key, value in row.items():
        yield f"{prefix}{key}"
        if isinstance(value, Mapping) and depth < 2:
            yield from _names(value, f"{prefix}{key}.", depth + 1)


def _short(value: Json) -> str:
    """A value as a message quotes it."""
    text = "null" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
