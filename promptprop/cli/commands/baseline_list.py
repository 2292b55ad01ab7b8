"""`promptprop baseline list`: what checks can be held against here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from promptprop.cli.shell import Shell

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType

    from promptprop.domain.models import Json


def list_baselines(shell: Shell) -> int:
    """List the baselines below promptprop-baselines/.

    One that cannot be read is listed as such, with 6 as the exit code.
    """
    from promptprop.adapters.files.baselines import baseline_files, read_baseline
    from promptprop.cli.baselines import summary_json
    from promptprop.domain.errors import BaselineMissing

    found: list[dict[str, Json]] = []
    problems: list[str] = []
    for path in baseline_files():
        try:
            found.append(summary_json(path, read_baseline(path)))
        except BaselineMissing as error:
            problems.append(error.message)
    shell.show(found, lambda: _table(found))
    for problem in problems:
        shell.note(problem)
    return BaselineMissing.exit_code if problems else 0


def _table(found: list[dict[str, Json]]) -> Iterable[RenderableType]:
    from rich.table import Table

    if not found:
        yield "no baseline yet: `promptprop baseline accept CONFIG` stores one"
        return
    table = Table(box=None, pad_edge=False)
    for name, justify in (
        ("name", "left"),
        ("score", "right"),
        ("rows", "right"),
        ("answers", "right"),
        ("model", "left"),
    ):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]  # a literal, by way of a tuple
    for one in found:
        score = "–" if one["score"] is None else f"{100 * one['score']:.1f}"
        models = ", ".join(dict.fromkeys(one["models"].values()))
        table.add_row(one["name"], score, f"{one['rows']:,}", str(one["answers"]), models)
    yield table
