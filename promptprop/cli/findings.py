"""How what static checks find is shown, of prompts as of rows: one line each, coloured by how grave it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from promptprop.cli.plain import one_line

if TYPE_CHECKING:
    from rich.text import Text

    from promptprop.services.rules import Rule

FOUND = 1  # exit code
COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


def headline(rule: Rule[Any, Any], message: str, place: str = "") -> Text:
    """`PLACE: ID message (name)`."""
    from rich.text import Text

    before = f"{one_line(place)}: " if place else ""
    line = Text.assemble(before, (rule.id, COLOURS[rule.severity]), f" {one_line(message)}")
    return line.append(f" ({rule.name})", style="dim")
