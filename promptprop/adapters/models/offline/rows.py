"""Finds a world's rows inside a message, however they are quoted: compared on letters and digits alone.

White space, case, punctuation and JSON escapes do not count. A long row is found by a shingle of letters looked up at
every few letters of the message, a short one by its first word, so that a message is searched once for all rows.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate

from promptprop.adapters.models.offline.world import WorldRow
from promptprop.domain.models import text_of

SHINGLE, STRIDE = 16, 8
CLIPPED = 120  # letters by which a long row is known although the message breaks it off
_WORD = re.compile(r"[^\W_]+")
_ESCAPE = re.compile(r"\\+(?:u([0-9a-fA-F]{4})|[nrtbf])")


@dataclass(frozen=True, slots=True)
class Found:
    """A row quoted in a message, and the span of its text there."""

    row: WorldRow
    start: int
    end: int


class Letters:
    """A text as its letters and digits in lower case, with the way back to positions in the text."""

    def __init__(self, text: str) -> None:
        """Fold the text; every folded letter stays at its position."""
        plain = _ESCAPE.sub(_unescaped, text) if "\\" in text else text
        folded = plain.lower()
        if len(folded) != len(plain):  # a few letters grow when lowered
            folded = "".join(char.lower() if len(char.lower()) == 1 else char for char in plain)
        self.words = _WORD.findall(folded)
        self.letters = "".join(self.words)
        self._folded = folded
        self._ends = list(accumulate(map(len, self.words)))
        self._starts: list[int] | None = None

    def position(self, index: int) -> int:
        """Where the letter at `index` stands in the text."""
        if self._starts is None:
            self._starts = [match.start() for match in _WORD.finditer(self._folded)]
        word = bisect_right(self._ends, index)
        return self._starts[word] + index - (self._ends[word] - len(self.words[word]))

    def at_word_end(self, index: int) -> bool:
        """Whether a word ends before the letter at `index`."""
        place = bisect_right(self._ends, index - 1)
        return place < len(self._ends) and self._ends[place] == index

    def word_starts(self) -> Iterable[tuple[int, str]]:
        """Each word with the index of its first letter."""
        return zip((end - len(word) for end, word in zip(self._ends, self.words, strict=True)), self.words, strict=True)


def _unescaped(match: re.Match[str]) -> str:
    """As many characters as the escape has: the letter that it means, then spaces."""
    letter = chr(int(match.group(1), 16)) if match.group(1) else " "
    return letter.ljust(len(match.group()))


class RowIndex:
    """The rows of a world by the text of their longest input."""

    def __init__(self, rows: Mapping[str, WorldRow]) -> None:
        """Index each row once; rows with equal texts are told apart by their other inputs."""
        self._rows: dict[str, list[WorldRow]] = {}
        for row in rows.values():
            anchor = max((Letters(text_of(value)).letters for value in row.inputs.values()), key=len, default="")
            if anchor:
                self._rows.setdefault(anchor, []).append(row)
        self._long: dict[str, list[tuple[int, str]]] = {}
        self._short: dict[str, list[str]] = {}
        for anchor, same in self._rows.items():
            if len(anchor) >= SHINGLE + STRIDE:
                for offset in range(STRIDE):
                    self._long.setdefault(anchor[offset : offset + SHINGLE], []).append((offset, anchor))
            else:
                value = max(map(text_of, same[0].inputs.values()), key=lambda text: len(Letters(text).letters))
                self._short.setdefault(Letters(value).words[0], []).append(anchor)

    def find(self, text: str) -> list[Found]:
        """The rows quoted in a text, in order and without overlaps: of two that overlap, the longer one."""
        letters = Letters(text)
        spans = self._long_spans(letters) | self._short_spans(letters)
        taken: list[tuple[int, int, str]] = []
        for start, end, anchor in sorted(spans, key=lambda span: (span[0] - span[1], span)):
            if all(end <= other[0] or start >= other[1] for other in taken):
                taken.append((start, end, anchor))
        return [
            Found(self._best(anchor, letters.letters), letters.position(start), letters.position(end - 1) + 1)
            for start, end, anchor in sorted(taken)
        ]

    def _long_spans(self, letters: Letters) -> set[tuple[int, int, str]]:
        text, known = letters.letters, self._long
        spans = set()
        for place in range(0, len(text) - SHINGLE + 1, STRIDE):
            for offset, anchor in known.get(text[place : place + SHINGLE], ()):
                start = place - offset
                if start < 0:
                    continue
                if text.startswith(anchor, start):
                    spans.add((start, start + len(anchor), anchor))
                elif len(anchor) > CLIPPED and text.startswith(anchor[:CLIPPED], start):
                    spans.add((start, start + _common(text, start, anchor), anchor))
        return spans

    def _short_spans(self, letters: Letters) -> set[tuple[int, int, str]]:
        if not self._short:
            return set()
        return {
            (start, start + len(anchor), anchor)
            for start, word in letters.word_starts()
            for anchor in self._short.get(word, ())
            if letters.letters.startswith(anchor, start) and letters.at_word_end(start + len(anchor))
        }

    def _best(self, anchor: str, letters: str) -> WorldRow:
        """Of the rows with this text, the one whose other inputs occur most."""
        rows = self._rows[anchor]
        if len(rows) == 1:
            return rows[0]
        others = [[Letters(text_of(value)).letters for value in row.inputs.values()] for row in rows]
        return max(zip(rows, others, strict=True), key=lambda pair: sum(len(o) for o in pair[1] if o in letters))[0]


def _common(text: str, start: int, anchor: str) -> int:
    length = CLIPPED
    while length < len(anchor) and start + length < len(text) and text[start + length] == anchor[length]:
        length += 1
    return length
