"""Review files: invented rows that wait for a person, one JSON object a line; and accepted rows put to a dataset.

A line holds `review` (pending, accepted or rejected), `kind`, `why`, `doubts`, and the `row` under the columns of the
dataset. No run reads such a file: its rows lie one level too deep for that.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast, get_args

from promptprop.adapters.files.writing import write_atomically
from promptprop.domain.errors import DataError, Problem, UsageError
from promptprop.domain.models import Json, canonical

Decision = Literal["pending", "accepted", "rejected"]
DECISIONS: tuple[Decision, ...] = get_args(Decision)
LINES = (".jsonl", ".ndjson")


@dataclass(frozen=True, slots=True)
class ReviewRow:
    """A row under review, under the columns of its dataset."""

    row: dict[str, Json]
    review: Decision = "pending"
    kind: str = ""
    why: str = ""
    doubts: tuple[str, ...] = ()

    def decided(self, decision: Decision) -> ReviewRow:
        """The same row with what a person says of it."""
        return replace(self, review=decision)

    def as_json(self) -> Json:
        """The line of the file."""
        return {
            "review": self.review,
            "kind": self.kind,
            "why": self.why,
            "doubts": list(self.doubts),
            "row": self.row,
        }


def read_review(path: Path) -> list[ReviewRow]:
    """The rows of a review file. Raises DataError with every line that is none."""
    rows: list[ReviewRow] = []
    problems: list[Problem] = []
    for number, value in _objects(path, problems):
        row, review = value.get("row"), value.get("review")
        if not isinstance(row, dict) or review not in DECISIONS:
            problems.append(Problem(f"{path.name}, line {number}: no row under review", remedy=_REVIEWED))
            continue
        doubts = value.get("doubts")
        rows.append(
            ReviewRow(
                row,
                cast("Decision", review),
                str(value.get("kind") or ""),
                str(value.get("why") or ""),
                tuple(map(str, doubts)) if isinstance(doubts, list) else (),
            )
        )
    if problems and not rows:
        raise DataError(f"{path.name} is no review file", remedy=_REVIEWED)
    if problems:
        raise DataError(problems)
    return rows


_REVIEWED = 'a line is {"review": "pending", "row": {…}}, as `promptprop data synth` writes it'


def write_review(path: Path, rows: Sequence[ReviewRow]) -> None:
    """The file with these rows, whole or not at all. Raises NotWritable."""
    write_atomically(path, "".join(_line(row.as_json()) for row in rows))


def add_rows(path: Path, rows: Sequence[dict[str, Json]], id_column: str | None) -> int:
    """Put rows at the end of a dataset of JSON Lines, those alone that are not there yet; returns how many were.

    Rows are told apart by their id column, or by all that they hold. The file is made where there is none.
    Raises UsageError for other formats, DataError for a line that is no object, NotWritable.
    """
    if path.suffix.lower() not in LINES:
        raise UsageError(
            f"rows are added to JSON Lines, and {path.name} is called otherwise",
            remedy="name a .jsonl file: `promptprop data import FILE -o rows.jsonl` makes one of CSV",
        )
    problems: list[Problem] = []
    before = path.read_text(encoding="utf-8-sig") if path.is_file() else ""
    known = {_identity(value, id_column) for _, value in _objects(path, problems)} if before else set()
    if problems:
        raise DataError(problems)
    new: list[dict[str, Json]] = []
    for row in rows:
        if (identity := _identity(row, id_column)) not in known:
            known.add(identity)
            new.append(row)
    if new:
        gap = "" if not before or before.endswith("\n") else "\n"
        write_atomically(path, before + gap + "".join(map(_line, new)))
    return len(new)


def _identity(row: dict[str, Json], id_column: str | None) -> str:
    """What tells a row from others: an id is the same whether it is written as a number or as a text."""
    return str(row[id_column]) if id_column and row.get(id_column) is not None else canonical(row)


def _line(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"


def _objects(path: Path, problems: list[Problem]) -> list[tuple[int, dict[str, Json]]]:
    """The objects of a file with their lines; what is none is told. Raises DataError where it cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise DataError(f"{path} cannot be read: {why}", remedy="name a file that `data synth` wrote") from error
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if isinstance(value, dict):
            found.append((number, value))
        else:
            problems.append(Problem(f"{path.name}, line {number}: no JSON object", remedy="mend or remove the line"))
    return found
