"""`promptprop validate`: everything about a configuration that can be told without a model."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, TypeVar

from promptprop.cli.options import ConfigPath, EnvFile, Sets
from promptprop.cli.shell import Shell
from promptprop.domain.errors import ConfigError, DataError, InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from promptprop.adapters.files.config import LoadedConfig
    from promptprop.domain.config import RunConfig


T = TypeVar("T")


def validate(shell: Shell, config: ConfigPath, sets: Sets = None, env_file: EnvFile = None) -> None:
    """Check a configuration, its prompts and its data.

    Free; stores nothing, and tells every problem at once.
    """
    from promptprop.adapters.files.report_words import counted
    from promptprop.bootstrap.configuration import load

    loaded = load(config, sets or [], None, env_file)
    with redirect_stdout(sys.stderr):  # a metric's module may print as it loads
        rows, prompts = inspect_inputs(loaded)
    total = sum(rows.values())
    split = ", ".join(f"{count} {name}" for name, count in rows.items())
    metrics = counted(len(loaded.config.metrics), "metric")
    text = f"ok: {loaded.config.name}: {counted(total, 'row')} ({split}), {counted(prompts, 'prompt')}, {metrics}"
    document = {
        "ok": True,
        "name": loaded.config.name,
        "rows": rows,
        "prompts": prompts,
        "metrics": len(loaded.config.metrics),
    }
    if shell.json:
        shell.write_json(document)
    else:
        from promptprop.cli.plain import safe

        shell.write(safe(text) + "\n")


def inspect_inputs(loaded: LoadedConfig) -> tuple[dict[str, int], int]:
    """Rows by split, and the number of prompts. Raises ConfigError or DataError with the problems of all inputs."""
    from promptprop.bootstrap.metrics import build_run_scorer

    config = loaded.config
    problems: list[Problem] = []
    bad_data = False
    prompts = _noted(lambda: _prompts(config), problems) or 0
    _noted(lambda: build_run_scorer(config, loaded.path.parent), problems)
    before = len(problems)
    rows = _noted(lambda: _rows(config), problems) or {}
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


def _prompts(config: RunConfig) -> int:
    from promptprop.adapters.files.prompts import read_prompts
    from promptprop.bootstrap.preparation import check_variables

    program, seeds = read_prompts(config)
    check_variables(config, program, seeds)
    return len(seeds) * len(program.steps)


def _rows(config: RunConfig) -> dict[str, int]:
    """Rows by split; only ids, strata and clusters stay in memory."""
    from promptprop.bootstrap.preparation import limited_examples
    from promptprop.domain.sampling import ratios_of, row_of, split_rows

    seen: set[str] = set()
    rows = []
    for example in limited_examples(config):
        if example.id in seen:
            raise DataError(f"two rows have the id {example.id!r}", remedy="give each row an id of its own")
        seen.add(example.id)
        rows.append(row_of(example))
    split = config.data.split
    found = split_rows(rows, ratios_of(split), split.seed)
    return {name: len(part) for name, part in found.items()}
