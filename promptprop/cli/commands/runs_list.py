"""`promptprop runs list`: the runs of a database, newest first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promptprop.cli.options import Database, EnvFile
from promptprop.cli.shell import Shell
from promptprop.domain.models import Json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from promptprop.adapters.storage.store import SqlStore
    from promptprop.ports import RunRow


def list_runs(
    shell: Shell,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="How many at most.")] = 20,
    env_file: EnvFile = None,
    db: Database = None,
) -> None:
    """List runs, newest first."""
    rows = _runs(limit, env_file, db)
    shell.show([_json(run) for run in rows], lambda: _table(rows))


def _runs(limit: int, env_file: Path | None, db: str | None) -> list[RunRow]:
    """The newest runs; none where there is no database yet, unless one was named."""
    from promptprop.bootstrap.configuration import database_url, open_database, project_folder
    from promptprop.cli.running import environment_of

    url = database_url(db, None, environment_of(env_file))
    default = project_folder() / "promptprop.db"
    if url == f"sqlite:///{default}" and db is None and not default.exists():
        return []
    store = open_database(url, must_exist=True)
    try:
        found = [replace(run, status=_status(url, run)) for run in store.runs(limit)]
        return [run if run.summary else replace(run, summary=_so_far(store, run)) for run in found]
    finally:
        store.close()


def _so_far(store: SqlStore, run: RunRow) -> dict[str, Json]:
    """The figures of a run that has not come to its end, from its events and from what it has paid."""
    from promptprop.domain.history import fold

    history, spend = fold(store.events(run.id)), store.paid_by_role(run.id)
    total = spend.total
    best = history.trajectory[-1].score.mean if history.trajectory else None
    return {
        "score": best,
        "on": "select",
        "rounds": len(history.trajectory),
        "calls": total.calls,
        "tokens": total.tokens,
        "picousd": total.picousd,
        "unpriced": spend.unpriced,
        "simulated": history.simulated,
    }


def _status(url: str, run: RunRow) -> str:
    """The run's status; `killed` where it says running but no process holds it."""
    from promptprop.adapters.storage.locks import run_holder

    return "killed" if run.status == "running" and run_holder(url, run.id) is None else run.status


def _json(run: RunRow) -> Json:
    from promptprop.domain.report import known_usd

    summary = run.summary
    return {
        "run_id": run.id,
        "name": run.name,
        "activity": run.activity,
        "status": run.status,
        "stop_reason": run.stop_reason or "",
        "verdict": summary.get("verdict"),
        "score": summary.get("score"),
        "score_on": summary.get("on"),
        "delta": summary.get("delta"),
        "rounds": summary.get("rounds", 0),
        "calls": summary.get("calls", 0),
        "tokens": summary.get("tokens", 0),
        "usd": known_usd(summary.get("picousd", 0), summary.get("unpriced", 0)),
        "unpriced_calls": summary.get("unpriced", 0),
        "simulated": summary.get("simulated"),
        "created_at": run.created_at.isoformat(),
        "updated_at": run.updated_at.isoformat(),
    }


def _table(runs: list[RunRow]) -> Iterable[RenderableType]:
    from rich.table import Table
    from rich.text import Text

    from promptprop.adapters.files.report_words import spent
    from promptprop.cli.plain import one_line

    if not runs:
        return [Text("no runs yet; begin with: promptprop optimize CONFIG")]
    styles = {"finished": "green", "stopped": "yellow", "cancelled": "yellow", "killed": "yellow", "running": "cyan"}
    verdicts = {"better": "green", "worse": "red"}
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", pad_edge=False)
    for name in ("run", "name", "activity", "status", "verdict", "score", "calls", "usd", "age"):
        right = name in {"score", "calls", "usd", "age"}
        table.add_column(
            name,
            justify="right" if right else "left",
            no_wrap=True,
            overflow="ellipsis",
            min_width=None if name == "name" else len(name),
        )
    for run in runs:
        summary = run.summary
        score = summary.get("score")
        verdict = summary.get("verdict") or ""
        table.add_row(
            run.id[:8],
            Text(one_line(run.name)),
            run.activity,
            Text(run.status, style=styles.get(run.status, "")),
            Text(verdict, style=verdicts.get(verdict, "")),
            "" if score is None else f"{score:.3f}",
            f"{summary.get('calls', 0):,}",
            spent(summary.get("picousd", 0), summary.get("unpriced", 0)),
            age(run.created_at, datetime.now(timezone.utc)),
        )
    note = (
        [Text("some of these ran on a simulated model", style="dim")]
        if any(run.summary.get("simulated") for run in runs)
        else []
    )
    return [table, *note]


def age(then: datetime, now: datetime) -> str:
    """How long ago, in one unit.

    >>> age(datetime(2026, 1, 1, tzinfo=timezone.utc), datetime(2026, 1, 3, tzinfo=timezone.utc))
    '2d'
    """
    seconds = max(0, int((now - then).total_seconds()))
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
