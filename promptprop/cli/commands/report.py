"""`promptprop report`: what a run found, for people and for pull requests."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Annotated

import typer

from promptprop.cli.options import Database, EnvFile, RunReference
from promptprop.cli.shell import Shell


def report(
    shell: Shell,
    run: RunReference,
    md: Annotated[bool, typer.Option("--md", help="As Markdown; the same as --format md.")] = False,
    env_file: EnvFile = None,
    db: Database = None,
) -> None:
    """Report what a run found.

    On the terminal, as Markdown for pull requests, or as JSON.
    """
    from promptprop.adapters.files.report_markdown import render_markdown
    from promptprop.bootstrap.references import existing_run
    from promptprop.cli.reports import report_of_run
    from promptprop.cli.running import opened
    from promptprop.domain.report import report_json

    with contextlib.closing(opened(db, env_file)) as store:
        found, paths = report_of_run(store, existing_run(store, run))
    asked = replace(shell, format="md") if md and not shell.json else shell

    def draw() -> list[object]:
        from promptprop.cli.summary import summary_parts

        return list(summary_parts(found, paths, db=db or ""))

    asked.show(report_json(found, paths), draw, lambda: render_markdown(found))  # type: ignore[arg-type]
