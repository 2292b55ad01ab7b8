"""`promptprop runs show`: a run's history, and what it found."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from promptprop.cli.options import Database, EnvFile, RunReference
from promptprop.cli.shell import Shell

if TYPE_CHECKING:
    from rich.console import RenderableType


def show_run(shell: Shell, run: RunReference, env_file: EnvFile = None, db: Database = None) -> None:
    """Show a run and what became of each candidate."""
    from promptprop.adapters.files.report_markdown import render_markdown
    from promptprop.cli.reports import report_of_run
    from promptprop.cli.running import existing_run, opened
    from promptprop.domain.report import report_json

    with contextlib.closing(opened(db, env_file)) as store:
        row = existing_run(store, run)
        report, paths = report_of_run(store, row)

    def draw() -> Iterable[RenderableType]:
        from rich.text import Text

        from promptprop.cli.candidates import candidate_table
        from promptprop.cli.drawing import FILE_WIDTH
        from promptprop.cli.summary import summary_parts

        width = FILE_WIDTH if shell.output else shell.width()
        head = Text.assemble((report.history.name, "bold"), f"  {row.activity} · run {row.id} · {row.status}")
        parts: list[RenderableType] = [head, ""]
        if report.history.activity == "optimize" and report.history.candidates:
            parts += [candidate_table(report.history, width), ""]
        return [*parts, *summary_parts(report, paths, db=db or "")]

    shell.show(report_json(report, paths), draw, lambda: render_markdown(report))
