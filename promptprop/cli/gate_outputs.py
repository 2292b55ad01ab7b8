"""Where the report of a check goes: stdout in the format asked for, files by their suffix, the summary of a CI step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from promptprop.cli.options import chosen_format
from promptprop.cli.shell import Format, Shell
from promptprop.domain.errors import UsageError
from promptprop.domain.models import Json

if TYPE_CHECKING:
    from promptprop.bootstrap.gates import GateReport, Outlook

FORMATS: tuple[Format, ...] = ("text", "json", "md", "junit", "github")
FormatName = Annotated[
    str, typer.Option("--format", metavar="FORMAT", help="text, json, md, junit or github.", show_default=False)
]
SUFFIXES: dict[str, Format] = {".json": "json", ".md": "md", ".xml": "junit"}
OPEN_LEVELS = {"fail": "error", "warn": "warning", "pass": "notice"}
ANNOTATIONS = 10  # that GitHub shows of a step
PART = 300  # characters of a text in an annotation
OutFiles = Annotated[
    Optional[list[Path]],  # noqa: UP045 - typer reads it on Python 3.10
    typer.Option("--out", metavar="FILE", help="Also write the report: .json, .md or .xml (JUnit); repeatable."),
]


def shell_for(shell: Shell, format_: str, files: Sequence[Path]) -> Shell:
    """The shell of a check with its own --format. Tells in time which files cannot be written: before a check costs.

    Raises UsageError, NotWritable.
    """
    from promptprop.adapters.files.writing import require_folder

    for file in files:
        if file.suffix.lower() not in SUFFIXES:
            raise UsageError(
                f"--out {file}: the suffix does not tell the format", remedy=f"use one of {', '.join(SUFFIXES)}"
            )
        require_folder(file)
    named = [file.resolve() for file in [*files, *([shell.output] if shell.output else [])]]
    if twice := next((file for file in named if named.count(file) > 1), None):
        raise UsageError(f"{twice.name} is named twice", remedy="give each output a file of its own")
    return replace(shell, format=chosen_format(format_, FORMATS, as_json=shell.json))


def call_of(config: Path, split: str, sets: Sequence[str] | None, env_file: Path | None, db: str | None) -> Json:
    """How a check is called, as the run remembers it: without secrets, for it is shown in reports."""
    from promptprop.adapters.logs import redact_value
    from promptprop.services.again import Call

    call = Call(str(config), split, tuple(sets or ()), str(env_file) if env_file else None, db)
    return redact_value(call.as_json())


def show_report(shell: Shell, report: GateReport, outlook: Outlook | None, files: Sequence[Path] = ()) -> None:
    """Give the report everywhere; stdout gets it even where a file cannot be written. Raises NotWritable."""
    from promptprop.adapters.files.step_summary import add_to_summary
    from promptprop.bootstrap.gate_document import document_of, facts_of, junit_of, markdown_of
    from promptprop.cli import gates

    document, facts = document_of(report, outlook), facts_of(report)

    def show(one: Shell) -> None:
        one.show(
            document,
            lambda: gates.gate_parts(report, document),
            lambda: markdown_of(document, facts),
            lambda: annotations_of(document),
            lambda: junit_of(document, facts),
        )

    if problem := add_to_summary(lambda room: markdown_of(document, facts, room)):
        shell.note(f"warning: {problem}")
    try:
        for file in files:
            show(replace(shell, format=SUFFIXES[file.suffix.lower()], output=file))
    finally:
        show(shell)


def annotations_of(document: Json) -> str:
    """For `--format github`: the verdict at the first changed line, then the rows that are worst at theirs."""
    from promptprop.adapters.files.gate_words import change_words, row_words, rows_failed
    from promptprop.adapters.files.report_words import shortened
    from promptprop.bootstrap.gate_document import abridged
    from promptprop.cli.findings import workflow_command
    from promptprop.domain.models import text_of

    document = abridged(document, ANNOTATIONS, 0)
    verdict, file = document["verdict"], document["file"]
    line = next((one["line"] for one in document["changes"] if one["line"]), 0)
    level = {"PASS": "notice", "FAIL": "error", "INCONCLUSIVE": OPEN_LEVELS[document["inconclusive"]]}[verdict]
    commands = [workflow_command(level, f"promptprop check {document['name']}", document["sentence"], file, line)]
    failing = [*document["critical_rows"], *(document["worse"] if rows_failed(document) else [])]
    for row in [row for row in failing if row is not None][: ANNOTATIONS - 1]:
        tally = (
            f"{row['before']:.2f} → {row['after']:.2f}" if "before" in row else f"{row['passed']} of {row['answers']}"
        )
        said = {
            "expected": "" if row["expected"] is None else text_of(row["expected"]),
            "baseline": row.get("baseline_answer", ""),
            "candidate": row.get("candidate_answer", row.get("answer", "")),
            "why": row["said"],
        }
        lines = [f"{tally}: {row_words(row['inputs'])}"]
        lines += [f"{name}: {shortened(text, PART)}" for name, text in said.items() if text]
        near = row.get("changed")
        lines += [shortened(change_words(near), PART), row["command"]] if near else [row["command"]]
        place = (near["file"], near["line"]) if near and near["line"] else (file, line)
        commands.append(workflow_command("warning", f"row {row['row']}", "\n".join(lines), *place))
    return "".join(commands)
