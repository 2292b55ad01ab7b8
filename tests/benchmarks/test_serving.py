"""`promptprop serve`: how soon it is ready, and how long reads take beside 10,000 stored runs and one that goes on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sqlite3
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import aiohttp
import pytest
from server_process import ServerProcess, project

RUNS = 10_000
WHOLE = 200  # of them with evaluations, too
TIMES = 400
STARTS = 7
RATE, SECONDS = 100, float(os.environ.get("PROMPTPROP_LOAD_SECONDS", "60"))
Note = Callable[[str, str, str], None]
pytestmark = pytest.mark.bench


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def said(values: Sequence[float]) -> str:
    """Median, p95 and p99 in milliseconds."""
    parts = (statistics.median(values), percentile(values, 0.95), percentile(values, 0.99))
    return " / ".join(f"{1000 * part:.1f}" for part in parts) + " ms"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose database holds 10,000 copies of a real optimization."""
    folder = project(tmp_path_factory.mktemp("served"))
    with ServerProcess(folder) as server, server.http() as http:
        run_id = server.begin(http, optimizer={"name": "backprop", "options": {"rounds": 6}})
        assert server.ended(http, run_id)["status"] == "finished"
    with contextlib.closing(sqlite3.connect(folder / ".promptprop" / "promptprop.db")) as database:
        multiply(database, run_id)
    return folder


def multiply(database: sqlite3.Connection, run_id: str) -> None:
    """Copy a run with its events and candidates, and for some of the copies with its evaluations and calls."""
    chance = random.Random(7)
    copies = [f"{chance.getrandbits(128):032x}" for _ in range(RUNS - 1)]
    database.execute("CREATE TEMP TABLE copies (id TEXT, hour INTEGER)")
    database.executemany("INSERT INTO copies VALUES (?, ?)", [(copy, hour) for hour, copy in enumerate(copies)])
    for table, own, wanted in (
        ("runs", ("id", "created_at"), RUNS),
        ("events", ("run_id",), RUNS),
        ("candidates", ("id", "run_id"), RUNS),
        ("evaluations", ("id", "run_id"), WHOLE),
        ("run_calls", ("run_id",), WHOLE),
    ):
        names = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
        kept = [name for name in names if name not in own]
        new = {
            "id": "copies.id",
            "run_id": "copies.id",
            "created_at": "datetime('2020-01-01', copies.hour || ' hours')",
        }
        fresh = [name for name in own if not (name == "id" and table != "runs")]
        columns = ", ".join([*fresh, *kept])
        values = ", ".join([*(new[name] for name in fresh), *(f"t.{name}" for name in kept)])
        which = "t.id" if table == "runs" else "t.run_id"
        database.execute(
            f"INSERT INTO {table} ({columns}) SELECT {values} FROM copies, {table} t "
            f"WHERE {which} = ? AND copies.rowid <= ?",
            (run_id, wanted),
        )
    database.commit()
    database.execute("ANALYZE")
    database.commit()


def test_from_start_to_ready(served: Path, note: Note) -> None:
    taken = []
    for _ in range(STARTS):
        began = time.perf_counter()
        with ServerProcess(served) as server, server.http() as http:
            assert http.get("/readyz").json()["status"] == "ready"
            taken.append(time.perf_counter() - began)
    note("serve: from start to /readyz", f"{statistics.median(taken):.2f} s", f"at most {max(taken):.2f} of {STARTS}")
    assert len(taken) == STARTS


def test_lists_and_details_beside_ten_thousand_runs(served: Path, note: Note) -> None:
    chance = random.Random(1)
    with ServerProcess(served, "--workers", "0") as server, server.http() as http:
        pages, cursor = [], None
        for _ in range(RUNS // 500):
            page = http.get("/api/v1/runs", params={"limit": 500, **({"cursor": cursor} if cursor else {})}).json()
            pages.append(cursor)
            ids = [one["run_id"] for one in page["items"]]
            cursor = page["next_cursor"]
        reads = {
            "the first page of 50": lambda: "/api/v1/runs",
            "a page somewhere": lambda: f"/api/v1/runs?cursor={chance.choice(pages[1:])}",
            "a page of one status": lambda: "/api/v1/runs?status=finished",
            "a run": lambda: f"/api/v1/runs/{chance.choice(ids[-WHOLE // 2 :])}",
        }
        for name, path in reads.items():
            taken = []
            for _ in range(TIMES):
                began = time.perf_counter()
                assert http.get(path()).status_code == 200
                taken.append(time.perf_counter() - began)
            note(f"serve: {name}, {RUNS:,} runs stored", said(taken), f"median / p95 / p99 of {TIMES}, one at a time")
            assert len(taken) == TIMES


async def test_reads_while_a_run_goes_on(served: Path, note: Note) -> None:
    with ServerProcess(served) as server, server.http() as http:
        busy = server.begin(http, optimizer={"name": "backprop", "options": {"rounds": 200}}, budget={"calls": 10**6})
        ids = [one["run_id"] for one in http.get("/api/v1/runs").json()["items"]]
        chance = random.Random(2)
        paths = [
            lambda: "/api/v1/runs",
            lambda: f"/api/v1/runs/{chance.choice(ids)}",
            lambda: f"/api/v1/runs/{busy}/history?limit=50",
        ]
        taken: list[float] = []
        for _ in range(300):  # the first reads load what they need, and make reports of runs that are over
            assert http.get(chance.choice(paths)()).status_code == 200

        async def read(session: aiohttp.ClientSession, path: str) -> None:
            began = time.perf_counter()
            async with session.get(server.url + path) as answer:
                await answer.read()
                assert answer.status == 200, await answer.text()
            taken.append(time.perf_counter() - began)

        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            began, tasks = time.perf_counter(), []
            for number in range(int(RATE * SECONDS)):  # by the clock, whether answers have come or not
                await asyncio.sleep(max(0.0, began + number / RATE - time.perf_counter()))
                tasks.append(asyncio.create_task(read(session, chance.choice(paths)())))
            await asyncio.gather(*tasks)
        status = http.get(f"/api/v1/runs/{busy}").json()["status"]
        http.post(f"/api/v1/runs/{busy}/cancel")
    note(
        f"serve: {RATE} reads/s for {SECONDS:.0f} s, a run beside them",
        said(taken),
        f"median / p95 / p99; it is {status}",
    )
    assert len(taken) == int(RATE * SECONDS)
