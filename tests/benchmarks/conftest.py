"""The one table that all benchmarks fill; printed when the last one is done."""

from __future__ import annotations

import os
import platform
import sqlite3
from collections.abc import Callable, Iterator

import pytest
from rich.console import Console
from rich.table import Table

Note = Callable[[str, str, str], None]


@pytest.fixture(scope="session")
def note() -> Iterator[Note]:
    """Add a row: what was measured, the value with its unit, and what it is compared with."""
    rows: list[tuple[str, str, str]] = []

    def add(what: str, value: str, compared: str = "") -> None:
        rows.append((what, value, compared))

    yield add
    machine = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {os.cpu_count()} cores"
    table = Table(title=f"Speed ({machine})", title_justify="left")
    table.add_column("what")
    table.add_column("value", justify="right")
    table.add_column("compared")
    for row in rows:
        table.add_row(*row)
    console = Console(width=120)
    console.print()
    console.print(table)
