"""`promptprop token list`: who may come in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from promptprop.cli.options import Database, EnvFile
from promptprop.cli.shell import Shell
from promptprop.domain.models import Json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from promptprop.ports import TokenRow


def list_tokens(shell: Shell, env_file: EnvFile = None, db: Database = None) -> None:
    """List tokens, newest first; those that have expired or were revoked stay listed."""
    from promptprop.cli.running import opened

    with contextlib.closing(opened(db, env_file)) as store:
        rows = store.tokens()
    shell.show([token_json(row) for row in rows], lambda: _table(rows))


def token_json(row: TokenRow) -> dict[str, Json]:
    """A token without its secret."""
    return {
        "id": row.id,
        "name": row.name,
        "scope": row.scope,
        "state": row.state(datetime.now(timezone.utc)),
        "max_runs": row.max_runs,
        "created_at": row.created_at.isoformat(),
        "expires_at": row.expires_at.isoformat() if row.expires_at else None,
        "used_at": row.used_at.isoformat() if row.used_at else None,
        "revoked_at": row.revoked_at.isoformat() if row.revoked_at else None,
    }


def until(row: TokenRow) -> str:
    """Until when a token lets its holder in."""
    return f"until {row.expires_at:%Y-%m-%d %H:%M} UTC" if row.expires_at else "for ever"


def _table(rows: list[TokenRow]) -> Iterable[RenderableType]:
    from rich.text import Text

    from promptprop.cli.commands.runs_list import age
    from promptprop.cli.drawing import table_of
    from promptprop.cli.plain import one_line

    if not rows:
        return ["no tokens; make one with: promptprop token create NAME --scope run"]
    now = datetime.now(timezone.utc)
    styles = {"in force": "green", "expired": "yellow", "revoked": "red"}
    cells: list[list[str | Text]] = [
        [
            row.id,
            one_line(row.name),
            row.scope,
            "" if row.max_runs is None else str(row.max_runs),
            f"{row.expires_at:%Y-%m-%d}" if row.expires_at else "never",
            f"{age(row.used_at, now)} ago" if row.used_at else "never",
            Text(row.state(now), style=styles[row.state(now)]),
        ]
        for row in rows
    ]
    return [table_of(["id", "name", "scope", "runs", "expires", "used", "state"], cells, right=(3,))]
