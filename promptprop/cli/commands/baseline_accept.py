"""`promptprop baseline accept`: what later checks are held against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Optional

import typer

from promptprop.cli.options import (
    Cache,
    ConfigPath,
    Database,
    EnvFile,
    MaxCalls,
    MaxUsd,
    Sets,
    Split,
    cache_mode,
)
from promptprop.cli.shell import Shell

if TYPE_CHECKING:
    from pathlib import Path

    from promptprop.adapters.files.config import LoadedConfig
    from promptprop.adapters.storage.store import SqlStore
    from promptprop.cli.running import Outcome
    from promptprop.domain.baseline import Baseline
    from promptprop.domain.models import Json
    from promptprop.ports import RunRow


def accept(
    shell: Shell,
    config: ConfigPath,
    name: Annotated[
        Optional[str],  # noqa: UP045 - typer reads it on Python 3.10
        typer.Option("--name", metavar="NAME", help="The configuration's name unless given.", show_default=False),
    ] = None,
    repeats: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--repeats", metavar="N", min=1, help="Answers a row; as its last look.", show_default=False),
    ] = None,
    split: Split = "all",
    offline: Annotated[bool, typer.Option("--offline", help="Score the recorded answers again; no key.")] = False,
    max_calls: MaxCalls = None,
    max_usd: MaxUsd = None,
    cache: Cache = None,
    sets: Sets = None,
    env_file: EnvFile = None,
    db: Database = None,
) -> int:
    """Store the configured prompt as the baseline of later checks.

    It answers each row as often as the gate's last look asks; what is on record is free. Two files are written below
    promptprop-baselines/, to be committed: a readable one with each row's scores, and a recording of the calls.
    """
    from promptprop.adapters.files.baselines import baseline_path, recording_path
    from promptprop.bootstrap.checks import begin_acceptance, gate_settings
    from promptprop.bootstrap.configuration import database_url, load
    from promptprop.cli.running import run_to_its_end
    from promptprop.domain.sampling import require_split

    require_split(split)
    flags: dict[str, Json] = {"database.url": db, "budget.calls": max_calls, "budget.usd": max_usd}
    loaded = load(config, sets or [], flags, env_file)
    path = baseline_path(name or loaded.config.name)
    options: dict[str, Json] = {
        "split": split,
        "repeats": repeats or gate_settings(loaded).replicates[-1],
        "cache": cache_mode(cache),
        "recording": str(recording_path(path)) if offline else "",
    }

    async def begin(store: SqlStore) -> tuple[RunRow, None]:
        return await begin_acceptance(store, loaded, options), None

    outcome = run_to_its_end(shell, database_url(None, loaded.config, loaded.environment), loaded.environment, begin)
    return _accepted(shell, loaded, outcome, path, name or loaded.config.name)


def _accepted(shell: Shell, loaded: LoadedConfig, outcome: Outcome, path: Path, name: str) -> int:
    """Write what the run came to, and show it; the exit code of what ended it otherwise."""
    import contextlib

    from promptprop.adapters.files.baselines import recording_path, write_baseline
    from promptprop.adapters.files.recordings import write_recording
    from promptprop.bootstrap.baselines import baseline_of
    from promptprop.bootstrap.checks import require_recorded
    from promptprop.bootstrap.configuration import database_url, open_database
    from promptprop.cli.baselines import readable, summary_json
    from promptprop.cli.running import answer

    url = database_url(None, loaded.config, loaded.environment)
    with contextlib.closing(open_database(url, must_exist=True)) as store:
        require_recorded(store, outcome.run)
        if outcome.error is not None or outcome.report is None:
            return answer(shell, outcome)
        before = readable(path)
        accepted = baseline_of(store, outcome.run, loaded.environment, name)
        write_baseline(path, accepted)
        calls = write_recording(recording_path(path), store.replies(outcome.run.id))
    document = {
        **summary_json(path, accepted),
        "run_id": outcome.run.id,
        "recording": str(recording_path(path)),
        "calls": calls,
        "before": None if before is None else before.score,
    }
    shell.show(document, lambda: _lines(path, accepted, before, calls))
    return 0


def _lines(path: Path, accepted: Baseline, before: Baseline | None, calls: int) -> list[str]:
    from promptprop.adapters.files.baselines import recording_path
    from promptprop.adapters.files.report_words import counted
    from promptprop.cli.baselines import score_words

    was = "" if before is None else f" (was {score_words(before)})"
    rows = f"{counted(len(accepted.rows), 'row')}, {accepted.replicates} answers each"
    return [
        f"accepted {accepted.name}: score {score_words(accepted)}{was} on {rows}",
        f"wrote {path}",
        f"wrote {recording_path(path)} ({counted(calls, 'call')})",
        "commit both: `promptprop check CONFIG` is held against them from now on",
    ]
