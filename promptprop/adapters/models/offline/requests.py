"""What a request shows: blocks of data by name, and the text around them; and how far text in it is obeyed.

How much text sways a model that can be swayed (`suggestible`) depends on where it stands. Those chances are made up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from promptprop.domain.models import Json, text_of

OBEYS_OPEN = 0.9  # how often text that stands among the instructions sways a suggestible model,
OBEYS_FENCED = 0.1  # text that stands in a named block of data,
OBEYS_LAST = 0.01  # and such text where instructions follow the data
_BLOCK = re.compile(r"<(\w+)>\n(.*?)\n</\1>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a request shows: blocks of data by name, each a list of JSON values, and the text around them."""

    blocks: Mapping[str, Sequence[Mapping[str, Json]]]
    around: str
    last: bool  # whether instructions follow the data

    def values(self, block: str, key: str) -> list[Json]:
        """The values under `key` in the lines of a block."""
        return [line[key] for line in self.blocks.get(block, ()) if key in line]

    def lure_in(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Where the text asks for what it must not ask for: among the instructions, or else in the data."""
        shown = " ".join(text_of(dict(line)) for lines in self.blocks.values() for line in lines)
        return pattern.search(self.around) or pattern.search(shown)

    def chance_of(self, pattern: re.Pattern[str]) -> float:
        """The chance that a suggestible model does what such text asks for; 0 where there is none."""
        if pattern.search(self.around):
            return OBEYS_OPEN
        if self.lure_in(pattern) is None:
            return 0.0
        return OBEYS_LAST if self.last else OBEYS_FENCED


def read_request(text: str) -> Seen:
    """The named blocks of JSON lines in a request, and what stands around them."""
    blocks: dict[str, list[Mapping[str, Json]]] = {}
    end = 0
    for match in _BLOCK.finditer(text):
        lines = [_line(line) for line in match[2].split("\n")]
        if lines and all(line is not None for line in lines):
            blocks.setdefault(match[1], []).extend(line for line in lines if line is not None)
            end = match.end()
    around = _BLOCK.sub(lambda match: "" if match[1] in blocks else match[0], text)
    return Seen(blocks, around, "instructions" not in blocks and len(text[end:].strip()) > 200)


def _line(text: str) -> Mapping[str, Json] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
