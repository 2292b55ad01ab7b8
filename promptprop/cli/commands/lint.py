"""`promptprop lint`: static checks of prompts, and a model's remarks on them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from promptprop.cli.findings import FOUND, FormatName, annotation, headline, shell_for
from promptprop.cli.options import Database, EnvFile, ExitZero, Sets
from promptprop.cli.shell import Shell
from promptprop.domain.errors import UsageError
from promptprop.domain.models import Json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from promptprop.bootstrap.linting import Located
    from promptprop.bootstrap.remarks import ModelReading
    from promptprop.services.rules import Rule


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
    model: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--model", metavar="MODEL", help="Have this model read them, too: openai/gpt-5, or critic."),
    ] = None,
    format_: FormatName = "text",
    rules: Annotated[bool, typer.Option("--rules", help="List the checks, and why each is made.")] = False,
    exit_zero: ExitZero = False,
    sets: Sets = None,
    env_file: EnvFile = None,
    db: Database = None,
) -> int:
    """Check prompts; no model is asked without --model.

    Ends with 1 where something is found. Of a configuration, placeholders are held against its columns, and labels
    against its data. A model is asked once for each text; `critic` is the one of the configuration.
    """
    from promptprop.bootstrap.linting import is_config, lint

    shell = shell_for(shell, format_)
    if rules:
        _list_rules(shell)
        return 0
    if path is None:
        raise UsageError("name a prompt or a configuration", remedy="promptprop lint prompt.md, or --rules")
    named = (name.strip().upper() for given in ignore or [] for name in given.split(","))
    ignored = frozenset(name for name in named if name)
    of_model = model is not None and not is_config(path)  # a prompt alone has no settings, but those of its reader
    found = lint(path, [] if of_model else sets or [], env_file, ignored, fix=fix)
    reading = _reading(shell, path, model, ignored, sets or [], env_file, db) if model is not None else None
    if reading is not None:
        found = sorted([*found, *reading.found], key=lambda one: (one.file, one.line, one.column, one.rule.id))
    shell.show(_json(found, reading), lambda: _drawn(found), annotations=lambda: _annotations(found))
    return FOUND if found and not exit_zero else 0


def _reading(
    shell: Shell,
    path: Path,
    model: str,
    ignored: frozenset[str],
    sets: list[str],
    env_file: Path | None,
    db: str | None,
) -> ModelReading:
    """What a model says, with its cost told on stderr."""
    from promptprop.adapters.files.report_words import counted, paid
    from promptprop.bootstrap.configuration import database_url, open_database
    from promptprop.bootstrap.remarks import load_for_remarks, read_by_model
    from promptprop.cli.ticker import ticker

    loaded = load_for_remarks(path, model, sets, env_file)
    with contextlib.closing(open_database(database_url(db, loaded.config, loaded.environment))) as store:
        reading = asyncio.run(read_by_model(store, loaded, path, ignored, sets, env_file, ticker(shell)))
    left_out = f"; {counted(reading.unplaced, 'remark')} left out, which quote what is not there"
    shell.note(f"read by {reading.model}: {paid(reading.spend.of('critic'))}{left_out if reading.unplaced else ''}")
    return reading


def _json(found: Sequence[Located], reading: ModelReading | None) -> Json:
    told: Json = (
        {"model": {"model": reading.model, "calls": reading.spend.total.calls, "unplaced": reading.unplaced}}
        if reading
        else {}
    )
    return {
        **told,
        "findings": [
            {
                "id": one.rule.id,
                "name": one.rule.name,
                "severity": one.rule.severity,
                "file": one.file,
                "part": one.part,
                "line": one.line,
                "column": one.column,
                "message": one.finding.message,
                "why": one.rule.why,
                "fixable": one.finding.fixed is not None,
            }
            for one in found
        ],
    }


def _drawn(found: Sequence[Located]) -> Iterable[RenderableType]:
    from promptprop.adapters.files.report_words import counted

    for one in found:
        place = ":".join(map(str, (one.file, *([one.line, one.column] if one.line else []))))
        yield headline(one.rule, one.finding.message, f"{place} ({one.part})" if one.part else place)
    mendable = sum(one.finding.fixed is not None for one in found)
    more = f", {mendable} of them can be mended with --fix" if mendable else ""
    yield f"{counted(len(found), 'finding')}{more}" if found else "nothing found"


def _annotations(found: Sequence[Located]) -> str:
    said = [f"{one.part}: {one.finding.message}" if one.part else one.finding.message for one in found]
    pairs = zip(found, said, strict=True)
    return "".join(annotation(one.rule, message, one.file, one.line, one.column) for one, message in pairs)


def _list_rules(shell: Shell) -> None:
    from promptprop.services.lint import RULES
    from promptprop.services.remarks import REMARK_RULES

    known: list[Rule[Any, Any]] = [*RULES.values(), *REMARK_RULES.values()]

    def draw() -> Iterable[RenderableType]:
        from promptprop.cli.drawing import table_of

        rows = [[rule.id, rule.name, rule.severity, rule.why] for rule in known]
        yield table_of(["id", "check", "severity", "why"], rows)

    document: Json = [{"id": rule.id, "name": rule.name, "severity": rule.severity, "why": rule.why} for rule in known]
    shell.show(document, draw)
