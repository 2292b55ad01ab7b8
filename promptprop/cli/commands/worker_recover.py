"""`promptprop worker recover`: queue again what a worker had in hand whose host is lost for good."""

from __future__ import annotations

from typing import Annotated

import typer

from promptprop.cli.options import Database, EnvFile
from promptprop.cli.shell import Shell


def recover(
    shell: Shell,
    executor: Annotated[str, typer.Argument(metavar="EXECUTOR", help="The id of the worker.", show_default=False)],
    env_file: EnvFile = None,
    db: Database = None,
) -> None:
    """Queue the runs of a lost worker again.

    For a worker whose host is lost for good: one that starts anew on its host does so by itself. Only say it of one
    that will not come back; a second time finds nothing.
    """
    from promptprop.adapters.files.report_words import counted
    from promptprop.bootstrap.configuration import database_url
    from promptprop.bootstrap.jobs import recover_executor
    from promptprop.cli.running import environment_of

    url = database_url(db, None, environment_of(env_file))
    found = recover_executor(url, executor)
    if shell.json:
        shell.write_json({"executor": executor, "recovered": len(found), "runs": found})
        return
    runs = "".join(f"  {run_id[:8]}\n" for run_id in found)
    shell.write(f"{counted(len(found), 'run')} of {executor} {'is' if len(found) == 1 else 'are'} queued again\n{runs}")
