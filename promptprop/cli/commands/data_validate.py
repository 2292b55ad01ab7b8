"""`promptprop data validate`: what is wrong with the rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from promptprop.cli.findings import FOUND, FormatName, annotation, headline, shell_for
from promptprop.cli.options import ConfigPath, Database, EnvFile, ExitZero, Sets
from promptprop.cli.shell import Shell
from promptprop.domain.models import Json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from promptprop.adapters.files.config import LoadedConfig
    from promptprop.services.data_checks import DataFinding


def validate_data(
    shell: Shell,
    config: ConfigPath,
    format_: FormatName = "text",
    exit_zero: ExitZero = False,
    sets: Sets = None,
    env_file: EnvFile = None,
    db: Database = None,
) -> int:
    """Look for duplicates, contradictions, leaks between splits, odd labels.

    Free. Ends with 1 where an error or a warning is found; notes alone end with 0. Labels that earlier runs of this
    name suspected are named, too.
    """
    from promptprop.bootstrap.configuration import load
    from promptprop.bootstrap.data import findings_json, rows_of, suspects_of
    from promptprop.services.data_checks import check_rows, rule_of

    shell = shell_for(shell, format_)
    loaded = load(config, sets or [], {"database.url": db}, env_file)
    rows = replace(rows_of(loaded), suspects=suspects_of(loaded))
    found = check_rows(rows)
    document: Json = {"rows": len(rows.examples), "findings": findings_json(found)}
    shell.show(
        document,
        lambda: _drawn(len(rows.examples), found),
        annotations=lambda: _annotations(found, _file(loaded)),
    )
    grave = any(rule_of(one).severity != "note" for one in found)
    return FOUND if grave and not exit_zero else 0


def _file(loaded: LoadedConfig) -> str:
    """The file that findings are about: the configuration, where the rows do not come from one file of their own."""
    file = loaded.config.data.file
    return str(loaded.path if file in (None, "-") else file)


def _annotations(found: Sequence[DataFinding], file: str) -> str:
    """Rows are named in the message: where they stand in their file is not known any more."""
    from promptprop.services.data_checks import rule_of

    said = [f"{one.message}: {_rows(one)}" if one.rows else one.message for one in found]
    return "".join(annotation(rule_of(one), message, file) for one, message in zip(found, said, strict=True))


def _rows(finding: DataFinding) -> str:
    more = f" and {finding.count - len(finding.rows)} more" if finding.count > len(finding.rows) else ""
    return "; ".join(finding.rows) + more


def _drawn(total: int, found: list[DataFinding]) -> Iterable[RenderableType]:
    from rich.text import Text

    from promptprop.adapters.files.report_words import counted
    from promptprop.cli.plain import one_line
    from promptprop.services.data_checks import rule_of

    for one in found:
        yield headline(rule_of(one), one.message)
        if one.rows:
            yield Text(f"      {one_line(_rows(one))}", style="dim")
        yield f"    → {one_line(one.remedy)}"
    yield (
        f"{counted(total, 'row')}, {counted(len(found), 'finding')}"
        if found
        else f"{counted(total, 'row')}, nothing found"
    )
