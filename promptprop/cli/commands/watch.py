"""`promptprop watch`: score the prompt anew each time that it is saved."""

from __future__ import annotations

from typing import Annotated

import typer

from promptprop.cli.options import ConfigPath, Database, EnvFile, MaxCalls, MaxUsd, Sets, Split
from promptprop.cli.shell import Shell
from promptprop.domain.errors import UsageError


def watch(
    shell: Shell,
    config: ConfigPath,
    split: Split = "all",
    repeats: Annotated[int, typer.Option("--repeats", metavar="N", min=1, help="Answers for each row.")] = 1,
    max_calls: MaxCalls = None,
    max_usd: MaxUsd = None,
    unlimited: Annotated[bool, typer.Option("--unlimited", help="Run without any cap.")] = False,
    sets: Sets = None,
    env_file: EnvFile = None,
    db: Database = None,
) -> int:
    """Score the prompt each time that it is saved.

    Configuration, prompts, rows, templates and metrics are watched. After each run: the score, what has changed since
    the last run and since the first, and which rows flipped. Caps hold for all runs of a watch together; answers on
    record are free. Off a terminal there is a line a run; with --json it is a document. Ctrl-C ends it with 0.
    """
    from promptprop.cli.watching import Wishes, watch_until_stopped
    from promptprop.domain.sampling import require_split

    require_split(split)
    if shell.output is not None or shell.format == "md":
        raise UsageError("a watch writes lines, and never comes to an end of them", remedy="leave -o and md out")
    flags = {"database.url": db, "budget.calls": max_calls, "budget.usd": max_usd}
    options = {"split": split, "repeats": repeats, "cache": "read-write"}
    return watch_until_stopped(shell, Wishes(config, sets or [], flags, options, env_file, unlimited))
