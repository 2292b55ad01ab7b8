"""Consoles, tables and diffs on Rich, which loads with this module: import it only where something is drawn."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import IO

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from promptprop.cli.plain import safe
from promptprop.domain.report import line_diff, word_diff

FILE_WIDTH = 100
_TRAILING = re.compile(r"[ ]+((?:\x1b\[0m)?)$", re.MULTILINE)
SAME_BLOCK = 0.3  # at least this share of the letters stays: else the words of a change are not marked one by one


def wants_colour(stream: IO[str], *, allowed: bool = True) -> bool:
    """Whether to colour `stream`: --no-color, NO_COLOR, FORCE_COLOR, TERM=dumb, a terminal decide, in this order."""
    if not allowed or os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") not in {"dumb", "unknown"}


def console_for(stream: IO[str], *, colour: bool = True, width: int | None = None) -> Console:
    """A console that leaves texts alone: no markup, no emoji, nothing highlighted by guess."""
    coloured = wants_colour(stream, allowed=colour)
    if width is None and not stream.isatty() and not os.environ.get("COLUMNS"):
        width = 80
    return Console(
        file=stream,
        width=width,
        color_system="standard" if coloured else None,
        force_terminal=stream.isatty(),
        no_color=not coloured,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )


def print_all(console: Console, parts: Iterable[RenderableType]) -> None:
    """Print the parts one after another; off a terminal texts are not wrapped, and no line ends in blanks.

    On one, an indented line stays indented where it wraps.
    """
    if console.is_terminal:
        for part in parts:
            console.print(_hanging(part) if isinstance(part, Text) else part)
        return
    for part in parts:
        if isinstance(part, Text | str):
            console.print(part, soft_wrap=True)
            continue
        with console.capture() as page:
            console.print(part)
        console.file.write(_TRAILING.sub(r"\1", page.get()))


def _hanging(text: Text) -> RenderableType:
    """A line with its indentation as padding; texts that must not wrap and those of several lines stay as they are."""
    from rich.padding import Padding

    indent = len(text.plain) - len(text.plain.lstrip(" "))
    if not indent or text.no_wrap or "\n" in text.plain:
        return text
    return Padding(text[indent:], (0, 0, 0, indent), expand=False)


def table_of(head: Sequence[str], rows: Iterable[Sequence[str | Text]], right: Sequence[int] = ()) -> Table:
    """A table without lines; the columns in `right` hold numbers."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for index, name in enumerate(head):
        table.add_column(name, justify="right" if index in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(safe(cell)) for cell in row))
    return table


def facts_table(rows: Iterable[tuple[str, str | Text]]) -> Table:
    """Names and what is said of them, one a line."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value if isinstance(value, Text) else Text(safe(value)))
    return table


def diff_text(before: str, after: str, before_name: str = "seed", after_name: str = "winner") -> Text:
    """A unified diff by lines, coloured, with the words that changed marked within lines that are alike."""
    text = Text(overflow="fold")
    removed: list[str] = []
    added: list[str] = []
    for line in line_diff(safe(before), safe(after), before_name, after_name):
        mark, rest = line[:1], line[1:]
        heading = line.startswith(("---", "+++", "@@")) and not removed and not added
        if heading or mark not in "+-":
            text.append_text(_block(removed, added))
            style = "cyan" if line.startswith("@@") else "bold" if heading else "dim"
            text.append(line + "\n", style=style)
        elif mark == "-":
            if added:
                text.append_text(_block(removed, added))
            removed.append(rest)
        else:
            added.append(rest)
    text.append_text(_block(removed, added))
    text.rstrip()
    return text


def _block(removed: list[str], added: list[str]) -> Text:
    """The lines that went and the lines that came in their place; both lists are emptied."""
    text = Text()
    before, after = "\n".join(removed), "\n".join(added)
    changes = word_diff(before, after) if removed and added else []
    same = sum(len(part) for kind, part in changes if kind == "same")
    if same < SAME_BLOCK * max(len(before), len(after), 1):
        changes = [("removed", before), ("added", after)]
        emphasis = {"removed": "", "added": ""}
    else:
        emphasis = {"removed": "bold reverse", "added": "bold reverse"}
    for lines, mark, colour, kind in ((removed, "-", "red", "removed"), (added, "+", "green", "added")):
        if not lines:
            continue
        for line in _lines(changes, kind, colour, f"{colour} {emphasis[kind]}".strip()):
            text.append(mark, style=colour)
            text.append_text(line)
            text.append("\n")
        lines.clear()
    return text


def _lines(changes: list[tuple[str, str]], kind: str, style: str, changed: str) -> Iterator[Text]:
    whole = Text()
    for what, part in changes:
        if what == "same":
            whole.append(part, style=style)
        elif what == kind:
            whole.append(part, style=changed)
    yield from whole.split("\n", allow_blank=True)
