"""Runs against the simulated world over HTTP: their configuration, how to run and resume them, and what to compare."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from world_server import question

import promptprop
from promptprop.bootstrap.assembly import build_engine
from promptprop.bootstrap.configuration import open_database
from promptprop.domain.report import Report, report_json
from promptprop.services.desk import Interventions

ROOT = Path(__file__).parents[2]
SMALL = {"rounds": 2, "children": 2, "shortlist": 1, "headroom_rows": 6, "evidence_rows": 12, "race_block": 10}
CONSOLE = "import sys; from promptprop.cli.main import main; sys.exit(main())"
PATIENCE = 240.0  # seconds that a child process may take on a slow machine before the test gives up on it
# what may differ between two runs that are the same; who looked at their sealed rows before is a fact of the database
FLEETING = ("run_id", "active_seconds", "paths", "notes", "earlier_looks")


def write_config(
    folder: Path, api_base: str, *, rows: int | None = None, name: str = "run.yaml", **changes: Any
) -> Path:
    """A small run of the support world at `api_base`, on its first `rows` rows; `changes` replace keys.

    The key `model` changes all three models alike.
    """
    data = ROOT / "datasets" / "support.jsonl"
    if rows is not None:
        lines = data.read_text(encoding="utf-8").splitlines(keepends=True)[:rows]
        data = folder / f"support-{rows}.jsonl"
        data.write_text("".join(lines), encoding="utf-8")
    model = {"api_base": api_base, "api_key": "loopback", "concurrency": 8, "retries": 4, "timeout": 30}
    model |= changes.pop("model", {})
    lengths = {"task": 64, "critic": 2048, "rewriter": 2048}
    config = {
        "version": 1,
        "name": "support-over-http",
        "task": "Route each customer message of an online shop to the one desk that has to deal with it.",
        "prompt": {"file": str(ROOT / "configs" / "prompts" / "support.md")},
        "data": {
            "file": str(data),
            "inputs": ["text"],
            "expected": "label",
            "id": "id",
            "cluster": "customer",
            "split": {"train": 0.2, "select": 0.4, "test": 0.4, "seed": 7},
        },
        "models": {role: {"model": f"openai/{role}", "max_tokens": most, **model} for role, most in lengths.items()},
        "metrics": [{"id": "label", "type": "exact"}],
        "optimizer": {"name": "backprop", "options": SMALL},
        "budget": {"calls": 5000},
        "max_error_rate": 0.1,
        "tracking": {"mlflow": False},
        **changes,
    }
    path = folder / name
    path.write_text(json.dumps(config, indent=1), encoding="utf-8")  # JSON is YAML
    return path


def database_in(folder: Path, name: str = "runs.db") -> str:
    """The URL of an SQLite database in this folder."""
    return f"sqlite:///{folder / name}"


async def optimize(config: Path, database: str, sets: Sequence[str] = ()) -> Report:
    """A whole run in this process."""
    return await promptprop.optimize_async(config, sets=sets, database=database)


async def resume(database: str, *, retry_errors: bool = False) -> Report:
    """Take up the latest run in this process, to its end."""
    store = open_database(database, must_exist=True)
    try:
        engine = build_engine(store, database, os.environ)
        return await engine.run(store.run("latest").id, interventions=Interventions(retry_errors=retry_errors))
    finally:
        store.close()


def comparable(report: Mapping[str, Any]) -> str:
    """A report's JSON without what may differ between two runs that are the same: ids, times and hits."""
    kept = {key: value for key, value in report.items() if key not in FLEETING}
    spend = kept["spend"]
    roles = [spend["total"], *spend["roles"].values()]
    hitless = [{key: value for key, value in role.items() if key != "hits"} for role in roles]
    return json.dumps({**kept, "spend": hitless}, sort_keys=True)


def comparable_report(report: Report) -> str:
    """As `comparable`, from a report itself."""
    return comparable(report_json(report))


def environment() -> dict[str, str]:
    """What a command line finds: nothing that is meant for the package."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PROMPTPROP_")}


def start(*arguments: str, folder: Path, program: Sequence[str] = ("-c", CONSOLE)) -> subprocess.Popen[str]:
    """A command line in a process of its own, with its output piped; `program` is what Python runs."""
    return subprocess.Popen(
        [sys.executable, *program, *arguments],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str], seconds: float = PATIENCE) -> tuple[int, str, str]:
    """Exit code, stdout and stderr; past `seconds` the process is killed and the test fails."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"the command did not end within {seconds:g} s\n{out[-2000:]}\n{err[-4000:]}") from None
    return process.returncode, out, err


def run(*arguments: str, folder: Path) -> tuple[int, str, str]:
    """A command line, to its end."""
    return end(start(*arguments, folder=folder))


def committed(file: Path) -> Counter[str]:
    """How many calls the database holds per question, as `world_server` names them."""
    with closing(sqlite3.connect(file)) as connection, connection:
        rows = connection.execute("SELECT model, request FROM calls").fetchall()
    connection.close()
    return Counter(question(model.partition("/")[2], json.loads(request)["messages"]) for model, request in rows)


def left_behind(file: Path) -> Counter[str]:
    """As `committed`, of a database whose process has died: read from a copy, so that recovery is left to the next one.

    Fails where SQLite finds the file damaged.
    """
    with tempfile.TemporaryDirectory() as folder:
        for part in (file, file.with_name(f"{file.name}-wal")):
            if part.exists():
                shutil.copy(part, folder)
        copy = Path(folder) / file.name
        assert integrity(copy) == "ok"
        return committed(copy)


def events_of(file: Path) -> list[tuple[str, str]]:
    """Kind and body of every event in a database of one run: all that replay would compare, and more."""
    with closing(sqlite3.connect(file)) as connection, connection:
        found = connection.execute("SELECT kind, body FROM events ORDER BY run_id, seq").fetchall()
    connection.close()
    return [(str(kind), str(body)) for kind, body in found]


def integrity(file: Path) -> str:
    """What SQLite says of the file: `ok`."""
    with closing(sqlite3.connect(file)) as connection, connection:
        (found,) = connection.execute("PRAGMA integrity_check").fetchone()
    connection.close()
    return str(found)
