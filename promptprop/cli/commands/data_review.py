"""`promptprop data review`: a person accepts invented rows one by one, before anything uses them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from promptprop.cli.options import ConfigPath, EnvFile, Sets
from promptprop.cli.shell import Shell
from promptprop.domain.errors import UsageError
from promptprop.domain.models import Json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from promptprop.adapters.files.config import LoadedConfig
    from promptprop.adapters.files.reviews import Decision, ReviewRow

Ids = Optional[list[str]]  # noqa: UP045 - typer reads it on Python 3.10


def review_data(
    shell: Shell,
    config: ConfigPath,
    file: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--file", metavar="FILE", help="The review file; beside the data unless given."),
    ] = None,
    accept: Annotated[Ids, typer.Option("--accept", metavar="ID", help="Accept this row; repeatable.")] = None,
    reject: Annotated[Ids, typer.Option("--reject", metavar="ID", help="Reject this row; repeatable.")] = None,
    to: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--to", metavar="DATA", help="Put accepted rows at the end of this .jsonl.", show_default=False),
    ] = None,
    sets: Sets = None,
    env_file: EnvFile = None,
) -> None:
    """Accept, edit or reject invented rows, one by one.

    On a terminal it asks; each answer is kept at once. In a script, name rows with --accept and --reject. Rows that are
    accepted become data with --to, each once; until then nothing uses them.
    """
    from promptprop.adapters.files.reviews import read_review, write_review
    from promptprop.bootstrap.configuration import load
    from promptprop.bootstrap.synthesis import add_accepted, review_file

    loaded = load(config, sets or [], None, env_file)
    file = file or review_file(loaded)
    if not file.exists():
        raise UsageError(f"there is no {file}", remedy=f"promptprop data synth {config} writes it")
    rows = read_review(file)
    id_column = loaded.config.data.id or "id"
    decisions: dict[str, Decision] = {
        **dict.fromkeys(_listed(accept), "accepted"),
        **dict.fromkeys(_listed(reject), "rejected"),
    }
    if decisions:
        rows = _decided(rows, decisions, id_column, set(_listed(accept)) & set(_listed(reject)))
        write_review(file, rows)
    elif to is None and not shell.json and any(row.review == "pending" for row in rows):
        rows = _asked(shell, loaded, rows, file, id_column)
    added = add_accepted(loaded, rows, to) if to is not None else 0
    _told(shell, rows, file, to, added)


def _listed(given: Sequence[str] | None) -> list[str]:
    return [name.strip() for one in given or () for name in one.split(",") if name.strip()]


def _decided(rows: list[ReviewRow], decisions: dict[str, Decision], id_column: str, both: set[str]) -> list[ReviewRow]:
    """The rows with what was said of them. Raises UsageError for an id that is none, or that is named twice."""
    known = {str(row.row.get(id_column)) for row in rows}
    if both:
        raise UsageError(f"{min(both)} is accepted and rejected", remedy="decide")
    if unknown := sorted(set(decisions) - known):
        raise UsageError(f"no row of the review is called {unknown[0]}", remedy="`--json` lists them")
    return [
        row.decided(decisions[str(row.row.get(id_column))]) if str(row.row.get(id_column)) in decisions else row
        for row in rows
    ]


def _asked(shell: Shell, loaded: LoadedConfig, rows: list[ReviewRow], file: Path, id_column: str) -> list[ReviewRow]:
    """What a person says at the terminal. Raises UsageError where there is none."""
    from promptprop.adapters.files.reviews import write_review
    from promptprop.bootstrap.synthesis import doubts_about
    from promptprop.cli.row_review import RowReview

    if not shell.asks:
        raise UsageError(
            "a review needs a person at a terminal", remedy="name rows with --accept and --reject, or list them: --json"
        )
    review = RowReview(
        shell,
        rows,
        lambda now: write_review(file, now),
        lambda row: doubts_about(loaded, row),
        lambda row: str(row.row.get(id_column)),
    )
    review.run()
    return review.rows


def _told(shell: Shell, rows: Sequence[ReviewRow], file: Path, to: Path | None, added: int) -> None:
    from promptprop.adapters.files.reviews import DECISIONS

    counted = Counter(row.review for row in rows)
    document: Json = {
        "file": str(file),
        "counts": {name: counted[name] for name in DECISIONS},
        "rows": [row.as_json() for row in rows],
        "added": added,
    }

    def draw() -> Iterable[RenderableType]:
        from promptprop.adapters.files.report_words import counted as words

        yield f"{file}: " + ", ".join(f"{counted[name]} {name}" for name in DECISIONS)
        if to is not None:
            yield f"{words(added, 'row')} added to {to}"
        elif counted["accepted"]:
            yield "accepted rows become data with --to DATA.jsonl"

    shell.show(document, draw)
