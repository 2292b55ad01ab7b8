"""What `optimize`, `eval` and `resume` share: begin or take up a run, watch it, and answer, however it ends."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from promptprop.adapters.logs import bind, configure
from promptprop.bootstrap.assembly import build_engine
from promptprop.bootstrap.configuration import database_url, open_database, project_folder
from promptprop.cli.failures import show_error
from promptprop.cli.interrupts import Interrupts
from promptprop.cli.progress import Progress, progress_for
from promptprop.cli.review import TerminalReviewer
from promptprop.cli.shell import Shell
from promptprop.domain.errors import Interrupted, ModelError, PromptPropError, RunLocked, StorageError
from promptprop.domain.models import Json
from promptprop.domain.report import Report, report_json
from promptprop.ports import EventSink, Reviewer, RunRow

if TYPE_CHECKING:
    from rich.console import RenderableType

    from promptprop.adapters.storage.store import SqlStore
    from promptprop.domain.breakdown import Kind
    from promptprop.domain.config import RunConfig
    from promptprop.services.desk import Interventions
    from promptprop.services.engine import Engine


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: its report as far as it came, what was written, and the error that ended it, if one did."""

    run: RunRow
    report: Report | None
    paths: Mapping[str, str] = field(default_factory=dict)
    error: PromptPropError | None = None
    notes: tuple[str, ...] = ()
    db: str = ""


@dataclass(frozen=True, slots=True)
class Detail:
    """What a command shows of a run before its summary, in each format; the document's parts join the report's."""

    document: Mapping[str, Json]
    parts: Callable[[], Iterable[RenderableType]]
    markdown: Callable[[], str]


Begin = Callable[["SqlStore"], Awaitable["tuple[RunRow, Interventions | None]"]]


def run_to_its_end(shell: Shell, url: str, env: Mapping[str, str], begin: Begin, *, review: bool = False) -> Outcome:
    """Open the database, let `begin` store or find the run (with what a person decides), and bring it to an end.

    Raises what went wrong before there was a run; what goes wrong later is in the outcome.
    """
    progress = progress_for(shell)
    reviewer = TerminalReviewer(shell, progress) if review else None
    interrupts = Interrupts(progress.say if not shell.quiet else lambda _text: None)
    with contextlib.closing(open_database(url)) as store:
        configure(project_folder() / "logs", shell.verbosity)  # after the database: its complaint is the clearer one
        try:
            with redirect_stdout(sys.stderr):  # metrics are people's own code, and stdout is for the answer
                outcome = interrupts.run(_conduct(store, url, env, progress, begin, interrupts, reviewer))
        finally:
            progress.end()
    error = outcome.error
    named = interrupts.named(error) if isinstance(error, Interrupted) else error
    return replace(outcome, error=named, db=unusual(url, env), notes=(*outcome.notes, *_vanished(url)))


def _vanished(url: str) -> list[str]:
    """What to say where the database's file is gone: the system lets a process write on into a removed file."""
    from promptprop.adapters.storage.connection import sqlite_file

    file = sqlite_file(url)
    if file is None or file.exists():
        return []
    return [f"the database {file} was removed while the run went on: but for the files above, the run is lost"]


async def _conduct(
    store: SqlStore,
    url: str,
    env: Mapping[str, str],
    progress: Progress,
    begin: Begin,
    interrupts: Interrupts,
    reviewer: Reviewer | None,
) -> Outcome:
    from promptprop.cli.summary import database_option

    run, interventions = await _begun(store, begin)
    interrupts.way_on = f"promptprop runs resume {run.id[:8]}{database_option(unusual(url, env))}"
    engine = build_engine(store, url, env)
    with bind(run_id=run.id):
        if store.run(run.id).status == "finished" and not (interventions and interventions.events()):
            report = engine.report(run.id)
            return _outcome(run, report, None, ["the run was finished already: this is what it found"])
        return await _watch(store, engine, run, env, progress, interventions, reviewer)


async def _begun(store: SqlStore, begin: Begin) -> tuple[RunRow, Interventions | None]:
    """What `begin` stores or finds. An interrupt waits for it, so that no run is left that never began."""
    beginning = asyncio.ensure_future(begin(store))
    try:
        return await asyncio.shield(beginning)
    except asyncio.CancelledError:
        run, _ = await beginning
        if run.status == "created" and not store.events(run.id):
            await store.delete_run(run.id)
        raise


async def _watch(
    store: SqlStore,
    engine: Engine,
    run: RunRow,
    env: Mapping[str, str],
    progress: Progress,
    interventions: Interventions | None,
    reviewer: Reviewer | None,
) -> Outcome:
    from promptprop.bootstrap.outputs import build_tracking
    from promptprop.domain.config import RunConfig

    report: Report | None = None
    error: PromptPropError | None = None
    cancelled = False
    tracking = build_tracking(engine, run, RunConfig.model_validate(run.snapshot["config"]), env)
    sinks: list[EventSink] = [progress, *([tracking] if tracking else [])]
    progress.begin()
    beat = asyncio.create_task(progress.beat())
    try:
        if run.status in ("stopped", "cancelled"):
            await store.withdraw_endings(run.id)  # of an earlier attempt: now somebody wants the run to go on
        report = await engine.run(run.id, interventions=interventions, sinks=sinks, reviewer=reviewer, inbox=store)
    except RunLocked:
        raise  # the run is another process's: it neither stopped nor is its folder ours to write
    except PromptPropError as ended:
        error = ended
    except asyncio.CancelledError:
        cancelled = True  # before this pass of the run has begun, or after the end: else the engine says Interrupted
    finally:
        beat.cancel()
        progress.end()
    if (error is not None or cancelled) and not store.events(run.id):
        await store.delete_run(run.id)  # it never began: nothing was decided and nothing paid
        raise error or asyncio.CancelledError
    notes = [f"tracking: {tracking.problem}"] if tracking and tracking.problem else []
    report = report or engine.report(run.id)
    if cancelled and report.history.finished:
        notes.append("interrupted when the run was over: its result is complete, MLflow's record may not be")
    elif cancelled:
        remedy = f"promptprop runs resume {run.id[:8]}"
        error = Interrupted(f"run {run.id[:8]} was interrupted before it went on", remedy=remedy)
    return _outcome(run, report, error, notes)


def _outcome(run: RunRow, report: Report, error: PromptPropError | None, notes: list[str]) -> Outcome:
    """The outcome, with the run's folder written; where that fails the run itself is safe, so it is only told."""
    from promptprop.bootstrap.outputs import write_run_folder

    paths: dict[str, str] = {}
    try:
        paths = write_run_folder(run, report)
    except StorageError as unwritable:
        notes = [*notes, f"not written: {unwritable.message}"]
    return Outcome(run, report, paths, error, tuple(notes))


def answer(
    shell: Shell,
    outcome: Outcome,
    notes: Sequence[str] = (),
    extra: Mapping[str, Json] | None = None,
    detail: Detail | None = None,
    by: Sequence[Kind] = (),
) -> int:
    """Show how a run ended; returns the exit code of its error, 0 where there is none.

    `extra` joins the JSON; `by` says which groups of an evaluation are shown, tags unless given.
    """
    from promptprop.adapters.files.report_markdown import render_markdown
    from promptprop.cli.summary import summary_parts

    report, error = outcome.report, outcome.error
    said = [*outcome.notes, *notes]
    if report is None:
        return show_error(error, as_json=shell.json) if error else 0
    if error is not None:
        error.remedy = way_on(error, report, outcome.db)
        if shell.json:
            return show_error(error, as_json=True, run=report_json(report, outcome.paths))
        shell.draw_note(summary_parts(report, outcome.paths, said, db=outcome.db, by=by, error_follows=True))
        return show_error(error, as_json=False)
    document = {**report_json(report, outcome.paths), "notes": said, **(extra or {})}
    document |= detail.document if detail else {}
    shell.show(
        document,
        lambda: [
            *(detail.parts() if detail else ()),
            *summary_parts(report, outcome.paths, said, db=outcome.db, by=by),
        ],
        lambda: render_markdown(report, by) + (f"\n{detail.markdown()}" if detail else ""),
    )
    return 0


def way_on(error: PromptPropError, report: Report, db: str) -> str:
    """The remedy of an error that ended a run, with the command that goes on as it has to be typed here.

    What is wrong with a model is often mended in the configuration: then the run has to be taken up with it.
    """
    from promptprop.cli.summary import database_option, resume_command

    option, remedy = database_option(db), error.remedy
    bare = f"promptprop runs resume {report.run_id[:8]}"
    if bare in remedy:
        remedy = remedy.replace(bare, bare + option)
    elif isinstance(error, ModelError | StorageError):
        remedy = f"{remedy}; then `{resume_command(report, option)}` goes on" if remedy else bare + option
    if not isinstance(error, ModelError):
        return remedy
    if report.history.activity == "evaluate":
        return f"{remedy}. With a changed configuration: `promptprop eval CONFIG`, where answers on record are free"
    return f"{remedy}. With a changed configuration: `promptprop optimize CONFIG --resume {report.run_id[:8]}{option}`"


def unusual(url: str, env: Mapping[str, str]) -> str:
    """The database, if commands would not find it without --db; else nothing."""
    return "" if url == database_url(None, None, env) else url


def environment_of(env_file: Path | None) -> dict[str, str]:
    """The process's environment over that of `.env`, for commands that read no configuration. Raises ConfigError."""
    import os

    from promptprop.adapters.files.environment import read_env_file

    file = Path(".env") if env_file is None else env_file
    found = read_env_file(file) if env_file is not None or file.is_file() else {}
    return {**{name: value for name, (value, _line) in found.items()}, **os.environ}


def opened(db: str | None, env_file: Path | None = None) -> SqlStore:
    """The database that exists already, for commands that look at it. Raises StorageError, ConfigError."""
    return open_database(database_url(db, None, environment_of(env_file)), must_exist=True)


def stored_config(run: RunRow) -> RunConfig:
    """The configuration that a run was started with."""
    from promptprop.domain.config import RunConfig

    return RunConfig.model_validate(run.snapshot["config"])
