"""Rows on their way from another tool: plain, with columns of their own names, and a count of what was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from promptprop.adapters.files.dataset_fields import plain
from promptprop.adapters.files.dataset_formats import load_reader
from promptprop.adapters.files.dataset_sources import open_source
from promptprop.domain.errors import DataError, Place, Problem
from promptprop.domain.models import Json, storable

EXPECTED = "expected"
TAKEN = ("id", EXPECTED, "split", "hard_negatives", "criteria")  # columns of ours, which no input may be called


@dataclass(slots=True)
class Imported:
    """The rows of a source, which of their columns are inputs, and what was left out, with how often.

    `renamed` are inputs that had the name of a column of ours, with what they are called instead.
    """

    kind: str
    rows: list[dict[str, Json]] = field(default_factory=list)
    inputs: dict[str, None] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    renamed: dict[str, str] = field(default_factory=dict)

    def add(self, inputs: Mapping[str, object], **known: object) -> None:
        """One row more. Inputs that are null are empty; other values that are None or empty are left out.

        What JSON cannot hold is left out and counted.
        """
        named = {self._name(name): value for name, value in inputs.items()}
        shown = self._plain({name: "" if value is None else value for name, value in named.items()})
        more = {name: value for name, value in self._plain(known).items() if value not in (None, "", [])}
        self.inputs |= dict.fromkeys(shown)
        self.rows.append({"id": f"row-{len(self.rows) + 1:05}", **shown, **more})

    @property
    def gaps(self) -> dict[str, int]:
        """Inputs and expected answers that some rows have and others lack, with how many do."""
        counted = Counter(name for row in self.rows for name in row)
        wanted = [*self.inputs, *([EXPECTED] if counted[EXPECTED] else [])]
        return {name: missing for name in wanted if (missing := len(self.rows) - counted[name])}

    def _name(self, name: object) -> str:
        text = storable(str(name))
        if text in TAKEN:
            self.renamed[text] = text = f"input_{text}"
        return text

    def _plain(self, values: Mapping[str, object]) -> dict[str, Json]:
        found: dict[str, Json] = {}
        for name, value in values.items():
            try:
                found[name] = plain(value)
            except ValueError as error:
                self.left_out[f"a value of {name}: {error}"] += 1
        return found


def unusable(path: Path, message: str, remedy: str, line: int = 0, column: int = 0) -> DataError:
    """An error about a source, at a place in it (from 1) where one is known."""
    return DataError(Problem(message, Place(str(path), line, column), remedy))


def records_of(path: Path, form: str, found: Imported) -> Iterator[dict[str, Json]]:
    """The objects of a file in one of the formats of datasets. Raises DataError at the first flaw."""
    with open_source(str(path)) as start, start() as stream:
        for record in load_reader(form)(stream):
            if record.flaw:
                raise unusable(path, record.flaw, record.remedy or "mend it there", record.line, record.column)
            if isinstance(record.value, dict):
                yield record.value
            else:
                found.left_out["a row that is no object"] += 1
