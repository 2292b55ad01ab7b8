"""`promptprop prompts export`: a prompt as a file for others."""

from __future__ import annotations

import contextlib
from typing import Annotated, Optional

import typer

from promptprop.cli.options import Database, EnvFile
from promptprop.cli.shell import Shell

ENDINGS = {".json": "json", ".yaml": "yaml", ".yml": "yaml", ".py": "python", ".md": "markdown"}
ALIASES = {"md": "markdown"}  # as the other commands call it


def export(
    shell: Shell,
    prompt: Annotated[
        str,
        typer.Argument(
            metavar="RUN|PROMPT", help="A run (its winner), RUN:seed, NAME@VERSION, latest.", show_default=False
        ),
    ],
    format_: Annotated[
        Optional[str],  # noqa: UP045 - typer reads it on Python 3.10
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="json, yaml, python, markdown or txt; by the ending of -o FILE, else txt.",
            show_default=False,
        ),
    ] = None,
    env_file: EnvFile = None,
    db: Database = None,
) -> None:
    """Write a prompt for others to use."""
    from promptprop.adapters.files.exporters import export_prompt
    from promptprop.bootstrap.references import candidate_named
    from promptprop.cli.running import opened

    with contextlib.closing(opened(db, env_file)) as store:
        named = candidate_named(store, prompt)
    data = export_prompt(named.candidate, named.program, ALIASES.get(format_ or "", format_) or _usual(shell))
    shell.write(data.encode() if isinstance(data, str) else data)


def _usual(shell: Shell) -> str:
    """The format that nobody had to name."""
    return "json" if shell.json else ENDINGS.get(shell.output.suffix.lower(), "txt") if shell.output else "txt"
