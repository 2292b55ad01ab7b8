"""`promptprop prompts list`: named prompts and their versions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from promptprop.cli.options import Database, EnvFile
from promptprop.cli.shell import Shell

if TYPE_CHECKING:
    from rich.console import RenderableType


def list_prompts(shell: Shell, env_file: EnvFile = None, db: Database = None) -> None:
    """List every version of every prompt."""
    from promptprop.bootstrap.references import version_head
    from promptprop.cli.running import opened

    with contextlib.closing(opened(db, env_file)) as store:
        versions = store.prompts()
    document = [version_head(one) for one in versions]

    def draw() -> Iterable[RenderableType]:
        from promptprop.cli.drawing import table_of

        if not versions:
            return ["no prompts yet; a finished run stores its seed and its winner"]
        rows = [
            [f"{one.name}@{one.version}", ", ".join(one.aliases), f"{one.candidate.length:,}", (one.run_id or "")[:8]]
            for one in versions
        ]
        return [table_of(["prompt", "aliases", "length", "run"], rows, right=(2,))]

    shell.show(document, draw)
