"""`data review` on a terminal: a person sees one invented row after the other, and accepts, edits or rejects it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from promptprop.cli.editing import edited
from promptprop.cli.plain import one_line, safe
from promptprop.cli.shell import Shell
from promptprop.domain.errors import DataError
from promptprop.domain.models import Json, text_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from promptprop.adapters.files.reviews import Decision, ReviewRow

QUESTION = "[a]ccept [e]dit [r]eject [s]kip [q]uit: "
LONGEST = 2000  # characters of a value that are shown
DECIDED: dict[str, Decision] = {"a": "accepted", "accept": "accepted", "r": "rejected", "reject": "rejected"}


class RowReview:
    """Goes through the rows that are pending. What is decided is kept at once, so that quitting loses nothing."""

    def __init__(
        self,
        shell: Shell,
        rows: list[ReviewRow],
        keep: Callable[[list[ReviewRow]], None],
        doubts: Callable[[dict[str, Json]], tuple[str, ...]],
        name: Callable[[ReviewRow], str],
        read: Callable[[], str] | None = None,
    ) -> None:
        """`keep` writes the file, `doubts` looks at an edited row (and raises DataError), `name` gives a row's id."""
        self._shell = shell
        self.rows = rows
        self._keep = keep
        self._doubts = doubts
        self._name = name
        self._read = read or sys.stdin.readline  # the stream of now, and not of when this was loaded

    def run(self) -> None:
        """Ask about each row that is pending, until all are decided or the person quits."""
        pending = [place for place, row in enumerate(self.rows) if row.review == "pending"]
        for number, place in enumerate(pending, 1):
            if not self._decide(place, f"{number} of {len(pending)}"):
                return

    def _decide(self, place: int, progress: str) -> bool:
        """One row; False where the person quits."""
        self._show(self.rows[place], progress)
        while True:
            line = self._line(QUESTION)
            answer = line.strip().lower()
            if not line:
                sys.stderr.write("\n")  # the question's line was left open
            if not line or answer in {"q", "quit"}:
                return False
            if answer in {"s", "skip"}:
                return True
            if answer in DECIDED:
                self._put(place, self.rows[place].decided(DECIDED[answer]))
                return True
            if answer in {"e", "edit"}:
                self._edit(place)
                self._show(self.rows[place], progress)
            else:
                self._shell.note("one of a, e, r, s, q")

    def _edit(self, place: int) -> None:
        before = self.rows[place]
        text = json.dumps(before.row, ensure_ascii=False, indent=2)
        found, problem = asyncio.run(edited(text, f"{self._name(before)}.json"))
        if problem or found == text:
            self._shell.note(safe(problem or "nothing was changed"))
            return
        try:
            row = json.loads(found)
            doubts = self._doubts(row)
        except (ValueError, DataError) as error:
            said = "; ".join(one.message for one in error.problems) if isinstance(error, DataError) else str(error)
            self._shell.note(safe(f"that cannot stand: {said}"))
            return
        self._put(place, replace(before, row=row, doubts=doubts))

    def _put(self, place: int, row: ReviewRow) -> None:
        self.rows[place] = row
        self._keep(self.rows)

    def _show(self, row: ReviewRow, progress: str) -> None:
        from rich.text import Text

        from promptprop.cli.drawing import facts_table

        facts: list[tuple[str, str | Text]] = [("why", one_line(row.why))] if row.why else []
        facts += [("doubt", Text(one_line(doubt), style="yellow")) for doubt in row.doubts]
        facts += [(one_line(name), shown(value)) for name, value in row.row.items()]
        title = Text.assemble((one_line(self._name(row)), "bold"), f" · {one_line(row.kind)} · {progress}")
        parts: list[RenderableType] = ["", title, facts_table(facts)]
        self._shell.draw_note(parts)

    def _line(self, question: str) -> str:
        sys.stderr.write(question)
        sys.stderr.flush()
        return self._read()


def shown(value: Json) -> str:
    """A value of a row as a person reads it: line breaks stay, what is longer than a page is cut."""
    text = safe(text_of(value))
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters)"
