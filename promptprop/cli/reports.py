"""The report of a stored run, with the files that it left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from promptprop.bootstrap.outputs import run_folder
from promptprop.domain.report import Report
from promptprop.ports import RunRow

if TYPE_CHECKING:
    from promptprop.adapters.storage.store import SqlStore

FILES = {"prompt": "prompt.md", "report": "report.md", "result": "result.json"}


def report_of_run(store: SqlStore, run: RunRow) -> tuple[Report, dict[str, str]]:
    """The report as of now, and the paths of those of its files that are there."""
    from promptprop.bootstrap.configuration import SystemClock
    from promptprop.services.engine import Engine

    engine = Engine(store, SystemClock(), _never, _never)  # type: ignore[arg-type]  # it reports and runs nothing
    folder = run_folder(run)
    there = {name: str(folder / file) for name, file in FILES.items() if (folder / file).is_file()}
    return engine.report(run.id), {"folder": str(folder), **there} if there else {}


def _never(_run: object) -> object:
    raise AssertionError("a report runs nothing")
