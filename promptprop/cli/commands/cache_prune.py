"""`promptprop cache prune`: remove calls that no run has consumed."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from promptprop.cli.options import Database, EnvFile, age_of
from promptprop.cli.shell import Shell
from promptprop.domain.errors import StorageError, UsageError

if TYPE_CHECKING:
    from promptprop.adapters.storage.store import SqlStore


def prune(
    shell: Shell,
    older_than: Annotated[
        Optional[str],  # noqa: UP045 - typer reads it on Python 3.10
        typer.Option("--older-than", metavar="AGE", help="Only calls older than 12h, 30d, 8w.", show_default=False),
    ] = None,
    model: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--model", metavar="NAME", help="Only calls of this model.", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would go, and remove nothing.")] = False,
    env_file: EnvFile = None,
    db: Database = None,
) -> None:
    """Remove calls that no run has consumed, and give their space back.

    What a run has consumed always stays: `promptprop runs rm RUN` lets go of it. Runs may go on meanwhile.
    """
    from promptprop.cli.commands.cache_stats import size_text, sums_json, sums_text
    from promptprop.cli.running import opened

    before = None if older_than is None else datetime.now(timezone.utc) - age_of(older_than, "--older-than")
    with contextlib.closing(opened(db, env_file)) as store:
        found = store.prunable(before, model)
        what = f"{found.calls:,} {'call' if found.calls == 1 else 'calls'} that no run has consumed"
        worth = f"{what} ({sums_text(found)})" if found.calls else what
        removed, freed, note = 0, 0, ""
        if found.calls and not dry_run:
            if not shell.agree(f"remove {worth}?"):
                raise UsageError(f"{what} were not removed", remedy="say -y where nobody can be asked")
            removed, freed, note = _pruned(store, before, model)
    if shell.json:
        told = {"dry_run": dry_run, "removed": removed, "freed_bytes": freed, "note": note}
        shell.write_json({**told, "prunable": sums_json(found)})
        return
    if removed:
        shell.write(f"removed {removed:,} of {worth}; freed {size_text(freed)}\n")
    else:
        shell.write(f"{'would remove' if dry_run else 'nothing to remove:'} {worth}\n")
    if note:
        shell.note(note)


def _pruned(store: SqlStore, before: datetime | None, model: str | None) -> tuple[int, int, str]:
    """Calls removed, bytes given back, and what there is to say where the space could not be given back."""
    from promptprop.adapters.storage.backup import compact

    size = store.size_bytes()
    removed = asyncio.run(store.prune_calls(before, model))
    note = ""
    try:
        compact(store.url)
    except StorageError as refused:  # the calls are gone all the same, and the database uses their space again
        note = f"the space was not given back to the system: {refused.message}"
    return removed, max(0, size - store.size_bytes()), note
