"""Items that an answer lists: how they are read from a text, and how feedback tells of those that differ."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence

from promptprop.domain.models import Json
from promptprop.metrics.base import shown
from promptprop.metrics.structured import shallow

_BULLET = re.compile(r"^\s*(?:[-*+•]|\d{1,3}[.)])\s+")


def read_items(text: str, longest: int, split: Callable[[str], Sequence[str]]) -> Sequence[Json]:
    """The items of a JSON list, or of a text as `split` parts it, without bullets; `longest` characters are read.

    >>> read_items("- a" + chr(10) + "2. b", 100, str.splitlines), read_items('["a", 1]', 100, str.splitlines)
    (['a', 'b'], ['a', 1])
    """
    text = text.strip()[:longest]
    if text.startswith("["):
        try:
            value = shallow(json.loads(text))
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, list):
            return value
    return [_BULLET.sub("", part) for part in split(text)]


def differing(missing: Sequence[str], extra: Sequence[str], most: int, width: int, of: str = "") -> str:
    """What is missing and what is too much: at most so many of each, each at most so wide; `of` says of what.

    >>> differing(["a"], ["b", "c"], 1, 40, "rows ")
    'rows missing: "a"; rows too many: "b" and 1 more'
    """
    said = [f"{of}missing: {named(missing, most, width)}"] * bool(missing)
    said += [f"{of}too many: {named(extra, most, width)}"] * bool(extra)
    return "; ".join(said)


def named(items: Sequence[str], most: int, width: int) -> str:
    """The first items, each at most so wide, and how many more there are."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(shown(item, width) for item in items[:most]) + more
