from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection
from store_rows import run_row

from promptprop.adapters.storage.migrate import check
from promptprop.adapters.storage.store import SqlStore, open_store
from promptprop.adapters.storage.writer import SWITCH_SECONDS
from promptprop.domain.errors import NotWritable, StorageError, StorageFull
from promptprop.domain.models import Attempts, ModelRequest, Reply, Usage
from promptprop.ports import RunRow

Requests = Callable[[object], ModelRequest]
REPLY = Reply("yes", Usage(1, 1), 3, "stop", "m")

WRITER_PROCESS = textwrap.dedent("""
    import asyncio, sys
    from promptprop.adapters.storage.store import open_store
    from promptprop.domain.models import Attempts, Message, ModelRequest, Reply, Usage

    url, run_id, count = sys.argv[1], sys.argv[2], int(sys.argv[3])

    async def record(store, number):
        request = ModelRequest("task", "m", (Message("user", str(number)),))
        reply = Reply(run_id, Usage(1, 1), 3, "stop", "m")
        recorded = await store.record_call(run_id, request, reply, Attempts())
        print(number, recorded.reply.text, flush=True)

    async def main():
        store = open_store(url)
        for start in range(0, count, 20):
            await asyncio.gather(*(record(store, number) for number in range(start, min(start + 20, count))))
        store.close()

    asyncio.run(main())
""")


def start_writer(url: str, run_id: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER_PROCESS, url, run_id, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


async def set_pragma(store: SqlStore, pragma: str) -> None:
    def work(connection: Connection) -> None:
        connection.exec_driver_sql(f"PRAGMA {pragma}").close()

    await store.write(work)


async def test_a_cancelled_waiter_changes_nothing_for_its_batch(
    sql_store: SqlStore, some_run: RunRow, request_of: Requests
) -> None:
    await sql_store.create_run(some_run)
    gate = threading.Event()
    blocker = asyncio.ensure_future(sql_store.write(lambda _connection: gate.wait(10)))
    tasks = [
        asyncio.ensure_future(sql_store.record_call("run-1", request_of(number), REPLY, Attempts()))
        for number in range(5)
    ]
    await asyncio.sleep(0)
    tasks[2].cancel()
    gate.set()
    assert await blocker is True
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[2], asyncio.CancelledError)
    assert [isinstance(result, BaseException) for result in results].count(True) == 1
    await sql_store.write(lambda _connection: None)
    assert all(sql_store.find_call("run-1", request_of(number).key) for number in range(5)), "all five are stored"


async def test_a_write_that_fails_leaves_the_others_of_its_batch_untouched(
    sql_store: SqlStore, some_run: RunRow, request_of: Requests
) -> None:
    await sql_store.create_run(some_run)

    def refuse(connection: Connection) -> None:
        connection.exec_driver_sql("UPDATE runs SET name = 'half done'")
        connection.exec_driver_sql("INSERT INTO nowhere VALUES (1)")

    results = await asyncio.gather(
        sql_store.record_call("run-1", request_of(1), REPLY, Attempts()),
        sql_store.write(refuse),
        sql_store.record_call("run-1", request_of(2), REPLY, Attempts()),
        return_exceptions=True,
    )
    assert isinstance(results[1], StorageError)
    assert sql_store.run("run-1").name == "name"
    assert all(sql_store.find_call("run-1", request_of(number).key) for number in (1, 2))


async def test_a_full_disk_fails_every_write_until_there_is_room_again(
    sql_store: SqlStore, some_run: RunRow, request_of: Requests
) -> None:
    await sql_store.create_run(some_run)
    await sql_store.record_call("run-1", request_of("before"), REPLY, Attempts())
    await set_pragma(sql_store, "max_page_count = 1")  # SQLite keeps it at the pages in use
    large = Reply("x" * 200_000, Usage(), None, "stop", "m")
    for _ in range(2):
        results = await asyncio.gather(
            *(sql_store.record_call("run-1", request_of(number), large, Attempts()) for number in range(3)),
            return_exceptions=True,
        )
        assert [type(result) for result in results] == [StorageFull] * 3
    assert sql_store.find_call("run-1", request_of("before").key) is not None
    assert sql_store.find_call("run-1", request_of(0).key) is None
    await set_pragma(sql_store, "max_page_count = 100000")
    await sql_store.record_call("run-1", request_of(0), large, Attempts())
    assert check(sql_store.url) == []


async def test_a_database_that_turned_read_only_is_not_writable(sql_store: SqlStore, some_run: RunRow) -> None:
    await sql_store.create_run(some_run)
    await set_pragma(sql_store, "query_only = ON")
    with pytest.raises(NotWritable, match="permissions"):
        await sql_store.update_run("run-1", status="running")


async def test_a_lock_held_too_long_fails_the_write_and_not_the_next_one(
    sql_store: SqlStore, some_run: RunRow, tmp_path: Path
) -> None:
    await sql_store.create_run(some_run)
    await set_pragma(sql_store, "busy_timeout = 1")
    with closing(sqlite3.connect(tmp_path / "state" / "promptprop.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="locked"):
            await sql_store.update_run("run-1", status="running")
        other.execute("ROLLBACK")
    await sql_store.update_run("run-1", status="running")
    assert sql_store.run("run-1").status == "running"


async def test_waiters_whose_loop_has_ended_do_not_stop_the_writer(sql_store: SqlStore, some_run: RunRow) -> None:
    await sql_store.create_run(some_run)
    gate = threading.Event()
    blocker = asyncio.ensure_future(sql_store.write(lambda _connection: gate.wait(10)))
    await asyncio.sleep(0)

    async def abandon() -> None:
        asyncio.ensure_future(sql_store.update_run("run-1", status="running"))  # noqa: RUF006 - never awaited on purpose
        await asyncio.sleep(0)

    await asyncio.to_thread(asyncio.run, abandon())
    gate.set()
    await blocker
    await sql_store.update_run("run-1", stop_reason="done")
    assert sql_store.run("run-1").status == "running"


async def test_each_thread_reads_what_is_committed_by_then(sql_store: SqlStore, some_run: RunRow) -> None:
    await sql_store.create_run(some_run)
    for status in ("running", "finished"):
        await sql_store.update_run("run-1", status=status)
        assert sql_store.run("run-1").status == status
        assert (await asyncio.to_thread(sql_store.run, "run-1")).status == status


async def test_two_processes_that_write_at_once_lose_nothing(
    database_url: str, some_run: RunRow, request_of: Requests
) -> None:
    with closing(open_store(database_url)) as store:
        await store.create_run(some_run)
        await store.create_run(RunRow("run-2", *(getattr(some_run, name) for name in RunRow.__slots__[1:9])))
        processes = [start_writer(database_url, run_id, 400) for run_id in ("run-1", "run-2")]
        printed = []
        for process in processes:
            out, err = process.communicate(timeout=60)
            assert process.returncode == 0, err
            printed.append(dict(line.split() for line in out.splitlines()))
        assert printed[0] == printed[1], "both were handed the reply that was stored first"
        for number, text in printed[0].items():
            for run_id in ("run-1", "run-2"):
                found = store.find_call(run_id, request_of(number).key)
                assert found is not None
                assert found.reply is not None
                assert (found.reply.text, found.mine, found.paid) == (text, True, True)
        assert store.cache_stats().held.calls == 400
    assert check(database_url) == []


async def test_the_writer_need_not_wait_long_for_a_busy_interpreter(database_url: str) -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.005)
    try:
        store = open_store(database_url)
        await store.create_run(run_row())
        store.close()
        assert sys.getswitchinterval() <= SWITCH_SECONDS
    finally:
        sys.setswitchinterval(before)


def test_processes_that_create_one_database_at_once_agree(database_url: str) -> None:
    script = "import sys; from promptprop.adapters.storage.store import open_store; open_store(sys.argv[1]).close()"
    processes = [subprocess.Popen([sys.executable, "-c", script, database_url]) for _ in range(4)]
    assert [process.wait(timeout=60) for process in processes] == [0] * 4
    assert check(database_url) == []


async def test_a_killed_writer_leaves_every_resolved_record_readable(
    database_url: str, some_run: RunRow, request_of: Requests
) -> None:
    with closing(open_store(database_url)) as store:
        await store.create_run(some_run)
    process = start_writer(database_url, "run-1", 1_000_000)
    assert process.stdout is not None
    numbers = [process.stdout.readline().split()[0] for _ in range(300)]
    process.kill()
    out, _ = process.communicate(timeout=60)
    numbers += [line.split()[0] for line in out.splitlines() if line.endswith("run-1")]
    assert check(database_url) == []
    with closing(open_store(database_url)) as store:
        assert all(store.find_call("run-1", request_of(number).key) for number in numbers)
        await store.record_call("run-1", request_of("after"), REPLY, Attempts())
