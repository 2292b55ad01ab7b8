"""What becomes of reads, writes and runs when a server ends their connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
from postgres_server import PostgresServer, plain
from sqlalchemy import Connection, event, make_url

from promptprop.adapters.storage.locks import run_lock
from promptprop.adapters.storage.store import SqlStore, open_store
from promptprop.domain.errors import RunLocked, StorageError
from promptprop.domain.models import Attempts, ModelRequest, Reply, Usage
from promptprop.ports import RunRow

Requests = Callable[[object], ModelRequest]
REPLY = Reply("yes", Usage(1, 1), 3, "stop", "m")


@pytest.fixture
def server_store(postgres_url: str) -> Iterator[SqlStore]:
    with closing(open_store(postgres_url)) as store:
        yield store


def backend(connection: Connection) -> int:
    return int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())


async def writing_backend(store: SqlStore) -> int:
    return await store.write(backend)


def terminate(server: PostgresServer, *backends: int) -> None:
    """End these sessions; returns once they are gone."""
    for number in backends:
        assert server.execute("SELECT pg_terminate_backend(%s, 10000)", number) == [(True,)]


def lock_backends(url: str) -> list[int]:
    with closing(psycopg.connect(plain(url))) as connection:
        here = "database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        found = connection.execute(
            f"SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND {here}".encode()
        ).fetchall()
    return [int(pid) for (pid,) in found]


async def test_a_writer_whose_idle_connection_was_ended_goes_on(
    server_store: SqlStore, some_run: RunRow, postgres_server: PostgresServer
) -> None:
    before = await writing_backend(server_store)
    terminate(postgres_server, before)
    await server_store.create_run(some_run)
    assert server_store.run("run-1") == some_run
    assert await writing_backend(server_store) != before


async def test_a_batch_whose_connection_broke_before_the_commit_is_written_once(
    server_store: SqlStore, some_run: RunRow, postgres_server: PostgresServer, request_of: Requests
) -> None:
    await server_store.create_run(some_run)
    seen: list[int] = []

    def end_it_once(connection: Connection) -> None:
        seen.append(backend(connection))
        if len(seen) == 1:
            terminate(postgres_server, seen[0])
            connection.exec_driver_sql("SELECT 1")

    first = server_store.record_call("run-1", request_of(1), REPLY, Attempts(2))
    recorded, _ = await asyncio.gather(first, server_store.write(end_it_once))
    assert len(set(seen)) == 2
    assert recorded.reply == REPLY
    assert server_store.paid("run-1").calls == 2


@pytest.mark.parametrize("committed", [True, False], ids=["committed", "not committed"])
async def test_a_batch_whose_connection_broke_in_the_commit_is_written_once(
    server_store: SqlStore, some_run: RunRow, postgres_server: PostgresServer, request_of: Requests, committed: bool
) -> None:
    await server_store.create_run(some_run)
    broken: list[int] = []

    @event.listens_for(server_store._write_engine, "commit")
    def break_it(connection: Connection) -> None:
        if broken:
            return
        driver: Any = connection.connection.driver_connection
        broken.append(driver.info.backend_pid)
        if committed:  # the server has done it, and its answer is lost
            driver.execute("COMMIT")
            driver.execute("BEGIN")
        terminate(postgres_server, *broken)

    recorded = await server_store.record_call("run-1", request_of(1), REPLY, Attempts(2))
    assert broken
    assert recorded.reply == REPLY
    assert server_store.paid("run-1").calls == 2
    assert await writing_backend(server_store) not in broken


async def test_a_server_that_is_gone_fails_writes_with_a_remedy_and_works_again_later(
    server_store: SqlStore, some_run: RunRow, postgres_server: PostgresServer, request_of: Requests, postgres_url: str
) -> None:
    await server_store.create_run(some_run)
    await server_store.record_call("run-1", request_of(1), REPLY, Attempts())
    name = make_url(postgres_url).database
    with server_store.reading() as connection:
        reader = backend(connection)
    before = await writing_backend(server_store)
    postgres_server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    terminate(postgres_server, before, reader)
    with pytest.raises(StorageError) as caught:
        await server_store.record_call("run-1", request_of(2), REPLY, Attempts())
    assert "server" in caught.value.remedy
    with pytest.raises(StorageError):
        server_store.run("run-1")
    postgres_server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    await server_store.record_call("run-1", request_of(2), REPLY, Attempts())
    assert server_store.paid("run-1").calls == 2


async def test_reads_go_on_after_their_connection_was_ended(
    server_store: SqlStore, some_run: RunRow, postgres_server: PostgresServer, request_of: Requests
) -> None:
    await server_store.create_run(some_run)
    await server_store.record_call("run-1", request_of(1), REPLY, Attempts())
    for read in (
        lambda: server_store.run("run-1").id == "run-1",
        lambda: server_store.find_call("run-1", request_of(1).key) is not None,
    ):
        with server_store.reading() as connection:
            reader = backend(connection)
        terminate(postgres_server, reader)
        assert read()


async def test_a_process_that_lost_the_lock_of_a_run_writes_nothing_more(
    server_store: SqlStore, some_run: RunRow, postgres_server: PostgresServer, postgres_url: str
) -> None:
    await server_store.create_run(some_run)
    with run_lock(postgres_url, "run-1"):
        await server_store.update_run("run-1", status="running")
        terminate(postgres_server, *lock_backends(postgres_url))
        with run_lock(postgres_url, "run-1"):  # as another process may do now
            pass
        with pytest.raises(StorageError, match="run-1") as caught:
            await server_store.update_run("run-1", status="finished")
    assert "promptprop runs resume run-1" in caught.value.remedy
    assert server_store.run("run-1").status == "running"
    await server_store.update_run("run-1", status="stopped")


async def test_a_run_stops_and_is_not_locked_anew_when_its_server_ended_every_connection(
    server_store: SqlStore, some_run: RunRow, postgres_server: PostgresServer, postgres_url: str
) -> None:
    await server_store.create_run(some_run)
    before = await writing_backend(server_store)
    with run_lock(postgres_url, "run-1"):
        terminate(postgres_server, *lock_backends(postgres_url), before)
        with pytest.raises(StorageError, match="kept other processes off"):
            await server_store.update_run("run-1", status="finished")
    with run_lock(postgres_url, "run-1"):
        assert server_store.run("run-1").status == "created"


async def test_a_lock_that_is_held_lets_writes_pass_and_refuses_others(
    server_store: SqlStore, some_run: RunRow, postgres_url: str
) -> None:
    await server_store.create_run(some_run)
    with run_lock(postgres_url, "run-1"), run_lock(postgres_url, "run-2"):
        await server_store.update_run("run-1", status="running")
        with pytest.raises(RunLocked), run_lock(postgres_url, "run-2"):
            pass
        await server_store.update_run("run-1", status="finished")
    assert server_store.run("run-1").status == "finished"


async def test_a_batch_that_lost_a_deadlock_is_written_after_the_winner(
    server_store: SqlStore, some_run: RunRow, postgres_server: PostgresServer, postgres_url: str
) -> None:
    def touch(run_id: str) -> Callable[[Connection], object]:
        statement = f"UPDATE runs SET stop_reason = 'ours' WHERE id = '{run_id}'"
        return lambda connection: connection.exec_driver_sql(statement)

    for run_id in ("run-1", "run-2"):
        await server_store.create_run(RunRow(run_id, *(getattr(some_run, name) for name in RunRow.__slots__[1:9])))
    with closing(psycopg.connect(plain(postgres_url))) as other:
        other.execute("SET deadlock_timeout = '30s'")  # ours looks after one second, and is the one that gives way
        other.execute("UPDATE runs SET name = 'theirs' WHERE id = 'run-2'")
        writes = asyncio.gather(server_store.write(touch("run-1")), server_store.write(touch("run-2")))
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        while other.execute(waiting).fetchone() != (1,):  # noqa: ASYNC110 - only the server knows that our batch waits
            await asyncio.sleep(0.01)
        await asyncio.to_thread(other.execute, "UPDATE runs SET name = 'theirs' WHERE id = 'run-1'")
        other.commit()
        await writes
    assert [(run.name, run.stop_reason) for run in server_store.runs()] == [("theirs", "ours")] * 2
