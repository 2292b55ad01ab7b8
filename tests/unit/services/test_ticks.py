from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import pytest

from promptprop.domain.budget import Spend
from promptprop.domain.errors import StorageError
from promptprop.ports import Tick
from promptprop.services.ticks import StoredTicks


class Kept:
    """Keeps what is stored; storing waits for `free`."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, Mapping[str, Any]]] = []
        self.free = asyncio.Event()
        self.free.set()
        self.broken = False

    async def keep_progress(self, run_id: str, body: Mapping[str, Any]) -> None:
        await self.free.wait()
        if self.broken:
            raise StorageError("no space is left")
        self.rows.append((run_id, body))

    def progress(self, run_ids: Any) -> dict[str, Any]:
        return {}

    @property
    def done(self) -> list[int]:
        return [body["done"] for _, body in self.rows]


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 2, tzinfo=timezone.utc)

    def monotonic(self) -> float:
        return self.seconds


def tick(done: int) -> Tick:
    return Tick("run-1", "evaluate", done, 10, Spend())


async def test_a_tick_a_second_is_stored_and_the_last_one() -> None:
    kept, clock = Kept(), Clock()
    ticks = StoredTicks(kept, clock)
    for done in range(10):
        clock.seconds = done * 0.3
        ticks.tick(tick(done))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await ticks.close()
    assert kept.done == [0, 4, 8, 9]
    run_id, body = kept.rows[0]
    assert (run_id, body["phase"], body["total"]) == ("run-1", "evaluate", 10)
    assert body["spend"] == Spend().as_json()


async def test_nobody_waits_for_a_slow_store() -> None:
    kept, clock = Kept(), Clock()
    kept.free.clear()
    ticks = StoredTicks(kept, clock)
    for done in range(5):
        clock.seconds = done * 2.0
        ticks.tick(tick(done))
        await asyncio.sleep(0)
    kept.free.set()
    await ticks.close()
    assert kept.done == [0, 4]


async def test_a_store_that_fails_ends_no_run_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    kept = Kept()
    kept.broken = True
    ticks = StoredTicks(kept, Clock())
    ticks.tick(tick(1))
    await ticks.close()
    assert "a tick could not be stored" in caplog.text


async def test_without_a_tick_nothing_is_stored() -> None:
    kept = Kept()
    await StoredTicks(kept, Clock()).close()
    assert kept.rows == []
