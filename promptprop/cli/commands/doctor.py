"""`promptprop doctor`: what may keep PromptProp from working here."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from promptprop.bootstrap.doctor import Check, Patient, examine_all, looked_at
from promptprop.cli.options import Database, EnvFile, Sets
from promptprop.cli.plain import one_line, speaks_unicode
from promptprop.cli.shell import Shell
from promptprop.domain.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from promptprop.adapters.files.config import LoadedConfig

MARKS = {"ok": ("✓", "ok", "green"), "warn": ("!", "!", "yellow"), "fail": ("✗", "x", "bold red")}
NARROW = 60  # columns under which tables do not read well


def doctor(
    shell: Shell,
    config: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads it on Python 3.10
        typer.Argument(metavar="[CONFIG]", help="Look at it and at what it names, too.", show_default=False),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Leave the network alone.")] = False,
    ping: Annotated[bool, typer.Option("--ping", help="Call the models of CONFIG, which costs money.")] = False,
    sets: Sets = None,
    env_file: EnvFile = None,
    db: Database = None,
) -> int:
    """Look for what may keep PromptProp from working.

    Packages, folders, the database, keys, providers and CONFIG, one line each, with a remedy. Free without --ping.
    Ends with 1 where something is wrong.
    """
    if ping and (config is None or offline):
        raise UsageError("--ping needs a CONFIG and the network", remedy="name a CONFIG, and leave --offline out")
    with redirect_stdout(sys.stderr):  # a metric's module may print as it loads
        checks = _examined(config, sets, env_file, db, offline=offline, ping=ping)
    checks = [*_terminal(shell), *checks]
    bad = sum(check.state == "fail" for check in checks)
    document = {
        "ok": not bad,
        "checks": [
            {"name": one.name, "state": one.state, "message": one.message, "remedy": one.remedy} for one in checks
        ],
    }
    shell.show(document, lambda: drawn(checks, unicode=shell.output is not None or speaks_unicode()))
    return 1 if bad else 0


def _examined(
    config: Path | None, sets: list[str] | None, env_file: Path | None, db: str | None, *, offline: bool, ping: bool
) -> list[Check]:
    """The checks; what cannot be read on the way to them is one itself."""
    from promptprop.adapters.logs import register_environment
    from promptprop.cli.running import environment_of

    environments: list[dict[str, str]] = []
    loads: list[LoadedConfig] = []

    def read_environment() -> Iterable[Check]:
        environments.append(environment_of(env_file))
        return ()

    def read_config() -> Iterable[Check]:
        if config is not None:
            from promptprop.bootstrap.configuration import load

            loads.append(load(config, sets or [], None, env_file))
        return ()

    trouble = looked_at("environment", read_environment)
    if not trouble:  # else it would be told twice
        trouble = looked_at("config", read_config)
    loaded = loads[0] if loads else None
    environment = dict(loaded.environment) if loaded else environments[0] if environments else dict(os.environ)
    register_environment(environment)
    patient = Patient(environment, loaded, _inspect, db, offline, ping)
    return [*trouble, *examine_all(patient)]


def _inspect(loaded: LoadedConfig) -> object:
    from promptprop.bootstrap.inspection import inspect_inputs

    return inspect_inputs(loaded)


def _terminal(shell: Shell) -> list[Check]:
    """What this terminal can show; nothing where there is none."""
    if not sys.stdout.isatty():
        return []
    from promptprop.cli.drawing import wants_colour

    colour = "colours" if wants_colour(sys.stdout, allowed=shell.colour) else "no colours"
    width = shell.width()
    said = f"{width} columns, {colour}, {sys.stdout.encoding or 'no encoding'}"
    if width < NARROW:
        return [Check("terminal", "warn", said, f"tables read better from {NARROW} columns on")]
    if not speaks_unicode():
        return [Check("terminal", "warn", said, "set LANG=C.UTF-8 to see every letter")]
    return [Check("terminal", "ok", said)]


def drawn(checks: list[Check], *, unicode: bool) -> Iterable[RenderableType]:
    """A line for each check, its remedy below it, and what it comes to."""
    from rich.text import Text

    for check in checks:
        mark, plain, style = MARKS[check.state]
        line = Text.assemble((f"{mark if unicode else plain:<2}", style), " ", (f"{check.name:<13}", "dim"))
        yield line.append(one_line(check.message))
        if check.remedy:
            yield Text(f"                → {one_line(check.remedy)}", style="dim")
    bad, doubtful = (sum(check.state == state for check in checks) for state in ("fail", "warn"))
    if bad:
        yield Text(f"{bad} to mend" + (f", {doubtful} to look at" if doubtful else ""), style="bold red")
    else:
        yield Text(f"nothing is wrong, {doubtful} to look at" if doubtful else "nothing is wrong", style="bold green")
