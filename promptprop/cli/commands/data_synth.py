"""`promptprop data synth`: hard rows, invented by a model, for a person to review."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from promptprop.cli.options import ConfigPath, Database, EnvFile, MaxCalls, MaxUsd, Sets
from promptprop.cli.shell import Shell
from promptprop.domain.models import PICO, Json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from promptprop.bootstrap.synthesis import Proposals


def synthesize_data(
    shell: Shell,
    config: ConfigPath,
    rows: Annotated[int, typer.Option("--rows", metavar="N", min=1, max=500, help="How many.")] = 20,
    kind: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer reads it on Python 3.10
        typer.Option("--kind", metavar="KIND", help="edge, adversarial or rare; repeatable.", show_default=False),
    ] = None,
    to: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--to", metavar="FILE", help="The review file; beside the data unless given.", show_default=False),
    ] = None,
    max_calls: MaxCalls = None,
    max_usd: MaxUsd = None,
    sets: Sets = None,
    env_file: EnvFile = None,
    db: Database = None,
) -> None:
    """Have edge cases and adversarial rows invented, for `data review`.

    The model sees train rows only, and what it writes is held against all rows and the metrics. Nothing uses a row
    before a person has accepted it. Again gives other rows; rows on record are free.
    """
    from promptprop.bootstrap.configuration import database_url, load, open_database
    from promptprop.bootstrap.synthesis import invent_rows, review_file
    from promptprop.cli.ticker import ticker
    from promptprop.services.synthesis import most_calls

    flags = {"database.url": db, "budget.calls": max_calls, "budget.usd": max_usd}
    loaded = load(config, sets or [], flags, env_file)
    file = to or review_file(loaded)
    model = loaded.config.models.of("synthesizer")
    if model is not None:
        simulated = " (simulated: it builds rows out of yours)" if model.simulated else ""
        shell.note(f"asking {model.model}{simulated} for {rows} rows, in at most {most_calls(rows)} calls")
    with contextlib.closing(open_database(database_url(None, loaded.config, loaded.environment))) as store:
        found = asyncio.run(invent_rows(store, loaded, rows, kind or (), file, ticker(shell)))
    document: Json = {
        "file": str(file),
        "rows": [one.as_json() for one in found.rows],
        "left_out": dict(found.left_out),
        "calls": found.spend.total.calls,
        "hits": found.spend.hits,
        "usd": str(Decimal(found.spend.total.picousd) / PICO),
        "simulated": bool(model and model.simulated),
    }
    more = f" --file {file}" if to else ""
    shell.show(document, lambda: _drawn(found, file, f"promptprop data review {config}{more}"))


def _drawn(found: Proposals, file: Path, following: str) -> Iterable[RenderableType]:
    from rich.text import Text

    from promptprop.adapters.files.report_words import counted, paid, shortened
    from promptprop.cli.plain import one_line

    for reason, count in sorted(found.left_out.items(), key=lambda pair: -pair[1]):
        yield Text(f"left out {counted(count, 'time')}: {one_line(shortened(reason, 200))}", style="dim")
    doubted = sum(bool(one.doubts) for one in found.rows)
    more = f", {doubted} of them doubtful" if doubted else ""
    yield f"{counted(len(found.rows), 'row')} for review in {file}{more} ({paid(found.spend.of('synthesizer'))})"
    yield f"next: {following}"
