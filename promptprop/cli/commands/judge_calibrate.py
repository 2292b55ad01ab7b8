"""`promptprop judge calibrate`: jurors against what people say."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promptprop.cli.options import ConfigPath, Database, EnvFile, Sets
from promptprop.cli.shell import Shell
from promptprop.cli.ticker import ticker
from promptprop.domain.models import Json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from promptprop.domain.agreement import Calibration
    from promptprop.services.calibrate import CalibrationReport

Labels = Annotated[
    Path, typer.Option("--labels", metavar="FILE", help="Rows with an answer and a person's label.", show_default=False)
]
MISSED = 1  # exit code: a threshold was missed


def calibrate(
    shell: Shell,
    config: ConfigPath,
    labels: Labels,
    answer: Annotated[str, typer.Option("--answer", metavar="COLUMN", help="The column of answers.")] = "answer",
    label: Annotated[str, typer.Option("--label", metavar="COLUMN", help="The column of labels.")] = "score",
    repeats: Annotated[int, typer.Option("--repeats", metavar="N", min=1, max=9, help="Votes on each answer.")] = 2,
    line: Annotated[float, typer.Option("--line", min=0, max=1, help="The score from which an answer is good.")] = 0.5,
    floor: Annotated[float, typer.Option("--floor", min=-1, max=1, help="The κ that a juror has to reach.")] = 0.4,
    sets: Sets = None,
    env_file: EnvFile = None,
    db: Database = None,
) -> int:
    """Hold each juror against labels of people: κ, confusion, distance, flips.

    Ends with 1 where a juror is under the floor: list it under `warn_only` of the jury, and its votes are shown without
    counting. Labels are 0 to 1, 0 to 100, or good and bad.
    """
    from promptprop.bootstrap.calibration import calibrate_jury, read_labelled
    from promptprop.bootstrap.configuration import database_url, load, open_database

    loaded = load(config, sets or [], {"database.url": db}, env_file)
    labelled = read_labelled(loaded, labels, answer, label)
    with contextlib.closing(open_database(database_url(None, loaded.config, loaded.environment))) as store:
        work = calibrate_jury(store, loaded, labelled, repeats, line, ticker(shell))
        reports, spend = asyncio.run(work)
    document: Json = {
        "answers": len(labelled),
        "repeats": repeats,
        "line": line,
        "floor": floor,
        "juries": [_json(report, floor) for report in reports],
        "calls": spend.total.calls,
        "hits": spend.hits,
    }

    def draw() -> Iterable[RenderableType]:
        yield f"{len(labelled)} labelled answers, {repeats} votes each; good from {line:g} on"
        for report in reports:
            yield ""
            yield from _drawn(report, floor)

    shell.show(document, draw)
    return MISSED if any(report.under(floor) for report in reports) else 0


def _json(report: CalibrationReport, floor: float) -> Json:
    flips = {record.name: record.flips for record in report.records}
    return {
        "metric": report.metric,
        "panel": _calibration_json(report.panel) if report.panel else None,
        "jurors": [{**_calibration_json(one), "flips": flips.get(one.name)} for one in report.jurors],
        "unjudged": report.unjudged,
        "under_floor": list(report.under(floor)),
    }


def _calibration_json(one: Calibration) -> dict[str, Json]:
    names = {True: "good", False: "bad"}
    confusion = {f"{names[person]}_{names[juror]}": count for (person, juror), count in sorted(one.confusion.items())}
    return {**asdict(one), "confusion": confusion}


def _drawn(report: CalibrationReport, floor: float) -> Iterable[RenderableType]:
    from promptprop.cli.drawing import table_of

    flips = {record.name: record.flips for record in report.records}
    panel = [report.panel] if report.panel else []
    rows = [_row(one, flips.get(one.name)) for one in [*panel, *report.jurors]]
    head = [report.metric, "n", "κ", "agree", "good→bad", "bad→good", "error", "bias", "ranks", "flips"]
    yield table_of(head, rows, right=tuple(range(1, 10)))
    if report.unjudged:
        yield f"{report.unjudged} answers had no score from this jury."
    under = report.under(floor)
    for one in report.jurors:
        if one.name in under:
            yield f"{one.name}: κ {one.kappa:.2f} is under the floor of {floor:g}"
    if under:
        yield f"→ set `warn_only: [{', '.join(under)}]` in the metric {report.metric}: votes are shown without counting"


def _row(one: Calibration, flips: float | None) -> Sequence[str]:
    return [
        one.name,
        f"{one.n}",
        f"{one.kappa:.2f}",
        f"{one.agreement:.0%}",
        f"{one.confusion.get((True, False), 0)}",
        f"{one.confusion.get((False, True), 0)}",
        f"{one.error:.2f}",
        f"{one.bias:+.2f}",
        "–" if one.correlation is None else f"{one.correlation:.2f}",
        "–" if flips is None else f"{flips:.0%}",
    ]
