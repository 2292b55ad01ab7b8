from __future__ import annotations

import errno
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from promptprop.adapters.storage.connection import make_engine, parse_url, shown, sqlite_file, translate, write_ahead
from promptprop.domain.errors import NotWritable, PromptPropError, RunNotFound, StorageError, StorageFull


@pytest.mark.parametrize("url", ["", "promptprop.db", "mysql://host/name", "sqlite://", "sqlite:///:memory:", "://"])
def test_a_url_that_cannot_be_used_is_refused_with_a_remedy(url: str) -> None:
    with pytest.raises(StorageError) as caught:
        parse_url(url)
    assert caught.value.remedy


def test_a_password_is_never_shown() -> None:
    assert "secret" not in shown("postgresql://user:secret@host/name")


def test_a_server_that_cannot_be_reached_says_so_without_the_password() -> None:
    from promptprop.adapters.storage.store import open_store

    with pytest.raises(StorageError, match="cannot be reached") as caught:
        open_store("postgresql://user:secret@127.0.0.1:1/name?connect_timeout=2")
    assert "secret" not in str(caught.value)


def test_plain_postgresql_urls_get_the_driver() -> None:
    assert parse_url("postgresql://host/name").drivername == "postgresql+psycopg"
    assert sqlite_file("postgresql://host/name") is None
    assert make_engine("postgres://host/name", "read").dialect.driver == "psycopg"


def wrapped(text: str) -> OperationalError:
    return OperationalError("INSERT …", {}, sqlite3.OperationalError(text))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (wrapped("database or disk is full"), StorageFull),
        (sqlite3.OperationalError("database or disk is full"), StorageFull),
        (OSError(errno.ENOSPC, "No space left on device"), StorageFull),
        (wrapped("attempt to write a readonly database"), NotWritable),
        (wrapped("unable to open database file"), NotWritable),
        (PermissionError(errno.EACCES, "Permission denied"), NotWritable),
        (wrapped("database is locked"), StorageError),
        (wrapped("file is not a database"), StorageError),
        (wrapped("something else"), StorageError),
        (OverflowError("Python int too large"), StorageError),
    ],
)
def test_vendor_errors_become_ours(error: Exception, kind: type[PromptPropError]) -> None:
    found = translate(error)
    assert type(found) is kind
    assert found.__cause__ is error


@pytest.mark.parametrize(
    "error", [psycopg.errors.AdminShutdown("going down"), psycopg.OperationalError("connection lost")]
)
def test_a_server_that_went_away_is_told_apart(error: Exception) -> None:
    assert "cannot be reached" in translate(error).message


def test_our_own_errors_stay_as_they_are() -> None:
    error = RunNotFound("x")
    assert translate(error) is error


def test_a_question_mark_in_a_path_is_refused_and_not_cut_off(tmp_path: Path) -> None:
    from promptprop.adapters.storage.store import open_store

    with pytest.raises(StorageError, match="the file's name") as caught:
        open_store(f"sqlite:///{tmp_path}/what?/runs.db")
    assert "question mark" in caught.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_a_url_that_is_none_is_told_without_its_password() -> None:
    with pytest.raises(StorageError, match="is not a database URL") as caught:
        parse_url("postgresql://me:pa/ss@word@host:port/db")
    assert "ss@" not in str(caught.value)


def test_a_disk_that_refuses_is_told_with_what_may_be_behind_it() -> None:
    error = translate(sqlite3.OperationalError("disk I/O error"))
    assert "quota" in error.remedy


def test_a_server_compiles_no_reads(postgres_url: str) -> None:
    with make_engine(postgres_url, "read").connect() as reader, make_engine(postgres_url, "write").connect() as writer:
        assert reader.exec_driver_sql("SHOW jit").scalar() == "off"
        assert not reader.connection.dbapi_connection.info.transaction_status  # type: ignore[union-attr]  # it is idle
        assert writer.exec_driver_sql("SELECT 1").scalar() == 1


def test_a_file_that_another_process_is_creating_is_waited_for(tmp_path: Path) -> None:
    with (
        closing(sqlite3.connect(tmp_path / "runs.db", isolation_level=None, check_same_thread=False)) as other,
        closing(sqlite3.connect(tmp_path / "runs.db", timeout=0, isolation_level=None)) as ours,
    ):
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            write_ahead(ours, seconds=0.05)
        threading.Timer(0.1, lambda: other.execute("COMMIT")).start()
        write_ahead(ours)
        assert ours.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_file_that_is_no_database_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "runs.db").write_text("this is no database, and long enough to be taken for none" * 20)
    with closing(sqlite3.connect(tmp_path / "runs.db")) as ours, pytest.raises(sqlite3.DatabaseError, match="not a"):
        write_ahead(ours)
