"""`promptprop worker`: take up the runs that a server has queued."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from promptprop.cli.options import Database, EnvFile
from promptprop.cli.shell import Shell


def work(
    shell: Shell,
    concurrency: Annotated[
        int, typer.Option("--concurrency", "-c", metavar="K", min=1, max=1000, help="Runs at once.")
    ] = 4,
    executor: Annotated[
        Optional[str],  # noqa: UP045 - typer reads it on Python 3.10
        typer.Option(
            "--executor",
            metavar="NAME",
            help="Its id, the same at each start; HOST-0, … unless given.",
            show_default=False,
        ),
    ] = None,
    slot: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--slot", hidden=True, min=0),
    ] = None,
    supervised: Annotated[bool, typer.Option("--supervised", hidden=True)] = False,
    env_file: EnvFile = None,
    db: Database = None,
) -> int:
    """Take up queued runs until it is stopped.

    Any number of workers share the queue of a database: on one host with SQLite, on many with PostgreSQL. SIGTERM or
    Ctrl-C interrupts the runs and puts them back into the queue for the next worker; a second one ends at once.
    """
    from promptprop.cli.working import Wishes, work_until_stopped

    return work_until_stopped(shell, Wishes(concurrency, executor, slot, supervised), env_file, db)
