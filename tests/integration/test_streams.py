"""Those who follow a run through a real server: a small sample of `tests/campaigns/test_streams.py`."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest
from followers import follow, tell, written_run
from server_process import ServerProcess

from promptprop.adapters.storage.store import open_store

pytestmark = [pytest.mark.slow, pytest.mark.no_cover]


async def test_clients_that_come_and_go_get_every_event_once_through_any_replica(tmp_path: Path) -> None:
    with (
        ServerProcess(tmp_path, "--workers", "0") as one,
        ServerProcess(tmp_path, "--workers", "0") as other,
        contextlib.closing(open_store(f"sqlite:///{tmp_path}/.promptprop/promptprop.db")) as store,
    ):
        run_id = await written_run(store)
        urls = (one.url, other.url)
        clients = [asyncio.create_task(follow(urls[seed % 2], run_id, seed % 4, seed)) for seed in range(20)]
        await tell(store, run_id, 300, 1.0)
        found = await asyncio.wait_for(asyncio.gather(*clients), 60)
    assert all(seqs == list(range(1, 301)) for seqs in found)


async def test_a_server_that_is_killed_is_gone_on_from_by_the_next_one(tmp_path: Path) -> None:
    with (
        ServerProcess(tmp_path, "--workers", "0") as server,
        contextlib.closing(open_store(f"sqlite:///{tmp_path}/.promptprop/promptprop.db")) as store,
    ):
        run_id = await written_run(store)
        telling = asyncio.create_task(tell(store, run_id, 200, 3.0))
        following = asyncio.create_task(follow_on(server.url, run_id))
        await asyncio.sleep(1)
        port = server.port
        server.kill()
        await asyncio.to_thread(server.start, port)
        await telling
        assert await asyncio.wait_for(following, 60) == list(range(1, 201))


async def follow_on(url: str, run_id: str) -> list[int]:
    """As a browser does: come back after a break, with the id of the last event."""
    import aiohttp
    from followers import listen

    seen: list[int] = []
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                if await listen(session, f"{url}/api/v1/runs/{run_id}/events", seen, None):
                    return seen
            except (aiohttp.ClientError, OSError):
                await asyncio.sleep(0.05)
