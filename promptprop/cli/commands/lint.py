"""`promptprop lint`: static checks of prompts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from promptprop.cli.findings import FOUND
from promptprop.cli.options import EnvFile, ExitZero, Sets
from promptprop.cli.shell import Shell
from promptprop.domain.errors import UsageError
from promptprop.domain.models import Json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from promptprop.bootstrap.linting import Located

GITHUB = {"error": "error", "warning": "warning", "note": "notice"}


def lint_prompts(
    shell: Shell,
    path: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads it on Python 3.10
        typer.Argument(metavar="[PROMPT|CONFIG]", help="A prompt, or a configuration.", show_default=False),
    ] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended safely.")] = False,
    ignore: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--ignore", metavar="ID", help="Leave a check out, such as PP009; repeatable."),
    ] = None,
    github: Annotated[bool, typer.Option("--github", help="Print annotations for GitHub Actions.")] = False,
    rules: Annotated[bool, typer.Option("--rules", help="List the checks, and why each is made.")] = False,
    exit_zero: ExitZero = False,
    sets: Sets = None,
    env_file: EnvFile = None,
) -> int:
    """Check prompts without asking a model.

    Ends with 1 where something is found. Of a configuration, placeholders are held against its columns, and labels
    against its data.
    """
    from promptprop.bootstrap.linting import lint

    if rules:
        _list_rules(shell)
        return 0
    if path is None:
        raise UsageError("name a prompt or a configuration", remedy="promptprop lint prompt.md, or --rules")
    ignored = frozenset(name.upper() for given in ignore or [] for name in given.split(","))
    found = lint(path, sets or [], env_file, ignored, fix=fix)
    if github:
        shell.write("".join(_annotation(one) + "\n" for one in found))
    else:
        shell.show(_json(found), lambda: _drawn(found))
    return FOUND if found and not exit_zero else 0


def _json(found: Sequence[Located]) -> Json:
    return {
        "findings": [
            {
                "id": one.rule.id,
                "name": one.rule.name,
                "severity": one.rule.severity,
                "file": one.file,
                "line": one.line,
                "column": one.column,
                "message": one.finding.message,
                "why": one.rule.why,
                "fixable": one.finding.fixed is not None,
            }
            for one in found
        ]
    }


def _drawn(found: Sequence[Located]) -> Iterable[RenderableType]:
    from promptprop.adapters.files.report_words import counted
    from promptprop.cli.findings import headline

    for one in found:
        place = ":".join(map(str, (one.file, *([one.line, one.column] if one.line else []))))
        yield headline(one.rule, one.finding.message, place)
    mendable = sum(one.finding.fixed is not None for one in found)
    more = f", {mendable} of them can be mended with --fix" if mendable else ""
    yield f"{counted(len(found), 'finding')}{more}" if found else "nothing found"


def _annotation(one: Located) -> str:
    """A workflow command: https://docs.github.com/actions, 'Workflow commands'."""
    from promptprop.cli.plain import one_line

    place = f"file={_property(one.file)}" + (f",line={one.line},col={one.column}" if one.line else "")
    said = one_line(one.finding.message).replace("%", "%25")
    return f"::{GITHUB[one.rule.severity]} {place},title={one.rule.id} {one.rule.name}::{said}"


def _property(text: str) -> str:
    for mark, escaped in (("%", "%25"), (":", "%3A"), (",", "%2C")):
        text = text.replace(mark, escaped)
    return text


def _list_rules(shell: Shell) -> None:
    from promptprop.services.lint import RULES

    def draw() -> Iterable[RenderableType]:
        from promptprop.cli.drawing import table_of

        rows = [[rule.id, rule.name, rule.severity, rule.why] for rule in RULES.values()]
        yield table_of(["id", "check", "severity", "why"], rows)

    document: Json = [
        {"id": rule.id, "name": rule.name, "severity": rule.severity, "why": rule.why} for rule in RULES.values()
    ]
    shell.show(document, draw)
