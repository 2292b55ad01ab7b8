"""The Python interface: `optimize`, `evaluate` and `check` as the commands do it, `load_prompt` for production code."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from promptprop.domain.models import Candidate, Json
from promptprop.domain.report import Report

if TYPE_CHECKING:
    from promptprop.bootstrap.gates import GateReport
    from promptprop.ports import EventSink


@dataclass(frozen=True, slots=True)
class LoadedPrompt:
    """A stored prompt version, ready to be filled."""

    name: str
    version: int
    candidate: Candidate

    def render(self, *, step: str | None = None, **values: Json) -> list[dict[str, str]]:
        """The messages of a step (the first unless named) as `{"role", "content"}`. Raises ConfigError, KeyError."""
        from promptprop.roles.template import fill_prompt

        chosen = step or next(iter(self.candidate.prompts))
        messages = fill_prompt(self.candidate.prompts[chosen], values, self.candidate.demos_at(chosen))
        return [{"role": message.role, "content": message.content} for message in messages]


def load_prompt(name: str, alias: str = "winner", *, database: str | None = None) -> LoadedPrompt:
    """The version of a named prompt that an alias points at. Raises UsageError where there is none."""
    from promptprop.bootstrap.configuration import database_url, open_database

    store = open_database(database_url(database), must_exist=True)
    try:
        found = store.prompt(f"{name}@{alias}")
    finally:
        store.close()
    return LoadedPrompt(found.name, found.version, found.candidate)


def optimize(
    config: str | Path, *, sets: Sequence[str] = (), database: str | None = None, sinks: Sequence[EventSink] = ()
) -> Report:
    """Run one optimization to its end. `sets` are `key=value` overrides. Raises as `optimize_async` does."""
    return asyncio.run(optimize_async(config, sets=sets, database=database, sinks=sinks))


def evaluate(
    config: str | Path, *, split: str = "all", repeats: int = 1, sets: Sequence[str] = (), database: str | None = None
) -> Report:
    """Score the configured prompt on a split. `sets` are `key=value` overrides. Raises as `optimize_async` does."""
    options = {"split": split, "repeats": repeats}
    return asyncio.run(_run(config, "evaluate", options, sets=sets, database=database))


def check(
    config: str | Path,
    baseline: str | None = None,
    *,
    split: str = "all",
    offline: bool = False,
    allow: Sequence[str] = (),
    sets: Sequence[str] = (),
    database: str | None = None,
) -> GateReport:
    """Hold the configured prompt against a baseline, as the command does; the stored one where none is named.

    The report has `verdict` (PASS, FAIL or INCONCLUSIVE), `sentence`, `worse`, `better` and `as_json()`. `offline`
    answers from the recording alone, `allow` names differences to compare across (`model`, `rows`), `sets` are
    `key=value` overrides, such as `gate.margin=3pp`. Raises BaselineMissing, NotComparable, and what `optimize` does.
    """
    from promptprop.bootstrap import checks

    return asyncio.run(
        checks.check(config, baseline, split=split, offline=offline, allow=allow, sets=sets, database=database)
    )


async def optimize_async(
    config: str | Path, *, sets: Sequence[str] = (), database: str | None = None, sinks: Sequence[EventSink] = ()
) -> Report:
    """As `optimize`, inside a running event loop.

    Raises ConfigError, DataError, ModelError, TooManyErrors, BudgetExhausted, StorageError.
    """
    return await _run(config, "optimize", {}, sets=sets, database=database, sinks=sinks)


async def _run(
    config: str | Path,
    activity: str,
    options: Mapping[str, Json],
    *,
    sets: Sequence[str],
    database: str | None,
    sinks: Sequence[EventSink] = (),
) -> Report:
    from promptprop.bootstrap.assembly import build_engine
    from promptprop.bootstrap.configuration import database_url, load, open_database
    from promptprop.bootstrap.preparation import create_run, prepare

    loaded = load(config, sets)
    url = database_url(database, loaded.config, loaded.environment)
    store = open_database(url)
    try:
        run = await create_run(store, await prepare(store, loaded), activity, options)
        return await build_engine(store, url, loaded.environment).run(run.id, sinks=sinks)
    finally:
        store.close()
