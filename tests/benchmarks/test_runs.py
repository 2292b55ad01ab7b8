"""Whole runs in processes of their own: how fast a record of 20,000 calls replays, and what 100,000 rows need.

Commands run on the shipped command line with a stopwatch inside; models answer at once, over a loopback socket.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from commands import command_seconds
from lean_server import LeanServer
from stopwatch import Measures
from workload import write_run

HITS = int(os.environ.get("PROMPTPROP_BENCH_HITS", "20000"))
REPEATS = 10
MANY = int(os.environ.get("PROMPTPROP_BENCH_MANY_ROWS", "100000"))
MOST_MIB = 400


def measured(folder: Path, name: str, *arguments: str) -> tuple[float, Measures]:
    """Wall seconds of a whole command, and what its stopwatch says."""
    file = folder / f"{name}.json"
    wall = command_seconds(file, [*arguments, "--json", "-q"])
    return wall, json.loads(file.read_text(encoding="utf-8"))


def unfinish(database: Path, keep_evaluations: bool) -> str:
    """Make the only run look as if its process had died just before its last event; returns its id."""
    with closing(sqlite3.connect(database)) as connection, connection:
        (run_id,) = connection.execute("SELECT id FROM runs").fetchone()
        if not keep_evaluations:
            connection.execute("DELETE FROM evaluations")
        last = "DELETE FROM events WHERE kind = 'run_finished'"
        connection.execute(last if keep_evaluations else last.replace("= 'run_finished'", "<> 'run_started'"))
        connection.execute("UPDATE runs SET status = 'running'")
    return str(run_id)


@pytest.mark.bench
def test_a_record_of_many_calls_replays(tmp_path: Path, note: Callable[..., None]) -> None:
    file = tmp_path / "runs.db"
    database = ("--db", f"sqlite:///{file}")
    with LeanServer() as server:
        config = write_run(tmp_path, server.url, HITS // REPEATS, "http")
        sent = ("eval", str(config), "--repeats", str(REPEATS), *database)
        wall, taken = measured(tmp_path, "first", *sent)
        assert server.served() == HITS
        report_times(note, f"{HITS:,} calls made for the first time", wall, taken)
        for name, keep_evaluations in (("all recorded", True), ("calls recorded, scored anew", False)):
            run_id = unfinish(file, keep_evaluations)
            wall, taken = measured(tmp_path, "again", "runs", "resume", run_id, *database)
            report_times(note, f"{HITS:,} hits of a stopped run, {name}", wall, taken)
        wall, taken = measured(tmp_path, "other", *sent)
        report_times(note, f"{HITS:,} hits of another run's calls", wall, taken)
        assert server.served() == HITS


def report_times(note: Callable[..., None], what: str, wall: float, taken: Measures) -> None:
    """A row of the table for a whole command of HITS calls."""
    engine = taken["engine_wall"]
    compared = f"{wall:.2f} s with start-up; {HITS / engine:,.0f}/s, {taken['peak_mib']:.0f} MiB at most"
    note(what, f"{engine:.2f} s", compared, figures={"command_seconds": wall, **taken})


@pytest.mark.bench
def test_memory_and_speed_of_a_very_large_dataset(tmp_path: Path, note: Callable[..., None]) -> None:
    with LeanServer() as server:
        config = write_run(tmp_path, server.url, MANY, "http")
        wall, taken = measured(tmp_path, "many", "eval", str(config), "--db", f"sqlite:///{tmp_path / 'many.db'}")
        assert server.served() == MANY
    compared = f"{MANY / wall:,.0f} rows/s in {wall:.0f} s all in, model without latency; the aim is ≤ {MOST_MIB} MiB"
    note(
        f"memory: `eval` of {MANY:,} rows", f"{taken['peak_mib']:.0f} MiB", compared, figures={"seconds": wall, **taken}
    )
