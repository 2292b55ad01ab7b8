"""`promptprop diff`: what changed between two prompts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from promptprop.cli.options import Database, EnvFile
from promptprop.cli.plain import safe
from promptprop.cli.shell import Shell

if TYPE_CHECKING:
    from rich.console import RenderableType

    from promptprop.adapters.storage.store import SqlStore

_WHAT = "PROMPT@VERSION, RUN:seed, RUN:winner or a file."


def diff(
    shell: Shell,
    before: Annotated[str, typer.Argument(metavar="BEFORE", help=_WHAT, show_default=False)],
    after: Annotated[str, typer.Argument(metavar="AFTER", help=_WHAT, show_default=False)],
    env_file: EnvFile = None,
    db: Database = None,
) -> None:
    """Show what changed between two prompts.

    By lines, with the words that changed marked. Each is a version, a run's seed or winner, or a file.
    """
    from promptprop.bootstrap.references import text_named
    from promptprop.cli.running import opened
    from promptprop.domain.report import line_diff, word_diff

    with contextlib.ExitStack() as stack:

        def store() -> SqlStore:
            return stack.enter_context(contextlib.closing(opened(db, env_file)))

        old_name, old = text_named(before, store)
        new_name, new = text_named(after, store)
    lines = line_diff(old, new, old_name, new_name)
    document = {
        "before": old_name,
        "after": new_name,
        "equal": old == new,
        "lines": lines,
        "words": [{"kind": kind, "text": text} for kind, text in word_diff(old, new)],
    }

    def draw() -> Iterable[RenderableType]:
        from promptprop.cli.drawing import diff_text

        return [diff_text(old, new, old_name, new_name)] if lines else ["no difference"]

    def markdown() -> str:
        return "```diff\n" + "\n".join(lines) + "\n```\n" if lines else "no difference\n"

    shell.show(document, draw, lambda: safe(markdown()))
