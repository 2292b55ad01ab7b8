"""`promptprop check`: may this prompt take the baseline's place?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from promptprop.cli.options import (
    Cache,
    ConfigPath,
    Database,
    EnvFile,
    ExitZero,
    MaxCalls,
    MaxUsd,
    Sets,
    cache_mode,
    chosen_format,
)
from promptprop.cli.shell import Format, Shell
from promptprop.domain.errors import BaselineMissing, UsageError

if TYPE_CHECKING:
    from promptprop.adapters.files.config import LoadedConfig
    from promptprop.adapters.storage.store import SqlStore
    from promptprop.bootstrap.gates import Outlook
    from promptprop.bootstrap.preparation import Prepared
    from promptprop.domain.gate_config import GateConfig
    from promptprop.domain.models import Candidate, Json, Program
    from promptprop.ports import RunRow

FORMATS: tuple[Format, ...] = ("text", "json", "md", "junit", "github")
ENDS = {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 3}
UNDECIDED = {"fail": 3, "warn": 0, "pass": 0}
SPLITS = ("all", "train", "select", "test")
Baseline = Annotated[
    Optional[str],  # noqa: UP045 - typer reads it on Python 3.10
    typer.Option("--baseline", metavar="WHAT", help="A file, git:REV, NAME@VERSION or RUN:winner.", show_default=False),
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
FormatName = Annotated[
    str, typer.Option("--format", metavar="FORMAT", help="text, json, md, junit or github.", show_default=False)
]


def check(
    shell: Shell,
    config: ConfigPath,
    baseline: Baseline = None,
    margin: Margin = None,
    alpha: Alpha = None,
    max_replicates: MaxReplicates = None,
    split: Annotated[str, typer.Option("--split", metavar="SPLIT", help="all, train, select or test.")] = "all",
    inconclusive: Inconclusive = "fail",
    require_power: RequirePower = False,
    format_: FormatName = "text",
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
    rows, with more answers to each while that decides nothing. What was answered before is free.
    """
    from dataclasses import replace

    from promptprop.bootstrap.configuration import database_url, load

    shell = replace(shell, format=chosen_format(format_, FORMATS, as_json=shell.json))
    if inconclusive not in UNDECIDED:
        raise UsageError(f"--inconclusive {inconclusive!r} is not known", remedy=f"use one of {', '.join(UNDECIDED)}")
    if split not in SPLITS:
        raise UsageError(f"there is no split {split!r}", remedy=f"use one of {', '.join(SPLITS)}")
    if baseline is None:
        raise BaselineMissing("a check needs a baseline", remedy="such as --baseline git:origin/main, or a prompt file")
    flags: dict[str, Json] = {"database.url": db, "budget.calls": max_calls, "budget.usd": max_usd}
    flags |= {"gate.margin": margin, "gate.alpha": alpha, "gate.require_power": require_power or None}
    loaded = load(config, sets or [], flags, env_file)
    settings = _settings(loaded, max_replicates)
    url = database_url(None, loaded.config, loaded.environment)
    verdict = _checked(shell, loaded, url, baseline, settings, {"split": split, "cache": cache_mode(cache)})
    if isinstance(verdict, int):
        return verdict
    code = UNDECIDED[inconclusive] if verdict == "INCONCLUSIVE" else ENDS[verdict]
    return 0 if exit_zero else code


def _settings(loaded: LoadedConfig, max_replicates: int | None) -> GateConfig:
    """The gate of the configuration, with the looks that may be made. Raises UsageError, ConfigError."""
    from promptprop.domain.errors import ConfigError
    from promptprop.domain.gate_config import GateConfig

    settings = loaded.config.gate or GateConfig()
    known = {metric.id for metric in loaded.config.metrics}
    if unknown := sorted(set(settings.metric) - known):
        raise ConfigError(
            f"gate.metric: there is no metric {unknown[0]!r}", remedy=f"one of {', '.join(sorted(known))}"
        )
    if max_replicates is None:
        return settings
    kept = tuple(one for one in settings.replicates if one <= max_replicates) or (max_replicates,)
    return settings.model_copy(update={"replicates": kept})


def _checked(
    shell: Shell, loaded: LoadedConfig, url: str, baseline: str, settings: GateConfig, options: dict[str, Json]
) -> str | int:
    """Run the check and show it; the verdict, or the exit code of what ended it."""
    import contextlib

    from promptprop.bootstrap.configuration import open_database
    from promptprop.bootstrap.gates import gate_report
    from promptprop.cli import gates
    from promptprop.cli.running import answer, run_to_its_end

    told: list[Outlook] = []

    async def begin(store: SqlStore) -> tuple[RunRow, None]:
        from promptprop.bootstrap.preparation import create_run, prepare

        program, seeds = _prompts(store, loaded, baseline)
        prepared = await prepare(store, loaded, prompts=(program, seeds))
        whole = {**options, "gate": settings.as_json(), "baseline": baseline}
        _tell_outlook(shell, store, prepared, whole, settings, program, told)
        return await create_run(store, prepared, "check", whole), None

    outcome = run_to_its_end(shell, url, loaded.environment, begin)
    if outcome.error is not None or outcome.report is None:
        return answer(shell, outcome)
    with contextlib.closing(open_database(url, must_exist=True)) as store:
        report = gate_report(store, outcome.run, outcome.report.history)
    shell.show(
        gates.gate_json(report, told[0] if told else None),
        lambda: gates.gate_parts(report),
        lambda: gates.markdown_of(report),
        lambda: gates.annotations_of(report, _file_of(loaded)),
        lambda: gates.junit_of(report),
    )
    return report.verdict


def _tell_outlook(
    shell: Shell,
    store: SqlStore,
    prepared: Prepared,
    options: dict[str, Json],
    settings: GateConfig,
    program: Program,
    told: list[Outlook],
) -> None:
    """Say what the gate will see, before it spends anything. Raises UsageError where it would see too little."""
    from promptprop.bootstrap.gates import outlook_of
    from promptprop.bootstrap.preparation import draft_run
    from promptprop.cli import gates
    from promptprop.cli.summary import head_parts

    outlook = outlook_of(store, draft_run(prepared, "check", options), settings, program)
    told.append(outlook)
    if not shell.quiet:
        shell.draw_note([*head_parts(prepared.config.name, gates.outlook_words(outlook, settings)), ""])
    if settings.require_power and (outlook.smallest is None or outlook.smallest > settings.margin):
        smallest = "none" if outlook.smallest is None else f"{100 * outlook.smallest:.1f} points"
        margin = f"{100 * settings.margin:g} points"
        raise UsageError(
            f"this check would not see a drop of {margin}: the smallest that it sees is {smallest}",
            remedy="add rows or replicates, or widen the margin",
        )


def _prompts(store: SqlStore, loaded: LoadedConfig, baseline: str) -> tuple[Program, tuple[Candidate, Candidate]]:
    """The program with baseline and candidate. Raises BaselineMissing, UsageError, ConfigError."""
    from promptprop.adapters.files.prompts import read_prompts
    from promptprop.bootstrap.gates import GIT, prompt_at
    from promptprop.cli.references import prompt_for
    from promptprop.domain.errors import RunNotFound

    program, seeds = read_prompts(loaded.config)
    if len(seeds) != 1:
        raise UsageError("a check takes one prompt", remedy="name one prompt in the configuration, or a chain")
    if baseline.startswith(GIT):
        return program, (prompt_at(loaded.config, baseline.removeprefix(GIT)), seeds[0])
    try:
        return program, (prompt_for(store, loaded.config, baseline), seeds[0])
    except (UsageError, RunNotFound) as error:
        raise BaselineMissing(f"no baseline: {error.message}", remedy=error.remedy) from error


def _file_of(loaded: LoadedConfig) -> str:
    """The file that an annotation stands at: the prompt's, or the configuration's."""
    prompts = loaded.config.prompt or ()
    named = prompts[0].file if len(prompts) == 1 else None
    path = Path(named) if named else loaded.path
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
