"""Texts of people and models inside Markdown: shown as they are, unable to pose as markup or to call anybody."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_ACTIVE = re.compile(r"([\\`*_\[\]<>|#])")
_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
_CALLED = re.compile(r"@(?=\w)")


def plain(text: str) -> str:
    r"""One line of text that Markdown shows as it is; `@name` is no mention.

    >>> plain("a *bold*\n claim")
    'a \\*bold\\* claim'
    """
    escaped = _ACTIVE.sub(r"\\\1", _CONTROL.sub("", " ".join(text.split())))
    return _CALLED.sub("@<!-- -->", escaped)


def code(text: str, *, in_table: bool = False) -> str:
    r"""One line of text as a code span, in which nothing else has a meaning; empty where there is none.

    >>> code("a `b` | c"), code("a | b", in_table=True)
    ('``a `b` | c``', '`a \\| b`')
    """
    line = _CONTROL.sub("", " ".join(text.split()))
    if not line:
        return ""
    ticks = "`" * (_longest_run(line) + 1)
    gap = " " if line.startswith("`") or line.endswith("`") else ""
    shown = line.replace("|", "\\|") if in_table else line
    return f"{ticks}{gap}{shown}{gap}{ticks}"


def fenced(text: str, language: str) -> list[str]:
    """The text in a fence longer than any run of backticks in it."""
    text = _CONTROL.sub("", text)
    fence = "`" * max(3, _longest_run(text) + 1)
    return [f"{fence}{language}", text, fence]


def table_lines(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table of cells that are Markdown already."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows)]


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall(r"`+", text)), default=0)
