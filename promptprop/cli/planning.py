"""Plans: made beside the project's database, and drawn before anything is spent."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

    from promptprop.adapters.files.config import LoadedConfig
    from promptprop.domain.config import RunConfig
    from promptprop.services.plan import Plan, Range


def plan_apart(loaded: LoadedConfig) -> Plan:
    """The plan of a configuration, made in a database of its own that is thrown away. Raises ConfigError, DataError."""
    from promptprop.bootstrap import inspection

    with contextlib.redirect_stdout(sys.stderr):  # a metric's module may print as it loads
        return inspection.plan_apart(loaded)


def head_of(
    config: RunConfig, activity: str, environment: Mapping[str, str], plan: Plan | None = None
) -> list[tuple[str, str]]:
    """What stands above a run: rows, models, caps, and what is held back for FINISH in the worst case.

    Models are named as they are called, with what the environment says of them. Raises ConfigError where it says
    nothing.
    """
    from promptprop.adapters.files.environment import resolve
    from promptprop.adapters.files.report_words import caps_text, counted, money
    from promptprop.bootstrap.models import needed_endpoints
    from promptprop.cli.summary import models_text, rows_text

    models = {
        alias: resolve(model.model, environment, f"models.{alias}.model")
        for alias, model in needed_endpoints(config, activity).items()
    }
    facts = [("models", models_text(models)), ("caps", caps_text(config.budget.budget.as_json()))]
    if plan is None:
        return facts
    worst = plan.finish.high
    usd = money(worst.picousd) if plan.priced else "price unknown"
    held = f"up to {counted(worst.calls, 'call')}, {worst.tokens:,} tokens, {usd} for confirmation and test"
    return [("rows", rows_text(plan.rows)), *facts, ("finish", held)]


def plan_parts(config: RunConfig, environment: Mapping[str, str], plan: Plan) -> list[RenderableType]:
    """The plan as a table, with what it means in words."""
    from rich.text import Text

    from promptprop.adapters.files.report_words import counted, points
    from promptprop.bootstrap.models import all_simulated
    from promptprop.cli.drawing import facts_table, table_of
    from promptprop.cli.summary import head_parts
    from promptprop.domain.report import SIMULATED_NOTE

    rows = []
    for name, amounts in (("finish", plan.finish), ("a round", plan.each_round), ("total", plan.total)):
        for unit, figures in _figures(amounts, priced=plan.priced):
            rows.append([name, unit, *figures])
            name = ""  # noqa: PLW2901 - named once
    facts: list[tuple[str, str | Text]] = []
    if plan.rounds is not None:
        budget = "the budget pays about " if not plan.budget.unlimited else "no cap but the optimizer's own: "
        facts.append(("rounds", f"{budget}{counted(plan.rounds, 'round')}"))
    if plan.detectable is not None:
        said = f"{points(plan.detectable)} points on {counted(plan.rows['test'], 'sealed row')}"
        facts.append(("detectable", f"{said}: the smallest gain that is proven 4 times in 5"))
    if not plan.priced:
        facts.append(("money", "the price of a model is not known; cap calls or tokens, or set its price"))
    if all_simulated(config, environment):
        facts.append(("note", Text(SIMULATED_NOTE, style="yellow")))
    return [
        *head_parts(config.name, head_of(config, "optimize", environment, plan)[:3]),
        "",
        table_of(["", "", "low", "likely", "max"], rows, right=(2, 3, 4)),
        "",
        facts_table(facts),
    ]


def _figures(amounts: Range, *, priced: bool) -> list[tuple[str, list[str]]]:
    from promptprop.adapters.files.report_words import money

    each = (amounts.low, amounts.likely, amounts.high)
    figures = [("calls", [f"{one.calls:,}" for one in each]), ("tokens", [f"{one.tokens:,}" for one in each])]
    return [*figures, ("usd", [money(one.picousd) for one in each])] if priced else figures


def plan_markdown(config: RunConfig, plan: Plan) -> str:
    """The plan for a pull request."""
    lines = [f"# Plan of {config.name}", "", "| | | low | likely | max |", "|---|---|---|---|---|"]
    for name, amounts in (("finish", plan.finish), ("a round", plan.each_round), ("total", plan.total)):
        for unit, figures in _figures(amounts, priced=plan.priced):
            lines.append(f"| {name} | {unit} | {' | '.join(figures)} |")
    lines += ["", f"Rounds affordable: {plan.rounds if plan.rounds is not None else 'not capped'}"]
    return "\n".join(lines) + "\n"
