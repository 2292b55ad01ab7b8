"""Which lines of a prompt changed, and which of them a row that flipped most probably goes back to."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from promptprop.domain.models import Candidate, Json

_WORD = re.compile(r"[^\W_]{3,}")
AT_STAKE = 3.0  # what a word of the expected answer or of the answers counts, against one of the inputs


@dataclass(frozen=True, slots=True)
class Change:
    """A line that went (`-`) or came (`+`); `line` counts from 1 in the candidate's text of that step, or in `file`.

    For a line that went it is the one that now stands in its place.
    """

    step: str
    mark: Literal["-", "+"]
    text: str
    line: int
    file: str = ""

    def as_json(self) -> dict[str, Json]:
        """For `--json`."""
        return {"step": self.step, "file": self.file, "line": self.line, "mark": self.mark, "text": self.text}


def changes_of(baseline: Candidate, candidate: Candidate) -> list[Change]:
    """The lines that differ, step by step, in the order of a diff."""
    changes = []
    for step, prompt in candidate.prompts.items():
        before = lines_of(baseline.prompts[step].text) if step in baseline.prompts else []
        after = lines_of(prompt.text)
        for tag, old_from, old_to, new_from, new_to in difflib.SequenceMatcher(None, before, after).get_opcodes():
            if tag != "equal":
                place = min(new_from, len(after) - 1) + 1
                changes += [Change(step, "-", text, place) for text in before[old_from:old_to]]
                changes += [Change(step, "+", text, new_from + n + 1) for n, text in enumerate(after[new_from:new_to])]
    return changes


def lines_of(text: str) -> list[str]:
    """Lines as editors count them."""
    return text.split("\n")


class ChangedLines:
    """Changed lines by their words, so that each of many rows finds the one nearest to it.

    >>> lines = [Change("main", "-", "- refunds go to returns", 3), Change("main", "+", "Be brief.", 9)]
    >>> ChangedLines(lines).nearest("returns billing", "Where is my money?").line
    3
    """

    def __init__(self, changes: Sequence[Change]) -> None:
        """Blank lines are near to nothing."""
        self._lines = [change for change in changes if change.text.strip()]
        self._places: dict[str, list[int]] = {}
        for place, change in enumerate(self._lines):
            for word in _words(change.text):
                self._places.setdefault(word, []).append(place)

    def nearest(self, at_stake: str, inputs: str) -> Change | None:
        """The line that shares most words with a row: a guess, and None where no line, or several, speak for it.

        `at_stake` is what was expected and answered. A word counts less the more lines have it.
        """
        if len(self._lines) == 1:
            return self._lines[0]
        stakes = _words(at_stake)
        weights: dict[int, float] = {}
        for word in sorted((stakes | _words(inputs)) & self._places.keys()):
            places = self._places[word]
            for place in places:
                weights[place] = weights.get(place, 0.0) + (AT_STAKE if word in stakes else 1.0) / len(places)
        most = max(weights.values(), default=0.0)
        best = [place for place, weight in weights.items() if weight == most]
        return self._lines[best[0]] if len(best) == 1 else None


def _words(text: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(text)}
