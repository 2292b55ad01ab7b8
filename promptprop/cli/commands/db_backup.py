"""`promptprop db backup`: copy the database while runs write to it."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Optional

import typer

from promptprop.cli.options import Database, EnvFile
from promptprop.cli.shell import Shell
from promptprop.domain.errors import UsageError


def back_up(
    shell: Shell,
    file: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads it on Python 3.10
        typer.Argument(
            metavar="[FILE]", help="Where to; backups/ next to the database unless given.", show_default=False
        ),
    ] = None,
    env_file: EnvFile = None,
    db: Database = None,
) -> None:
    """Copy the database to a file, and check the copy.

    Runs may go on meanwhile: all that was committed when it began is in it. A server's own tool does it there.
    """
    from promptprop.adapters.storage.backup import backup, default_backup
    from promptprop.adapters.storage.migrate import stored_revision
    from promptprop.bootstrap.configuration import database_url
    from promptprop.cli.commands.cache_stats import size_text
    from promptprop.cli.running import environment_of

    url = database_url(db, None, environment_of(env_file))
    target = default_backup(url, datetime.now(timezone.utc)) if file is None else file
    revision = stored_revision(url)
    if target.exists() and not target.is_file() and not target.is_dir():
        raise UsageError(f"{target} is a device or a pipe, not a file", remedy="name a file")
    if target.is_file() and not shell.agree(f"replace {target}?"):
        raise UsageError(f"{target} exists already", remedy="name another file, or say -y to replace it")
    written = backup(url, target, replace=target.is_file())
    size = written.stat().st_size
    if shell.json:
        shell.write_json({"backup": str(written), "size_bytes": size, "revision": revision})
    else:
        shell.write(f"ok: {written}, {size_text(size)}, checked\n")
