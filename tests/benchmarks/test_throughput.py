"""What a call costs beyond the model: ledger, budget and store; and how fast a recorded run replays."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

import promptprop
from promptprop.adapters.models.endpoint import Endpoint
from promptprop.adapters.models.ledger import LedgerModels
from promptprop.adapters.models.limiter import Limiter
from promptprop.adapters.models.offline.client import OfflineClient
from promptprop.adapters.models.offline.worldfile import load_world
from promptprop.adapters.models.purse import Purse
from promptprop.adapters.storage.store import SqlStore, open_store
from promptprop.bootstrap.assembly import build_engine
from promptprop.bootstrap.configuration import SystemClock, open_database
from promptprop.domain.budget import Budget
from promptprop.domain.models import Attempts, Message, ModelRequest, Reply, Usage
from promptprop.ports import RunRow

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "configs" / "quickstart.yaml"
CALLS = 3000
COMMITS = 500
Note = Callable[[str, str, str], None]


@dataclass(frozen=True)
class Taken:
    """Wall and CPU seconds of some work."""

    wall: float
    cpu: float


async def timed(work: Callable[[], Awaitable[object]]) -> Taken:
    """Do the work and take its time."""
    wall, cpu = time.perf_counter(), time.process_time()
    await work()
    return Taken(time.perf_counter() - wall, time.process_time() - cpu)


def requests(count: int) -> list[ModelRequest]:
    """So many different task requests of the support world."""
    world = load_world(ROOT / "datasets" / "support.world.yaml")
    rows = [str(row.inputs["text"]) for row in world.rows.values()]
    prompt = (ROOT / "configs" / "prompts" / "support.md").read_text(encoding="utf-8")
    texts = [prompt.replace("{{ text }}", rows[number % len(rows)]) for number in range(count)]
    return [
        ModelRequest("task", "offline/task", (Message("user", text),), {"max_tokens": 64}, number // len(rows))
        for number, text in enumerate(texts)
    ]


async def store_with_run(folder: Path, run_id: str) -> SqlStore:
    """A fresh database that knows one run."""
    store = open_store(f"sqlite:///{folder / f'{run_id}.db'}")
    now = SystemClock().now()
    await store.create_run(RunRow(run_id, "bench", "optimize", "running", 1, now, now, {}, "none"))
    return store


@pytest.mark.bench
async def test_a_recorded_run_replays(tmp_path: Path, note: Note) -> None:
    file = tmp_path / "runs.db"
    url = f"sqlite:///{file}"
    options = ["patience=12", "children=12", "survivors=12", "screen_rows=12", "shortlist=6"]
    sets = ["tracking.mlflow=false", "budget.calls=20000", *(f"optimizer.options.{option}" for option in options)]
    first = await timed(lambda: promptprop.optimize_async(QUICKSTART, sets=sets, database=url))
    with (
        closing(sqlite3.connect(file)) as connection,
        connection,
    ):  # as if the process had died just before its last event
        (count,) = connection.execute("SELECT count(*) FROM calls").fetchone()
        connection.execute("DELETE FROM events WHERE kind = 'run_finished'")
        connection.execute("UPDATE runs SET status = 'running'")
    connection.close()
    store = open_database(url, must_exist=True)
    run = store.run("latest")
    again = await timed(lambda: build_engine(store, url, os.environ).run(run.id))
    history = build_engine(store, url, os.environ).history(run.id)
    store.close()
    assert history.finished
    assert count >= 2000
    assert history.spend.total.calls == count
    note(
        "first execution, offline model", f"{count / first.wall:,.0f} calls/s", f"{count:,} calls in {first.wall:.1f} s"
    )
    note(
        "replay of that run from its record",
        f"{count / again.wall:,.0f} calls/s",
        f"{again.wall:.1f} s, {first.wall / again.wall:.1f} × as fast; scores, search and proof are computed again",
    )


@pytest.mark.bench
async def test_ledger_budget_and_store_around_a_call(tmp_path: Path, note: Note) -> None:
    asked = requests(CALLS)
    client = OfflineClient(load_world(ROOT / "datasets" / "support.world.yaml"), "task")
    await client.complete(asked[0], 60.0)  # its indexes are made once

    async def directly() -> None:
        for request in asked:
            await client.complete(request, 60.0)

    bare = await timed(directly)
    store = await store_with_run(tmp_path, "overhead")
    endpoint = Endpoint("task", "offline/task", client, Limiter(32), max_tokens=64, price=client.price())
    budget = Budget(calls=10 * CALLS, tokens=10**9)
    ledger = LedgerModels(store, "overhead", Purse(budget), {"task": endpoint})

    async def through(models: LedgerModels) -> None:
        answered = [outcome async for outcome in models.complete_all(asked) if outcome.reply is not None]
        assert len(answered) == CALLS

    guarded = await timed(lambda: through(ledger))
    hits = LedgerModels(store, "overhead", Purse(budget), {"task": endpoint})
    recorded = await timed(lambda: through(hits))
    store.close()
    extra_wall, extra_cpu = ((a - b) / CALLS * 1e6 for a, b in ((guarded.wall, bare.wall), (guarded.cpu, bare.cpu)))
    note("offline model, called directly", f"{bare.wall / CALLS * 1e6:.0f} µs/call", f"{CALLS:,} calls, one by one")
    note(
        "the same through ledger, budget and store",
        f"{guarded.wall / CALLS * 1e6:.0f} µs/call",
        f"adds {extra_wall:.0f} µs wall, {extra_cpu:.0f} µs CPU; each answer committed before it is used",
    )
    note("the same from the record", f"{recorded.wall / CALLS * 1e6:.0f} µs/call", "a point read each, no model")


@pytest.mark.bench
async def test_commits_of_the_writer_and_point_reads(tmp_path: Path, note: Note) -> None:
    store = await store_with_run(tmp_path, "commits")
    reply = Reply("yes", Usage(200, 5), 10**6, "stop", "m")
    asked = [ModelRequest("task", "m", (Message("user", f"{n}: {'x' * 800}"),)) for n in range(11 * COMMITS)]

    async def record(request: ModelRequest) -> None:
        await store.record_call("commits", request, reply, Attempts())

    async def singly() -> None:
        for request in asked[:COMMITS]:
            await record(request)

    async def at_once() -> None:
        await asyncio.gather(*(record(request) for request in asked[COMMITS:]))

    async def by_many() -> None:
        """64 at a time, as answers arrive in a run."""
        rest = iter(ModelRequest("task", "m", one.messages, replicate=1) for one in asked)

        async def one_after_another() -> None:
            for request in rest:
                await record(request)

        await asyncio.gather(*(one_after_another() for _ in range(64)))

    async def reads() -> None:
        assert all(store.find_call("commits", request.key) for request in asked)

    single, batched = await timed(singly), await timed(at_once)
    async with lags() as seen:
        flowing = await timed(by_many)
    read = await timed(reads)
    assert store.cache_stats().held.calls == 22 * COMMITS
    store.close()
    late = sorted(seen)[int(0.99 * len(seen))]
    note("writer: one call a commit", f"{COMMITS / single.wall:,.0f} commits/s", "synchronous=FULL, two rows a call")
    note("writer: calls that arrive together", f"{10 * COMMITS / batched.wall:,.0f} calls/s", "up to 500 a commit")
    note(
        "writer: 64 that wait for their commits",
        f"{11 * COMMITS / flowing.wall:,.0f} calls/s",
        f"event loop late by {late * 1000:.1f} ms at the 99th percentile, {max(seen) * 1000:.1f} at most",
    )
    note("ledger: point reads", f"{len(asked) / read.wall:,.0f} reads/s", "on the event loop's own connection")


@asynccontextmanager
async def lags() -> AsyncIterator[list[float]]:
    """Seconds by which the event loop woke a sleeper too late, every 2 ms while the block runs."""
    seen: list[float] = []

    async def sleep_again() -> None:
        while True:
            due = time.perf_counter() + 0.002
            await asyncio.sleep(0.002)
            seen.append(time.perf_counter() - due)

    sleeper = asyncio.create_task(sleep_again())
    try:
        yield seen
    finally:
        sleeper.cancel()
        await asyncio.gather(sleeper, return_exceptions=True)
