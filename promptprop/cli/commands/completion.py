"""`promptprop completion`: the script that lets a shell complete command lines."""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import Annotated, Optional

import typer

from promptprop.cli.shell import Shell
from promptprop.domain.errors import UsageError

SHELLS = ("bash", "zsh", "fish", "powershell", "pwsh")


def completion(
    shell: Shell,
    name: Annotated[
        Optional[str],  # noqa: UP045 - typer reads it on Python 3.10
        typer.Argument(
            metavar="[SHELL]", help="bash, zsh, fish or pwsh; the one of $SHELL unless given.", show_default=False
        ),
    ] = None,
) -> None:
    """Print a shell's completion script.

    Such as for `eval "$(promptprop completion bash)"` in ~/.bashrc.
    """
    from typer._completion_shared import get_completion_script

    wanted = name or PurePath(os.environ.get("SHELL", "")).name
    if wanted not in SHELLS:
        raise UsageError(
            f"there is no completion for {wanted or 'this shell'!r}", remedy=f"name one of {', '.join(SHELLS)}"
        )
    script = get_completion_script(prog_name="promptprop", complete_var="_PROMPTPROP_COMPLETE", shell=wanted)
    shell.write(script + "\n")
