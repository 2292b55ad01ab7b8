"""`promptprop runs rm`: forget a run."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Annotated

import typer

from promptprop.cli.options import Database, EnvFile, RunReference
from promptprop.cli.shell import Shell
from promptprop.domain.errors import UsageError

if TYPE_CHECKING:
    from promptprop.ports import RunRow


def remove_run(
    shell: Shell,
    run: RunReference,
    purge: Annotated[
        bool, typer.Option("--purge", help="Also its files, and the calls that no other run uses: they are paid again.")
    ] = False,
    env_file: EnvFile = None,
    db: Database = None,
) -> None:
    """Remove a run.

    With its events, evaluations and candidates; named prompts and what the ledger knows stay, but for --purge.
    """
    from promptprop.adapters.storage.locks import run_lock
    from promptprop.bootstrap.references import existing_run
    from promptprop.cli.running import opened

    with contextlib.closing(opened(db, env_file)) as store:
        row = existing_run(store, run)
        what = f"run {row.id[:8]} ({row.name}, {row.status})"
        also = " with its files and the calls it paid for" if purge else ""
        if not shell.agree(f"remove {what}{also}?"):
            raise UsageError(f"{what} was not removed", remedy="say -y where nobody can be asked")
        with run_lock(store.url, row.id):
            asyncio.run(store.delete_run(row.id, purge=purge))
        if purge:
            _remove_files(row)
    if shell.json:
        shell.write_json({"removed": row.id, "purged": purge})
    else:
        shell.note(f"removed {what}")


def _remove_files(run: RunRow) -> None:
    """Remove the files that the run wrote, and its folder if nothing else lies there."""
    from promptprop.bootstrap.outputs import run_folder
    from promptprop.cli.reports import FILES

    folder = run_folder(run)
    for name in FILES.values():
        (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not there, or somebody keeps something in it
        folder.rmdir()
