"""`promptprop data import`: rows of other tools as rows of ours."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from promptprop.cli.plain import safe
from promptprop.cli.shell import Shell

if TYPE_CHECKING:
    from promptprop.adapters.files.imported import Imported

PLAIN = re.compile(r"[^\W\d](?:[\w./ -]*\w)?|[./][\w./-]*\w")  # texts that need no quotes


def import_data(
    shell: Shell,
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="A file or a folder.", show_default=False)],
    kind: Annotated[
        Optional[str],  # noqa: UP045 - typer reads it on Python 3.10
        typer.Option("--as", metavar="KIND", help="hf, promptfoo, openai-evals or csv.", show_default=False),
    ] = None,
) -> None:
    """Turn rows of other tools into JSON Lines: to stdout, or to the file of -o.

    Knows datasets of Hugging Face that `save_to_disk` wrote, tests of promptfoo, samples of OpenAI evals, and CSV. What
    rows cannot say, such as an assertion in JavaScript, is counted and told.
    """
    from promptprop.adapters.files.importers import import_rows

    found = import_rows(source, kind)
    if shell.json:
        shell.write_json(
            {
                "kind": found.kind,
                "inputs": list(found.inputs),
                "left_out": dict(found.left_out),
                "renamed": dict(found.renamed),
                "gaps": found.gaps,
                "rows": found.rows,
            }
        )
        return
    shell.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found.rows))
    for line in _told(found, shell.output):
        shell.note(safe(line))


def _told(found: Imported, file: Path | None) -> list[str]:
    """What was found and left out, and how a configuration names the columns."""
    from promptprop.adapters.files.report_words import counted

    columns = {name for row in found.rows for name in row}
    total = counted(len(found.rows), "row")
    optional = [name for name in ("expected", "hard_negatives") if name in columns]
    named = ", ".join(f"{name}: {name}" for name in ("id", *optional))
    split = ", split: {column: split}" if all("split" in row for row in found.rows) else ""
    lines = [f"{total} of {found.kind}"]
    lines += [f"renamed: the input {name} is {other} here" for name, other in found.renamed.items()]
    lines += [
        f"{name} is missing in {count} of {total}: fill it in, or drop them" for name, count in found.gaps.items()
    ]
    lines += [f"left out: {what}, {counted(count, 'time')}" for what, count in found.left_out.most_common(10)]
    if "criteria" in columns:
        lines.append(
            "criteria of single rows are kept in the column `criteria`: list it under inputs to show it to jurors"
        )
    inputs = ", ".join(map(_scalar, found.inputs))
    lines.append(f"data: {{file: {_scalar(str(file or 'FILE'))}, inputs: [{inputs}], {named}{split}}}")
    return lines


def _scalar(text: str) -> str:
    """A text as YAML takes it inside of brackets: in quotes where it would be read as something else."""
    from promptprop.adapters.files.yaml_strict import parse_scalar

    plain = PLAIN.fullmatch(text) and parse_scalar(text) == text
    return text if plain else json.dumps(text, ensure_ascii=False)
