"""`promptprop optimize`: the loop, from a configuration or from where a run stopped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from promptprop.cli.options import (
    Apply,
    Cache,
    Database,
    EnvFile,
    MaxCalls,
    MaxTime,
    MaxTokens,
    MaxUsd,
    Require,
    RetryErrors,
    Review,
    Sets,
    cache_mode,
)
from promptprop.cli.shell import Shell
from promptprop.domain.errors import UsageError

if TYPE_CHECKING:
    from promptprop.adapters.files.config import LoadedConfig
    from promptprop.adapters.storage.store import SqlStore
    from promptprop.cli.running import Begin
    from promptprop.ports import CacheMode, RunRow

BEGUN = "cannot change a run that has begun"
AFRESH = "leave it out, or start afresh"
NO_CAP = "the budget has no cap at all"


def optimize(
    shell: Shell,
    config: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads it on Python 3.10
        typer.Argument(metavar="[CONFIG]", help="The configuration; not needed with --resume.", show_default=False),
    ] = None,
    optimizer: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--optimizer", metavar="NAME", help="Which optimizer, such as backprop.", show_default=False),
    ] = None,
    seed: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--seed", metavar="N", help="Seed of all randomness.", show_default=False),
    ] = None,
    max_usd: MaxUsd = None,
    max_calls: MaxCalls = None,
    max_tokens: MaxTokens = None,
    max_time: MaxTime = None,
    unlimited: Annotated[bool, typer.Option("--unlimited", help="Run without any cap.")] = False,
    resume: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--resume", metavar="RUN", help="Take up this run: an id, a name, `latest`.", show_default=False),
    ] = None,
    retry_errors: RetryErrors = False,
    review: Review = False,
    apply: Apply = False,
    require: Require = None,
    cache: Cache = None,
    name: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--name", metavar="NAME", help="Name of the run and its prompt.", show_default=False),
    ] = None,
    sets: Sets = None,
    env_file: EnvFile = None,
    db: Database = None,
) -> int:
    """Improve a prompt, and prove it on sealed rows.

    The best prompt goes to .promptprop/runs/RUN/prompt.md, the claim into the report next to it. Ctrl-C stops in good
    order; `promptprop runs resume` goes on without paying anything twice.
    """
    from promptprop.cli.resuming import Wishes, require_known, resume_stored

    mode = cache_mode(cache)
    wishes = Wishes(max_calls, max_tokens, max_usd, max_time, retry_errors, apply, require_known(require), review)
    if config is None:
        if resume is None:
            raise UsageError("a CONFIG is missing", remedy="name a configuration, or a run with --resume")
        given = {"--optimizer": optimizer, "--seed": seed, "--name": name, "--set": sets, "--unlimited": unlimited}
        for option, value in {**given, "--cache": cache}.items():
            if value not in (None, [], False):
                raise UsageError(f"{option} {BEGUN}", remedy=AFRESH)
        return resume_stored(shell, resume, wishes, env_file, db)
    if resume is not None and cache is not None:
        raise UsageError(f"--cache {BEGUN}", remedy=AFRESH)
    flags = {"seed": seed, "optimizer.name": optimizer, "name": name, "database.url": db, **wishes.flags()}
    return _with_config(shell, config, sets or [], flags, env_file, resume, wishes, mode, unlimited=unlimited)


def _with_config(
    shell: Shell,
    path: Path,
    sets: list[str],
    flags: dict[str, object],
    env_file: Path | None,
    resume: str | None,
    wishes: Wishes,
    cache: CacheMode,
    *,
    unlimited: bool,
) -> int:
    from promptprop.bootstrap.configuration import database_url, load
    from promptprop.bootstrap.outputs import prompt_file
    from promptprop.bootstrap.preparation import require_rewriter
    from promptprop.cli.resuming import conclude, resuming
    from promptprop.cli.review import require_reviewer
    from promptprop.cli.running import run_to_its_end

    loaded = load(path, sets, flags, env_file)
    require_rewriter(loaded.config)
    if wishes.review:
        require_reviewer(shell, loaded.config)
    if wishes.apply:
        prompt_file(loaded.config)
    if resume is not None:
        begin = resuming(shell, resume, wishes, loaded.environment, loaded)
    else:
        if wishes.retry_errors:
            raise UsageError("--retry-errors belongs to a run that is resumed", remedy="add --resume RUN")
        if loaded.config.budget.budget.unlimited and not unlimited and not shell.asks:
            raise UsageError(NO_CAP, remedy="set budget.calls or budget.usd, pass --max-usd 5, or say --unlimited")
        begin = _starting(shell, loaded, cache, unlimited=unlimited)
    url = database_url(None, loaded.config, loaded.environment)
    return conclude(shell, run_to_its_end(shell, url, loaded.environment, begin, review=wishes.review), wishes)


def _starting(shell: Shell, loaded: LoadedConfig, cache: CacheMode, *, unlimited: bool) -> Begin:
    """What begins a new run: prepare it, show the plan, ask where nothing caps it, store it."""

    async def begin(store: SqlStore) -> tuple[RunRow, None]:
        from promptprop.bootstrap.assembly import plan_run
        from promptprop.bootstrap.preparation import create_run, draft_run, prepare
        from promptprop.cli.planning import head_of

        prepared = await prepare(store, loaded)
        plan = await plan_run(store, draft_run(prepared, "optimize", {}), loaded.environment)
        config = loaded.config
        if not shell.quiet:
            from promptprop.cli.summary import head_parts

            shell.draw_note([*head_parts(config.name, head_of(config, "optimize", loaded.environment, plan)), ""])
        if config.budget.budget.unlimited and not unlimited:
            total = plan.total.high
            question = f"{NO_CAP}: up to {total.calls:,} calls and {total.tokens:,} tokens. Go on?"
            if not shell.agree(question):
                raise UsageError("not started", remedy="set a cap, such as --max-usd 5 or --max-calls 2000")
        return await create_run(store, prepared, "optimize", {"cache": cache}), None

    return begin


if TYPE_CHECKING:
    from promptprop.cli.resuming import Wishes
