"""`promptprop config show`: what a configuration amounts to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from promptprop.cli.options import ConfigPath, EnvFile, Sets
from promptprop.cli.shell import Shell
from promptprop.domain.models import Json, text_of

if TYPE_CHECKING:
    from rich.console import RenderableType


def show_config(
    shell: Shell,
    config: ConfigPath,
    origin: Annotated[bool, typer.Option("--origin", help="Also tell where each setting comes from.")] = False,
    sets: Sets = None,
    env_file: EnvFile = None,
) -> None:
    """Show every setting in force.

    With --origin also where it comes from: file and line, flag, variable or default.
    """
    from promptprop.adapters.files.config import show
    from promptprop.bootstrap.configuration import load

    rows = show(load(config, sets or [], None, env_file))
    values = {key: value for key, value, _ in rows}
    sources = {key: source for key, _, source in rows}
    document: Json = {"settings": values, "origins": sources} if origin else {"settings": values}

    def draw() -> Iterable[RenderableType]:
        from rich.text import Text

        from promptprop.cli.plain import one_line

        for key, value, source in rows:
            line = Text.assemble((key, "bold"), f" = {one_line(text_of(value))}")
            yield line.append(f"  # {source}", style="dim") if origin else line

    shell.show(document, draw)
