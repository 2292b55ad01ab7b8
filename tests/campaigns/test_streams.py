"""Many who follow one run: each gets each event once and in order, whatever becomes of their connections.

`nox -s campaigns -- -k streams -s` prints the server's memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from pathlib import Path

import pytest
from followers import follow, tell, written_run
from server_process import ServerProcess

from promptprop.adapters.storage.store import open_store

pytestmark = pytest.mark.campaign
CLIENTS, EVENTS, SECONDS = 200, 1000, 10.0
MOST_MB = 300


@pytest.mark.parametrize("drops", [0, 3])
async def test_streams_reach_two_hundred_clients_whole_and_in_order(tmp_path: Path, drops: int) -> None:
    with ServerProcess(tmp_path, "--workers", "0") as server:
        with contextlib.closing(open_store(f"sqlite:///{tmp_path}/.promptprop/promptprop.db")) as store:
            run_id = await written_run(store)
            clients = [asyncio.create_task(follow(server.url, run_id, drops, seed)) for seed in range(CLIENTS)]
            await asyncio.sleep(1)
            await tell(store, run_id, EVENTS, SECONDS)
            found = await asyncio.wait_for(asyncio.gather(*clients), 120)
        assert server.process is not None
        megabytes = most_megabytes(server.process.pid)
    print(f"\n{CLIENTS} clients, {EVENTS} events, {drops} drops each: at most {megabytes:.0f} MB in the server")
    assert all(seqs == list(range(1, EVENTS + 1)) for seqs in found)
    assert megabytes < MOST_MB


def most_megabytes(pid: int) -> float:
    """The most memory that a process has held at once."""
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert peak is not None
    return int(peak[1]) / 1024
