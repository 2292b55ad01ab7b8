"""`promptprop token revoke`: let somebody in no longer."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated

import typer

from promptprop.cli.options import Database, EnvFile
from promptprop.cli.shell import Shell


def revoke_token(
    shell: Shell,
    token: Annotated[
        str, typer.Argument(metavar="TOKEN", help="Its id, the beginning of it, or its name.", show_default=False)
    ],
    env_file: EnvFile = None,
    db: Database = None,
) -> None:
    """Revoke a token: servers refuse it from the next request on. Its runs go on."""
    from promptprop.cli.commands.token_list import token_json
    from promptprop.cli.running import opened

    with contextlib.closing(opened(db, env_file)) as store:
        row = asyncio.run(store.revoke_token(token))
    if shell.json:
        shell.write_json(token_json(row))
    else:
        shell.note(f"token {row.name} ({row.id}) was revoked")
