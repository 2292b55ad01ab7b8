"""What can be told of a configuration before it is run, free of charge: what is wrong, and what a run will take."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from promptprop.domain.errors import ConfigError, DataError, InputError, Problem
from promptprop.domain.models import Json, Row

if TYPE_CHECKING:
    from promptprop.adapters.files.config import LoadedConfig
    from promptprop.adapters.storage.store import SqlStore
    from promptprop.domain.config import RunConfig
    from promptprop.services.plan import Plan

T = TypeVar("T")


def inspect_inputs(
    loaded: LoadedConfig, store: SqlStore | None = None, most_rows: int | None = None
) -> tuple[dict[str, int], int]:
    """Rows by split, and the number of prompts. Raises ConfigError or DataError with the problems of all inputs.

    `store` holds the dataset that the configuration names, if it names one.
    """
    from promptprop.bootstrap.metrics import build_run_scorer

    config = loaded.config
    problems: list[Problem] = []
    variables = _noted(lambda: _variables(config, store, most_rows), problems) or ()
    prompts = _noted(lambda: _prompts(config, variables), problems) or 0
    _noted(lambda: build_run_scorer(config, loaded.path.parent), problems)
    before = len(problems)
    rows = {} if before and config.data.dataset else _noted(lambda: _rows(config, store, most_rows), problems) or {}
    bad_data = len(problems) > before
    if problems:
        raise (DataError if bad_data and before == 0 else ConfigError)(problems)
    return rows, prompts


def _noted(step: Callable[[], T], problems: list[Problem]) -> T | None:
    """What a step finds, or None with its problems noted, so that the next one is looked at all the same."""
    try:
        return step()
    except InputError as error:
        problems += error.problems
        return None


def _variables(config: RunConfig, store: SqlStore | None, most_rows: int | None) -> tuple[str, ...]:
    from promptprop.bootstrap.preparation import stored_rows

    return stored_rows(store, config.data.dataset, most_rows)[1] if store and config.data.dataset else ()


def _prompts(config: RunConfig, variables: tuple[str, ...]) -> int:
    from promptprop.adapters.files.prompts import read_prompts
    from promptprop.bootstrap.preparation import check_variables

    program, seeds = read_prompts(config)
    check_variables(config, program, seeds, variables)
    return len(seeds) * len(program.steps)


def _rows(config: RunConfig, store: SqlStore | None, most_rows: int | None) -> dict[str, int]:
    """Rows by split; only ids, strata and clusters stay in memory."""
    from promptprop.domain.sampling import ratios_of, split_rows

    split = config.data.split
    rows = store.rows(config.data.dataset) if store and config.data.dataset else _file_rows(config, most_rows)
    found = split_rows(rows, ratios_of(split), split.seed)
    return {name: len(part) for name, part in found.items()}


def _file_rows(config: RunConfig, most_rows: int | None) -> list[Row]:
    from promptprop.bootstrap.preparation import limited_examples
    from promptprop.domain.sampling import row_of

    seen: set[str] = set()
    rows = []
    for example in limited_examples(config, most_rows):
        if example.id in seen:
            raise DataError(f"two rows have the id {example.id!r}", remedy="give each row an id of its own")
        seen.add(example.id)
        rows.append(row_of(example))
    return rows


def plan_apart(
    loaded: LoadedConfig,
    activity: str = "optimize",
    options: Mapping[str, Json] | None = None,
    most_rows: int | None = None,
) -> Plan:
    """The plan of a configuration, made in a database of its own that is thrown away. Raises ConfigError, DataError."""
    from promptprop.adapters.storage.store import open_store

    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="promptprop-plan-"))
        store = stack.enter_context(contextlib.closing(open_store(f"sqlite:///{Path(folder) / 'plan.db'}")))
        return plan_in(store, loaded, activity, options, most_rows)


def plan_in(
    store: SqlStore,
    loaded: LoadedConfig,
    activity: str = "optimize",
    options: Mapping[str, Json] | None = None,
    most_rows: int | None = None,
) -> Plan:
    """The plan of a configuration whose rows are, or are put, in a store. Not to be called on an event loop.

    Raises ConfigError, DataError.
    """
    from promptprop.bootstrap.assembly import plan_run
    from promptprop.bootstrap.preparation import draft_run, prepare, require_rewriter

    if activity == "optimize":
        require_rewriter(loaded.config)

    async def work() -> Plan:
        prepared = await prepare(store, loaded, most_rows=most_rows)
        return await plan_run(store, draft_run(prepared, activity, options or {}), loaded.environment)

    return asyncio.run(work())
