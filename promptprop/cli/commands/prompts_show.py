"""`promptprop prompts show`: the text of a prompt."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer

from promptprop.cli.options import Database, EnvFile
from promptprop.cli.plain import safe
from promptprop.cli.shell import Shell

PromptReference = Annotated[
    str,
    typer.Argument(metavar="PROMPT", help="NAME, NAME@VERSION, RUN:seed, RUN:winner, or a run.", show_default=False),
]


def show_prompt(shell: Shell, prompt: PromptReference, env_file: EnvFile = None, db: Database = None) -> None:
    """Show the text of a prompt."""
    from promptprop.adapters.files.exporters import prompt_document, to_markdown
    from promptprop.bootstrap.references import candidate_named
    from promptprop.cli.running import opened

    with contextlib.closing(opened(db, env_file)) as store:
        named = candidate_named(store, prompt)
    if shell.json:
        shell.write_json({"label": named.label, **prompt_document(named.candidate, named.program)})
    elif shell.format == "md":
        shell.write(safe(to_markdown(named.candidate, named.program)))
    else:
        shell.write(safe(named.candidate.text) + "\n")
