"""How what static checks find is shown, of prompts as of rows: a line, or an annotation for GitHub, for each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptprop.cli.options import chosen_format
from promptprop.cli.plain import one_line, safe
from promptprop.cli.shell import Format, Shell

if TYPE_CHECKING:
    from rich.text import Text

    from promptprop.services.rules import Rule

FOUND = 1  # exit code
FORMATS: tuple[Format, ...] = ("text", "json", "github")
FormatName = Annotated[
    str,
    typer.Option(
        "--format", metavar="FORMAT", help="text, json, or github: annotations for its Actions.", show_default=False
    ),
]
COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}
LEVELS = {"error": "error", "warning": "warning", "note": "notice"}  # what GitHub calls them
ESCAPES = {"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"}  # in a property of a workflow command


def shell_for(shell: Shell, format_: str) -> Shell:
    """The shell of a command that tells findings, with its own --format. Raises UsageError."""
    return replace(shell, format=chosen_format(format_, FORMATS, as_json=shell.json))


def headline(rule: Rule[Any, Any], message: str, place: str = "") -> Text:
    """`PLACE: ID message (name)`."""
    from rich.text import Text

    before = f"{one_line(place)}: " if place else ""
    line = Text.assemble(before, (rule.id, COLOURS[rule.severity]), f" {one_line(message)}")
    return line.append(f" ({rule.name})", style="dim")


def annotation(rule: Rule[Any, Any], message: str, file: str, line: int = 0, column: int = 0) -> str:
    """A workflow command with its line end: https://docs.github.com/actions, 'Workflow commands'.

    Line and column count from 1; line 0 is the whole file.
    """
    return workflow_command(LEVELS[rule.severity], f"{rule.id} {rule.name}", one_line(message), file, line, column)


def workflow_command(level: str, title: str, message: str, file: str, line: int = 0, column: int = 0) -> str:
    """The same for any message of one line or more; `level` is notice, warning or error."""
    place = (
        f"file={_property(file)}" + (f",line={line}" if line else "") + (f",col={column}" if line and column else "")
    )
    said = "".join(ESCAPES.get(letter, letter) if letter in "%\r\n" else letter for letter in safe(message))
    return f"::{level} {place},title={_property(title)}::{said}\n"


def _property(text: str) -> str:
    return "".join(ESCAPES.get(letter, letter) for letter in safe(text))
