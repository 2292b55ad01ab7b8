"""`promptprop eval`: score one prompt."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from promptprop.cli.options import By, Cache, ConfigPath, Database, EnvFile, ExitZero, Sets, Split, cache_mode, kinds_of
from promptprop.cli.shell import Shell
from promptprop.domain.errors import BaselineMissing, UsageError

if TYPE_CHECKING:
    from promptprop.adapters.files.config import LoadedConfig
    from promptprop.adapters.storage.store import SqlStore
    from promptprop.cli.running import Detail, Outcome
    from promptprop.domain.config import RunConfig
    from promptprop.domain.models import Candidate, Program
    from promptprop.ports import RunRow

RowIds = Annotated[
    Optional[list[str]],  # noqa: UP045 - typer reads it on Python 3.10
    typer.Option("--row", metavar="ID", help="Only this row, with all that was asked and said; repeatable."),
]
Recording = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--recording", metavar="FILE", help="Answer from it alone; no key, no network.", show_default=False),
]
RESULTS = (4, 5)  # exit codes that tell of a result rather than of a mistake


def evaluate(
    shell: Shell,
    config: ConfigPath,
    split: Split = "all",
    repeats: Annotated[int, typer.Option("--repeats", metavar="N", min=1, help="Answers for each row.")] = 1,
    prompt: Annotated[
        Optional[str],  # noqa: UP045 - typer reads it on Python 3.10
        typer.Option(
            "--prompt",
            metavar="WHAT",
            help="Another: a file, git:REV, NAME@VERSION, RUN:winner.",
            show_default=False,
        ),
    ] = None,
    rows: RowIds = None,
    recording: Recording = None,
    by: By = None,
    exit_zero: ExitZero = False,
    cache: Cache = None,
    sets: Sets = None,
    env_file: EnvFile = None,
    db: Database = None,
) -> int:
    """Score a prompt on rows, as a whole and by tag.

    No search and no claim. With --repeats, it tells how many rows flip from answer to answer. What the ledger has
    answered already costs nothing, but for --cache refresh and off.
    """
    from promptprop.bootstrap.configuration import database_url, load
    from promptprop.cli.running import answer, run_to_its_end
    from promptprop.domain.sampling import require_split

    require_split(split)
    kinds = kinds_of(by)
    mode = cache_mode(cache)
    loaded = load(config, sets or [], {"database.url": db}, env_file)

    async def begin(store: SqlStore) -> tuple[RunRow, None]:
        from promptprop.bootstrap.preparation import create_run, prepare

        chosen = None if prompt is None else _chosen(store, loaded.config, prompt)
        prepared = await prepare(store, loaded, prompts=chosen)
        if not shell.quiet:
            which = f"{split}, only {', '.join(rows[:5])}{' …' if len(rows) > 5 else ''}" if rows else split
            _tell_head(shell, loaded, f"{which}, {repeats} answers each" if repeats > 1 else which)
        options = {"split": split, "repeats": repeats, "cache": mode, "rows": rows or []}
        options["recording"] = str(recording) if recording else ""
        return await create_run(store, prepared, "evaluate", options), None

    url = database_url(None, loaded.config, loaded.environment)
    outcome = run_to_its_end(shell, url, loaded.environment, begin)
    detail = _detail_of(url, outcome, shown=bool(rows)) if recording or rows else None
    code = answer(shell, outcome, detail=detail, by=kinds)
    return 0 if exit_zero and code in RESULTS else code


def _tell_head(shell: Shell, loaded: LoadedConfig, rows: str) -> None:
    from promptprop.cli.planning import head_of
    from promptprop.cli.summary import head_parts

    head = head_of(loaded.config, "evaluate", loaded.environment)
    shell.draw_note([*head_parts(loaded.config.name, [("rows", rows), *head]), ""])


def _detail_of(url: str, outcome: Outcome, *, shown: bool) -> Detail | None:
    """What was asked and answered on rows that were named. Raises BaselineMissing where a recording lacks calls."""
    import contextlib

    from promptprop.bootstrap.checks import require_recorded
    from promptprop.bootstrap.configuration import open_database
    from promptprop.bootstrap.row_answers import answers_of
    from promptprop.cli.row_answers import detail_of

    with contextlib.closing(open_database(url, must_exist=True)) as store:
        require_recorded(store, outcome.run)
        return detail_of(answers_of(store, outcome.run)) if shown and outcome.error is None else None


def _chosen(store: SqlStore, config: RunConfig, reference: str) -> tuple[Program, tuple[Candidate, ...]]:
    """The prompt that stands in for the configured one. Raises UsageError, ConfigError."""
    from promptprop.adapters.files.prompts import read_prompts
    from promptprop.bootstrap.gates import GIT, prompt_at
    from promptprop.bootstrap.references import prompt_for

    program, _ = read_prompts(config)
    if reference.startswith(GIT):
        try:
            return program, (prompt_at(config, reference.removeprefix(GIT)),)
        except BaselineMissing as error:  # here it is no baseline
            raise UsageError(error.message, remedy=error.remedy) from error
    return program, (prompt_for(store, config, reference),)
