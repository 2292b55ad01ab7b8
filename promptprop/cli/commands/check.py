"""`promptprop check`: may this prompt take the baseline's place?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from promptprop.cli.gate_outputs import FormatName, OutFiles, call_of, shell_for, show_report
from promptprop.cli.options import (
    Cache,
    ConfigPath,
    Database,
    EnvFile,
    ExitZero,
    MaxCalls,
    MaxUsd,
    Sets,
    Split,
    cache_mode,
)
from promptprop.cli.shell import Shell
from promptprop.domain.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from promptprop.adapters.files.config import LoadedConfig
    from promptprop.adapters.storage.store import SqlStore
    from promptprop.bootstrap.checks import CheckRequest
    from promptprop.bootstrap.gates import Outlook
    from promptprop.domain.models import Json
    from promptprop.ports import RunRow

Baseline = Annotated[
    Optional[str],  # noqa: UP045 - typer reads it on Python 3.10
    typer.Option(
        "--baseline",
        metavar="WHAT",
        help="A stored one, file, git:REV[:FILE], PROMPT@3, RUN:winner.",
        show_default=False,
    ),
]
Margin = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--margin", metavar="5pp", help="The drop that must not pass.", show_default=False),
]
Alpha = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option("--alpha", metavar="A", help="The level of both tests.", show_default=False),
]
MaxReplicates = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--max-replicates", metavar="N", min=1, help="Leave out looks with more answers.", show_default=False),
]
Inconclusive = Annotated[
    str, typer.Option("--inconclusive", metavar="HOW", help="fail (3), warn or pass: how an open verdict ends.")
]
RequirePower = Annotated[
    bool, typer.Option("--require-power", help="Refuse a check that would not see a drop of the margin.")
]
AllowDiff = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--allow-diff", metavar="WHAT", help="Compare across a model, or rows that both have: model, rows."),
]
Rerun = Annotated[bool, typer.Option("--rerun", help="Ask an unchanged prompt again: has the model drifted?")]
Offline = Annotated[bool, typer.Option("--offline", help="Answer from the recording alone; no key, no network.")]
Record = Annotated[bool, typer.Option("--record", help="Keep the calls beside the baseline, for --offline.")]


def check(
    shell: Shell,
    config: ConfigPath,
    baseline: Baseline = None,
    margin: Margin = None,
    alpha: Alpha = None,
    max_replicates: MaxReplicates = None,
    split: Split = "all",
    inconclusive: Inconclusive = "fail",
    require_power: RequirePower = False,
    allow_diff: AllowDiff = None,
    rerun: Rerun = False,
    offline: Offline = False,
    record: Record = False,
    format_: FormatName = "text",
    out: OutFiles = None,
    exit_zero: ExitZero = False,
    max_calls: MaxCalls = None,
    max_usd: MaxUsd = None,
    cache: Cache = None,
    sets: Sets = None,
    env_file: EnvFile = None,
    db: Database = None,
) -> int:
    """Hold the configured prompt against a baseline.

    Ends with 0 where it passes, 1 where it is surely worse, 3 where the rows do not tell. Both prompts meet the same
    rows, with more answers to each while that decides nothing. What was answered before is free, and a stored baseline
    (`promptprop baseline accept`) is not asked again.
    """
    from promptprop.bootstrap.baselines import allowed_aspects
    from promptprop.bootstrap.checks import CheckRequest, gate_settings
    from promptprop.bootstrap.configuration import load
    from promptprop.cli.checks import UNDECIDED, code_of
    from promptprop.domain.sampling import SPLITS

    shell = shell_for(shell, format_, out or [])
    _require_known("--inconclusive", inconclusive, UNDECIDED)
    _require_known("--split", split, SPLITS)
    if offline and (record or rerun):
        raise UsageError("--offline asks no model", remedy="leave out --record and --rerun, or --offline")
    flags: dict[str, Json] = {"database.url": db, "budget.calls": max_calls, "budget.usd": max_usd}
    flags |= {"gate.margin": margin, "gate.alpha": alpha, "gate.require_power": require_power or None}
    loaded = load(config, sets or [], flags, env_file)
    request = CheckRequest(
        settings=gate_settings(loaded, max_replicates),
        baseline=baseline,
        split=split,
        cache=cache_mode(cache),
        allowed=allowed_aspects(allow_diff or ()),
        offline=offline,
        anew=rerun,
        remembered={"inconclusive": inconclusive, "call": call_of(config, split, sets, env_file, db)},
    )
    verdict = _checked(shell, loaded, request, out or [], record=record)
    if isinstance(verdict, int):
        return verdict
    return 0 if exit_zero else code_of(verdict, inconclusive)


def _require_known(option: str, given: str, known: Iterable[str]) -> None:
    if given not in known:
        raise UsageError(f"{option} {given!r} is not known", remedy=f"use one of {', '.join(known)}")


def _checked(
    shell: Shell, loaded: LoadedConfig, request: CheckRequest, files: list[Path], *, record: bool
) -> str | int:
    """Run the check and show it; the verdict, or the exit code of what ended it."""
    import contextlib

    from promptprop.bootstrap.checks import begin_check, record_calls, require_recorded
    from promptprop.bootstrap.configuration import database_url, open_database
    from promptprop.bootstrap.gates import gate_report
    from promptprop.cli import gates
    from promptprop.cli.running import answer, run_to_its_end
    from promptprop.cli.summary import head_parts

    told: list[Outlook] = []

    def tell(outlook: Outlook) -> None:
        told.append(outlook)
        if not shell.quiet:
            shell.draw_note([*head_parts(loaded.config.name, gates.outlook_words(outlook, request)), ""])

    async def begin(store: SqlStore) -> tuple[RunRow, None]:
        return await begin_check(store, loaded, request, tell), None

    url = database_url(None, loaded.config, loaded.environment)
    outcome = run_to_its_end(shell, url, loaded.environment, begin)
    with contextlib.closing(open_database(url, must_exist=True)) as store:
        require_recorded(store, outcome.run)
        if outcome.error is not None or outcome.report is None:
            return answer(shell, outcome)
        report = gate_report(store, outcome.run, outcome.report.history)
        if record:
            path, count = record_calls(store, outcome.run, loaded, request)
            shell.note(f"recorded {count:,} calls in {path}")
    show_report(shell, report, told[0] if told else None, files)
    return report.verdict
