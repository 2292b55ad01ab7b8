"""`promptprop token create`: let somebody in."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from promptprop.cli.options import Database, EnvFile, age_of
from promptprop.cli.shell import Shell
from promptprop.domain.errors import NotWritable, UsageError

if TYPE_CHECKING:
    from promptprop.ports import Scope


def create_token(
    shell: Shell,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Who or what will hold it, such as ci.", show_default=False)
    ],
    scope: Annotated[
        str,
        typer.Option(
            "--scope",
            metavar="SCOPE",
            help="read: look at all runs; run: also start and steer them; admin: also tokens and the audit log.",
        ),
    ] = "read",
    max_runs: Annotated[
        Optional[int],  # noqa: UP045 - typer reads it on Python 3.10
        typer.Option("--max-runs", metavar="N", min=0, help="Its live runs at most.", show_default=False),
    ] = None,
    expires: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--expires", metavar="TIME", help="After 12h, 30d, 8w; never unless given.", show_default=False),
    ] = None,
    env_file: EnvFile = None,
    db: Database = None,
) -> None:
    """Create a token that requests to `promptprop serve` carry, and print it once.

    The token alone is on stdout; the database keeps its hash. -o writes it to a file that only you can read.
    """
    from promptprop.bootstrap.configuration import database_url, open_database
    from promptprop.cli.commands.token_list import token_json, until
    from promptprop.cli.running import environment_of

    wanted, expires_at = _scope(scope), None
    if expires is not None:
        expires_at = datetime.now(timezone.utc) + age_of(expires, "--expires")
    url = database_url(db, None, environment_of(env_file))
    with _private(shell.output), contextlib.closing(open_database(url)) as store:
        row, secret = asyncio.run(store.create_token(name, wanted, max_runs=max_runs, expires_at=expires_at))
        document = json.dumps({**token_json(row), "token": secret}, indent=2)  # the shell's own blacks tokens out
        shell.write(f"{document if shell.json else secret}\n")
    shell.note(f"token {row.name} ({row.scope}, {until(row)}) was created; it is shown this once: keep it safe")


def _scope(given: str) -> Scope:
    from promptprop.ports import SCOPES

    found = next((scope for scope in SCOPES if scope == given), None)
    if found is None:
        raise UsageError(f"--scope {given!r} is not known", remedy=f"use one of {', '.join(SCOPES)}")
    return found


@contextlib.contextmanager
def _private(path: Path | None) -> Iterator[None]:
    """Have a file that nobody else can read, which a write into it keeps so; it goes where no token came of it.

    Raises NotWritable, before there is a token to be lost.
    """
    if path is None or (path.exists() and not path.is_file()):  # a pipe is whoever reads it
        yield
        return
    fresh = not path.exists()
    try:
        path.touch(mode=0o600)
        path.chmod(0o600)
    except OSError as error:
        raise NotWritable(f"cannot write {path}: {error.strerror}", remedy="name another file with -o") from error
    try:
        yield
    except BaseException:
        if fresh:
            path.unlink(missing_ok=True)
        raise
