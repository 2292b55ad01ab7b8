"""`promptprop data split`: the rows as a run would split them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from promptprop.cli.options import ConfigPath, EnvFile, Sets
from promptprop.cli.shell import Shell
from promptprop.domain.models import Json

if TYPE_CHECKING:
    from rich.console import RenderableType


def split_data(
    shell: Shell,
    config: ConfigPath,
    folder: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads it on Python 3.10
        typer.Option("--to", metavar="FOLDER", help="Write train, select and test.jsonl there.", show_default=False),
    ] = None,
    sets: Sets = None,
    env_file: EnvFile = None,
) -> None:
    """Show which row is in which split, or write the splits apart.

    The same split that a run makes: by a hash of ids, labels balanced, clusters whole. Name the files under data.files
    to keep it whatever rows are added.
    """
    from promptprop.bootstrap.configuration import load
    from promptprop.bootstrap.data import SPLITS, rows_of, write_rows

    loaded = load(config, sets or [], None, env_file)
    rows = rows_of(loaded)
    counted = Counter(rows.splits.values())
    files = write_rows(rows, loaded.config.data, folder) if folder is not None else {}
    document: Json = {
        "counts": dict(counted),
        "splits": {example.id: rows.splits[example.id] for example in rows.examples},
        "files": {name: str(path) for name, path in files.items()},
    }

    def draw() -> Iterable[RenderableType]:
        from promptprop.cli.drawing import table_of

        lines = [[name, f"{counted[name]:,}", str(files.get(name, ""))] for name in SPLITS]
        yield table_of(["split", "rows", "file" if files else ""], lines, right=(1,))
        if not files:
            yield "--to FOLDER writes them apart; --json tells the split of each row"

    shell.show(document, draw)
