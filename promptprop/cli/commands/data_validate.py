"""`promptprop data validate`: what is wrong with the rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from promptprop.cli.findings import FOUND
from promptprop.cli.options import ConfigPath, Database, EnvFile, ExitZero, Sets
from promptprop.cli.shell import Shell
from promptprop.domain.models import Json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from promptprop.services.data_checks import DataFinding


def validate_data(
    shell: Shell,
    config: ConfigPath,
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
    from promptprop.bootstrap.data import rows_of, suspects_of
    from promptprop.services.data_checks import check_rows, rule_of

    loaded = load(config, sets or [], {"database.url": db}, env_file)
    rows = replace(rows_of(loaded), suspects=suspects_of(loaded))
    found = check_rows(rows)
    document: Json = {
        "rows": len(rows.examples),
        "findings": [
            {
                "id": one.id,
                "name": rule_of(one).name,
                "severity": rule_of(one).severity,
                "message": one.message,
                "rows": list(one.rows),
                "count": one.count,
                "remedy": one.remedy,
                "why": rule_of(one).why,
            }
            for one in found
        ],
    }
    shell.show(document, lambda: _drawn(len(rows.examples), found))
    grave = any(rule_of(one).severity != "note" for one in found)
    return FOUND if grave and not exit_zero else 0


def _drawn(total: int, found: list[DataFinding]) -> Iterable[RenderableType]:
    from rich.text import Text

    from promptprop.adapters.files.report_words import counted
    from promptprop.cli.findings import headline
    from promptprop.cli.plain import one_line
    from promptprop.services.data_checks import rule_of

    for one in found:
        yield headline(rule_of(one), one.message)
        if one.rows:
            more = f" and {one.count - len(one.rows)} more" if one.count > len(one.rows) else ""
            yield Text(f"      {one_line('; '.join(one.rows))}{more}", style="dim")
        yield f"    → {one_line(one.remedy)}"
    yield (
        f"{counted(total, 'row')}, {counted(len(found), 'finding')}"
        if found
        else f"{counted(total, 'row')}, nothing found"
    )
