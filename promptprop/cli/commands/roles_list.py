"""`promptprop roles list`: the model roles, who plays them, and whose template they follow."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from promptprop.cli.options import EnvFile, Sets
from promptprop.cli.shell import Shell
from promptprop.domain.models import Json

if TYPE_CHECKING:
    from rich.console import RenderableType

RolesConfig = Annotated[
    Optional[Path],  # noqa: UP045 - typer reads it on Python 3.10
    typer.Argument(metavar="[CONFIG]", help="A configuration, for its models and templates.", show_default=False),
]


def list_roles(shell: Shell, config: RolesConfig = None, sets: Sets = None, env_file: EnvFile = None) -> None:
    """List the model roles: what each does, who plays it, and whose template it follows."""
    from promptprop.bootstrap.roles import described_roles

    roles = described_roles(config, sets or [], env_file)
    document: Json = [
        {"name": one.name, "does": one.summary, "models": list(one.models), "template": one.source} for one in roles
    ]

    def draw() -> Iterable[RenderableType]:
        from promptprop.cli.drawing import table_of
        from promptprop.cli.plain import one_line

        rows = [[one.name, one.summary, one_line(", ".join(one.models)) or "–", one_line(one.source)] for one in roles]
        yield table_of(["role", "does", "models", "template"], rows)

    shell.show(document, draw)
