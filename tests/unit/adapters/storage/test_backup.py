from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

import pytest

from promptprop.adapters.storage import backup as module
from promptprop.adapters.storage.backup import backup, compact, default_backup, dump_command
from promptprop.adapters.storage.migrate import check
from promptprop.adapters.storage.store import SqlStore, open_store
from promptprop.domain.errors import NotWritable, StorageError, StorageFull, UsageError
from promptprop.domain.models import Attempts, ModelRequest, Reply, Usage
from promptprop.ports import RunRow

SERVER = "postgresql+psycopg://me:hunter2@db.example:5433/runs?sslmode=require&passfile=/secret"
WRITE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
connection.execute("PRAGMA synchronous = OFF")
for number in range(100_000):
    connection.execute(f"INSERT INTO datasets VALUES ('d{number}', '{'n' * 2000}', 1, '2026-01-02 00:00:00.000000')")
    print(number, flush=True)
"""


def names_in(file: Path) -> set[str]:
    with closing(sqlite3.connect(file)) as connection:
        return {row[0] for row in connection.execute("SELECT id FROM datasets")}


def test_a_backup_beside_a_writer_holds_all_that_was_committed_before(database_url: str, tmp_path: Path) -> None:
    open_store(database_url).close()
    file = Path(database_url.removeprefix("sqlite:///"))
    with subprocess.Popen([sys.executable, "-c", WRITE, str(file)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for place in range(3):
            before = int(writer.stdout.readline())
            copy = backup(database_url, tmp_path / f"copy-{place}.db")
            assert {f"d{number}" for number in range(before + 1)} <= names_in(copy)
            assert check(f"sqlite:///{copy}") == []
            assert not copy.with_name(f"{copy.name}-wal").exists(), "one file is the whole of it"
        assert writer.poll() is None, "the writer was not disturbed"
        writer.kill()
        writer.stdout.read()
    assert check(database_url) == []


async def test_a_backup_can_be_opened_and_written_to(
    sql_store: SqlStore, some_run: RunRow, request_of: Callable[[object], ModelRequest], tmp_path: Path
) -> None:
    await sql_store.create_run(some_run)
    recorded = await sql_store.record_call("run-1", request_of("a"), _reply(), Attempts())
    copy = backup(sql_store.url, tmp_path / "deep" / "copy.db")
    await sql_store.record_call("run-1", request_of("later"), _reply(), Attempts())
    with closing(open_store(f"sqlite:///{copy}", must_exist=True)) as restored:
        assert restored.find_call("run-1", request_of("a").key) == recorded
        assert restored.find_call("run-1", request_of("later").key) is None
        await restored.record_call("run-1", request_of("b"), _reply(), Attempts())


def _reply() -> Reply:
    return Reply("yes", Usage(1, 1), 7, "stop", "m")


def test_what_exists_is_replaced_only_when_told_to(database_url: str, tmp_path: Path) -> None:
    open_store(database_url).close()
    target = tmp_path / "copy.db"
    target.write_text("precious")
    with pytest.raises(UsageError, match="exists already"):
        backup(database_url, target)
    assert target.read_text() == "precious"
    backup(database_url, target, replace=True)
    assert check(f"sqlite:///{target}") == []


def test_neither_the_database_itself_nor_a_folder_is_a_place_for_a_backup(database_url: str, tmp_path: Path) -> None:
    open_store(database_url).close()
    file = Path(database_url.removeprefix("sqlite:///"))
    link = tmp_path / "link.db"
    link.symlink_to(file)
    for target in (file, link):
        with pytest.raises(UsageError, match="the database itself"):
            backup(database_url, target, replace=True)
    with pytest.raises(UsageError, match="is a folder"):
        backup(database_url, tmp_path, replace=True)
    assert check(database_url) == []


def test_a_backup_that_fails_leaves_nothing_behind(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store(database_url).close()
    monkeypatch.setattr("promptprop.adapters.storage.backup.shutil.copymode", _fail)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(NotWritable, match="the disk said no"):
        backup(database_url, tmp_path / "copy.db")
    assert sorted(tmp_path.rglob("*")) == before


def _fail(*_given: object) -> None:
    raise OSError(5, "the disk said no")


def test_a_place_that_cannot_be_written_is_named(database_url: str, tmp_path: Path) -> None:
    open_store(database_url).close()
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(NotWritable, match=r"copy\.db cannot be written"):
        backup(database_url, tmp_path / "file" / "copy.db")


def test_a_full_disk_is_told_to_be_the_backups(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store(database_url).close()
    monkeypatch.setattr(module, "_copy", _fill_up)
    with pytest.raises(StorageFull, match=r"no room for the backup .*copy\.db"):
        backup(database_url, tmp_path / "copy.db")


def _fill_up(*_given: object) -> None:
    raise StorageFull("the disk that holds the database is full")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_named_with_a_remedy(database_url: str, tmp_path: Path) -> None:
    open_store(database_url).close()
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(NotWritable, match=r"closed.*cannot be written"):
        backup(database_url, closed / "copy.db")


def test_a_backup_may_be_read_by_nobody_else_than_the_database(database_url: str, tmp_path: Path) -> None:
    open_store(database_url).close()
    Path(database_url.removeprefix("sqlite:///")).chmod(0o600)
    assert stat.S_IMODE(backup(database_url, tmp_path / "copy.db").stat().st_mode) == 0o600


def test_a_damaged_database_is_not_passed_off_as_a_backup(database_url: str, tmp_path: Path) -> None:
    open_store(database_url).close()
    file = Path(database_url.removeprefix("sqlite:///"))
    pages = bytearray(file.read_bytes())
    pages[4096 * 3 : 4096 * 3 + 200] = b"\xff" * 200
    file.write_bytes(bytes(pages))
    with pytest.raises(StorageError, match="damaged"):
        backup(database_url, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


def test_a_backup_that_nobody_named_lies_beside_the_database(database_url: str) -> None:
    file = Path(database_url.removeprefix("sqlite:///"))
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    assert default_backup(database_url, now) == file.parent / "backups" / "promptprop-20260102T030405Z.db"


def test_a_server_is_told_to_use_its_own_tool_without_any_secret(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="pg_dump") as caught:
        backup(SERVER, tmp_path / "copy.db")
    assert caught.value.remedy == dump_command(SERVER)
    address = "'postgresql://me@db.example:5433/runs?sslmode=require'"
    assert dump_command(SERVER) == f"pg_dump --format=custom --file=runs.dump --dbname={address}"


def test_a_servers_own_tool_understands_the_command(postgres_url: str, tmp_path: Path) -> None:
    command = dump_command(postgres_url).replace("pg_dump", "pg_dump --schema-only")
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)
    if done.returncode == 127:
        pytest.skip("pg_dump is not installed")
    assert done.returncode == 0, done.stderr
    assert [path.suffix for path in tmp_path.iterdir()] == [".dump"]


async def test_compacting_gives_the_space_of_removed_calls_back(
    sql_store: SqlStore, some_run: RunRow, request_of: Callable[[object], ModelRequest]
) -> None:
    await sql_store.create_run(some_run)
    large = Reply("x" * 100_000, Usage(1, 1), 7, "stop", "m")
    await asyncio.gather(*(sql_store.record_call("run-1", request_of(n), large, Attempts()) for n in range(30)))
    await sql_store.delete_run("run-1")
    before = sql_store.size_bytes()
    assert await sql_store.prune_calls() == 30
    compact(sql_store.url)
    assert sql_store.size_bytes() < before - 2_000_000
    assert check(sql_store.url) == []
