"""The one table that all benchmarks fill; printed when the last one is done, and written as JSON where asked."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent))

JSON_FLAG = "--bench-json"


@dataclass(frozen=True)
class Line:
    """A row of the table; ratios are to the floor of the same run. `figures` holds the numbers behind the text."""

    what: str
    value: str
    ratio: str
    cpu: str
    cpu_ratio: str
    compared: str
    figures: dict[str, float]


class Notebook:
    """Collects the rows."""

    def __init__(self) -> None:
        """Nothing measured yet."""
        self.lines: list[Line] = []

    def __call__(
        self,
        what: str,
        value: str,
        compared: str = "",
        *,
        calls: tuple[str, str, str] = ("", "", ""),
        figures: dict[str, float] | None = None,
    ) -> None:
        """Add what was measured, the value with its unit, and what it is compared with.

        `calls` are, for contenders, the ratio of calls a second, CPU ms a call, and their ratio.
        """
        self.lines.append(Line(what, value, *calls, compared, figures or {}))

    def table(self) -> Table:
        """All rows; columns that only contenders fill are left out where there are none."""
        table = Table(title=f"Speed ({machine()})", title_justify="left")
        table.add_column("what")
        table.add_column("value", justify="right")
        contested = any(line.cpu for line in self.lines)
        for title in ("× aiohttp", "CPU ms a call", "× aiohttp") if contested else ():
            table.add_column(title, justify="right")
        table.add_column("compared")
        for line in self.lines:
            middle = (line.ratio, line.cpu, line.cpu_ratio) if contested else ()
            table.add_row(line.what, line.value, *middle, line.compared)
        return table

    def as_json(self) -> dict[str, Any]:
        """The rows and what they were measured on, as plain values."""
        return {"machine": machine(), "rows": [asdict(line) for line in self.lines]}


def machine() -> str:
    """What the figures depend on most."""
    return f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {os.cpu_count()} cores"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where to write the figures."""
    parser.addoption(JSON_FLAG, default=None, metavar="FILE", help="write the benchmarks' table to FILE as JSON, too")


@pytest.fixture(scope="session")
def note(pytestconfig: pytest.Config) -> Iterator[Notebook]:
    """The notebook of this session: call it to add a row."""
    notebook = Notebook()
    yield notebook
    console = Console(width=150)
    console.print()
    console.print(notebook.table())
    if asked := pytestconfig.getoption(JSON_FLAG, default=None):
        Path(asked).write_text(json.dumps(notebook.as_json(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
