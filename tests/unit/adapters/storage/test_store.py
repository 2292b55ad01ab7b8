from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from promptprop.adapters.storage.store import SqlStore, open_store
from promptprop.domain.errors import DatabaseAbsent, NotWritable, StorageError
from promptprop.ports import RunRow, Store


async def test_a_new_database_is_made_with_its_folder(database_url: str, some_run: RunRow) -> None:
    store: Store = open_store(database_url)
    await store.create_run(some_run)
    store.close()
    with closing(open_store(database_url, must_exist=True, migrate=False)) as again:
        assert again.run("latest") == some_run


def test_a_database_that_must_exist_is_not_made(database_url: str, tmp_path: Path) -> None:
    with pytest.raises(DatabaseAbsent, match="there is no database"):
        open_store(database_url, must_exist=True)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "promptprop.db").touch()
    with pytest.raises(DatabaseAbsent, match="there is no database"):  # an empty file is none
        open_store(database_url, must_exist=True)


def test_a_folder_that_cannot_be_made_is_not_writable(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(NotWritable, match="--db"):
        open_store(f"sqlite:///{tmp_path}/state/promptprop.db")


def test_a_folder_in_place_of_the_file_is_not_writable(tmp_path: Path) -> None:
    with pytest.raises(NotWritable, match="unable to open"):
        open_store(f"sqlite:///{tmp_path}")


def test_a_file_that_is_no_database_is_refused_and_left_alone(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "state" / "promptprop.db"
    file.parent.mkdir()
    file.write_text("prompt,label\n" * 500)
    with pytest.raises(StorageError, match="no database"):
        open_store(database_url)
    assert file.read_text() == "prompt,label\n" * 500


def test_a_damaged_database_says_so(database_url: str, tmp_path: Path) -> None:
    open_store(database_url).close()
    file = tmp_path / "state" / "promptprop.db"
    content = bytearray(file.read_bytes())
    content[100:4096] = b"\xff" * 3996
    file.write_bytes(content)
    with pytest.raises(StorageError, match="restore a backup"):
        open_store(database_url)


def test_the_tables_of_another_program_are_left_alone(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    with closing(sqlite3.connect(tmp_path / "state" / "promptprop.db")) as other:
        other.execute("CREATE TABLE alembic_version (version_num TEXT)")
        other.execute("CREATE TABLE runs (id TEXT)")
    before = (tmp_path / "state" / "promptprop.db").read_bytes()
    with pytest.raises(StorageError, match="another program"):
        open_store(database_url)
    assert (tmp_path / "state" / "promptprop.db").read_bytes() == before


def test_the_connections_have_their_pragmas(sql_store: SqlStore) -> None:
    with sql_store.reading() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "busy_timeout", "foreign_keys", "query_only")
        }
    assert found == {"journal_mode": "wal", "busy_timeout": 30000, "foreign_keys": 1, "query_only": 1}


async def test_the_writer_syncs_fully_and_begins_immediate(sql_store: SqlStore) -> None:
    pragmas = await sql_store.write(
        lambda connection: [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("synchronous", "foreign_keys")
        ]
    )
    assert pragmas == [2, 1]


def test_opening_a_database_at_head_does_not_load_alembic(database_url: str) -> None:
    open_store(database_url).close()
    script = (
        "import sys; from promptprop.adapters.storage.store import open_store\n"
        "open_store(sys.argv[1]).close(); open_store(sys.argv[1] + '.new').close()\n"
        "assert not [name for name in sys.modules if name.split('.')[0] in ('alembic', 'mako', 'psycopg', 'pydantic')]"
    )
    subprocess.run([sys.executable, "-c", script, database_url], check=True, timeout=60)
