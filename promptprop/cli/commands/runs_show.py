"""`promptprop runs show`: a run's history, and what it found."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from promptprop.bootstrap.references import existing_run
from promptprop.cli.options import By, Database, EnvFile, RunReference, kinds_of
from promptprop.cli.shell import Shell

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from promptprop.adapters.storage.store import SqlStore
    from promptprop.cli.running import Detail
    from promptprop.domain.report import Report
    from promptprop.ports import RunRow


BESIDE = {  # runs that are none of a prompt, and what shows what came of them
    "calibrate": "Votes of jurors on labelled answers: `promptprop judge calibrate` shows them, now for free.",
    "synthesize": "Rows that a model invented: `promptprop data review` shows them.",
    "lint": "A model's remarks on a prompt: `promptprop lint --model` shows them, now for free.",
}


def show_run(
    shell: Shell,
    run: RunReference,
    jury: Annotated[bool, typer.Option("--jury", help="How each juror votes, beside the others.")] = False,
    rubric: Annotated[bool, typer.Option("--rubric", help="The drafted criteria, and what each came to.")] = False,
    classes: Annotated[bool, typer.Option("--classes", help="Precision, recall and F1 of each label.")] = False,
    by: By = None,
    env_file: EnvFile = None,
    db: Database = None,
) -> None:
    """Show a run and what became of each candidate.

    Bias and noise of a juror are its distance from the others on the same answers; flips are answers that it judged
    more than once and put on both sides of the line; length and order tell what these do to its votes.
    """
    from promptprop.adapters.files.report_markdown import render_markdown
    from promptprop.cli import judging
    from promptprop.cli.reports import report_of_run
    from promptprop.cli.running import opened
    from promptprop.domain.report import report_json
    from promptprop.services.judging import newest

    kinds = kinds_of(by)
    with contextlib.closing(opened(db, env_file)) as store:
        row = existing_run(store, run)
        report, paths = report_of_run(store, row)
        evaluations = newest(store.evaluations(row.id)) if jury or rubric or classes else []
        records = judging.jury_of_run(evaluations) if jury else ()
        drafted = judging.rubric_of_run(store, report, evaluations) if rubric else None
        labels = judging.classes_of_run(store, row, report, evaluations) if classes else {}
        check = _check_of(store, row, report) if report.history.looks else None

    def draw() -> Iterable[RenderableType]:
        from promptprop.cli.candidates import candidate_table
        from promptprop.cli.drawing import FILE_WIDTH
        from promptprop.cli.summary import summary_parts

        parts: list[RenderableType] = [_head(report.history.name, row), ""]
        if row.activity in BESIDE:
            return [*parts, BESIDE[row.activity]]
        if jury or rubric or classes:
            parts += judging.draw_jury(records) if jury else []
            parts += ["", *judging.draw_rubric(drafted)] if rubric else []
            return [*parts, "", *judging.draw_classes(labels)] if classes else parts
        if check is not None:
            return [*parts, *check.parts()]
        if report.history.activity == "optimize" and report.history.candidates:
            parts += [candidate_table(report.history, FILE_WIDTH if shell.output else shell.width()), ""]
        return [*parts, *summary_parts(report, paths, db=db or "", by=kinds)]

    document = {
        **report_json(report, paths),
        **({"jury": judging.jury_json(records)} if jury else {}),
        **({"rubric": judging.rubric_json(drafted)} if rubric else {}),
        **({"classes": judging.classes_json(labels)} if classes else {}),
        **(check.document if check else {}),
    }
    shell.show(document, draw, check.markdown if check else lambda: render_markdown(report, kinds))


def _check_of(store: SqlStore, run: RunRow, report: Report) -> Detail:
    """What a check came to, as it was told when it ended."""
    from promptprop.bootstrap.gate_document import document_of, facts_of, markdown_of
    from promptprop.bootstrap.gates import gate_report
    from promptprop.cli import gates
    from promptprop.cli.running import Detail

    gate = gate_report(store, run, report.history)
    told = document_of(gate)
    return Detail(
        {"check": told},
        lambda: gates.gate_parts(gate, told),
        lambda: markdown_of(told, facts_of(gate)),
    )


def _head(name: str, row: RunRow) -> Text:
    from rich.text import Text

    return Text.assemble((name, "bold"), f"  {row.activity} · run {row.id} · {row.status}")
