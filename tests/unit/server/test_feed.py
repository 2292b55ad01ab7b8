"""Whoever follows a run gets each of its events once, in order, and its end."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import datetime, timezone
from typing import Any

import pytest

from promptprop.domain.errors import StorageError
from promptprop.domain.events import NoteLeft, StoredEvent
from promptprop.ports.service import RunState
from promptprop.server import feed as feeds_module
from promptprop.server.feed import Feeds


class Table:
    """A store of one run's events, as far as a feed asks for them."""

    def __init__(self, events: int = 0, status: str = "running") -> None:
        self.status = status
        self.count = events
        self.progress: Any = None
        self.reads: list[tuple[int, int]] = []
        self.fails = 0

    def run_states(self, run_ids: list[str]) -> dict[str, RunState]:
        if self.fails:
            self.fails -= 1
            raise StorageError("the server is away")
        return {one: RunState(self.status, "done", self.count, self.progress) for one in run_ids}

    def event_page(self, run_id: str, after: int, limit: int) -> list[StoredEvent]:
        self.reads.append((after, limit))
        last = min(self.count, after + limit)
        moment = datetime(2026, 1, 1, tzinfo=timezone.utc)
        return [StoredEvent(run_id, seq, moment, NoteLeft(f"note {seq}")) for seq in range(after + 1, last + 1)]


def feeds(table: Table) -> Feeds:
    return Feeds(table, interval=0.005)  # type: ignore[arg-type]


async def gathered(frames: AsyncIterator[bytes], until: int | None = None) -> list[bytes]:
    found = []
    async for one in frames:
        found.append(one)
        if until is not None and len(ids(found)) >= until:
            break
    return found


def ids(frames: list[bytes]) -> list[int]:
    return [int(number) for number in re.findall(rb"^id: (\d+)$", b"".join(frames), re.MULTILINE)]


@pytest.mark.parametrize("after", [0, 1, 499, 500, 1199, 1200, 5000])
async def test_a_run_that_is_over_is_told_from_any_event_on(after: int) -> None:
    found = await gathered(feeds(Table(1200, "finished")).follow("r", after))
    assert ids(found) == list(range(after + 1, 1201))
    assert found[-1].startswith(b"event: end\n")


async def test_events_that_come_while_many_follow_reach_each_of_them_once_and_in_order() -> None:
    table = Table(3)
    source = feeds(table)
    following = [asyncio.create_task(gathered(source.follow("r", after))) for after in (0, 0, 2, 3)]
    for count in (4, 40, 700, 1500):
        await asyncio.sleep(0.02)
        table.count = count
    await asyncio.sleep(0.02)
    table.status = "finished"
    found = await asyncio.wait_for(asyncio.gather(*following), 10)
    assert [ids(one) for one in found] == [list(range(after + 1, 1501)) for after in (0, 0, 2, 3)]
    assert source.followers == 0


async def test_a_client_that_comes_back_misses_nothing_though_memory_has_moved_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feeds_module, "KEPT", 20)
    table = Table(500)
    source = feeds(table)
    other = asyncio.create_task(gathered(source.follow("r", 480)))
    await asyncio.sleep(0.03)
    first = await gathered(source.follow("r", 0), until=30)
    table.count, table.status = 600, "finished"
    rest = await asyncio.wait_for(gathered(source.follow("r", 30)), 10)
    await other
    assert ids(first)[:30] + ids(rest) == list(range(1, 601))


async def test_one_look_serves_all_who_follow() -> None:
    table = Table(50, "finished")
    source = feeds(table)
    await asyncio.gather(*(gathered(source.follow("r")) for _ in range(50)))
    assert len(table.reads) <= 2


async def test_silence_is_broken_by_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds_module, "HEARTBEAT", 0.02)
    stream = feeds(Table(0)).follow("r")
    found = [await asyncio.wait_for(anext(stream), 5) for _ in range(3)]
    await stream.aclose()
    assert found[1:] == [b": still here\n\n"] * 2


async def test_progress_is_told_without_an_id() -> None:
    table = Table(1)
    table.progress = {"phase": "evaluating", "done": 3, "total": 9}
    stream = feeds(table).follow("r")
    found = [await asyncio.wait_for(anext(stream), 5) for _ in range(3)]
    await stream.aclose()
    assert found[2] == b'event: tick\ndata: {"phase": "evaluating", "done": 3, "total": 9}\n\n'


async def test_a_database_that_is_away_for_a_while_ends_no_stream() -> None:
    table = Table(5, "finished")
    table.fails = 3
    assert ids(await asyncio.wait_for(gathered(feeds(table).follow("r")), 10)) == [1, 2, 3, 4, 5]


async def test_a_server_that_ends_ends_its_streams_without_an_end_frame() -> None:
    source = feeds(Table(2))
    following = source.follow("r")
    found: list[bytes] = []
    while ids(found) != [1, 2]:
        found.append(await asyncio.wait_for(anext(following), 30))
    await source.close()
    found += await asyncio.wait_for(gathered(following), 30)
    assert ids(found) == [1, 2]
    assert not any(b"event: end" in one for one in found)


async def test_a_frame_is_one_line_of_json_whatever_stands_in_it() -> None:
    data = feeds_module.frame("note", {"text": "a\r\nb\u2028c\ud800"}, 1)
    assert data.count(b"\n") == 4
    assert b"\r" not in data
