"""`promptprop baseline list`: what checks can be held against here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from promptprop.cli.shell import Shell

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from rich.console import RenderableType

    from promptprop.domain.baseline import Baseline


def list_baselines(shell: Shell) -> int:
    """List the baselines below promptprop-baselines/.

    One that cannot be read is listed as such, with 6 as the exit code.
    """
    from promptprop.adapters.files.baselines import baseline_files, read_baseline
    from promptprop.cli.baselines import summary_json
    from promptprop.domain.errors import BaselineMissing

    found: dict[Path, Baseline] = {}
    problems: list[str] = []
    for path in baseline_files():
        try:
            found[path] = read_baseline(path)
        except BaselineMissing as error:
            problems.append(error.message)
    shell.show([summary_json(path, one) for path, one in found.items()], lambda: _table(list(found.values())))
    for problem in problems:
        shell.note(problem)
    return BaselineMissing.exit_code if problems else 0


def _table(found: list[Baseline]) -> Iterable[RenderableType]:
    from promptprop.cli.baselines import model_names, score_words
    from promptprop.cli.drawing import table_of

    if not found:
        yield "no baseline yet: `promptprop baseline accept CONFIG` stores one"
        return
    rows = [
        [one.name, score_words(one), f"{len(one.rows):,}", str(one.replicates), ", ".join(model_names(one))]
        for one in found
    ]
    yield table_of(["name", "score", "rows", "answers", "model"], rows, right=(1, 2, 3))
