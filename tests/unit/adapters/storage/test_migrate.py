from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Column, Connection, DateTime, MetaData, inspect, select
from sqlalchemy.exc import IntegrityError

from promptprop.adapters.storage import migrate
from promptprop.adapters.storage.connection import insert, make_engine
from promptprop.adapters.storage.migrate import HEAD, SCRIPTS, Upgraded, check, known_revisions, upgrade
from promptprop.adapters.storage.store import open_store
from promptprop.domain.errors import DatabaseAbsent, DatabaseOutdated, DatabaseTooNew, StorageError

NEXT = '''
"""Rebuilds a parent table, as SQLite must for most changes."""
import sqlalchemy as sa
from alembic import op

revision = "next"
down_revision = "{head}"


def upgrade() -> None:
    recreate = "always" if op.get_bind().dialect.name == "sqlite" else "never"
    with op.batch_alter_table("runs", recreate=recreate) as batch:
        batch.add_column(sa.Column("note", sa.Text()))
    {more}
'''

TIME = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)
ROWS = 3  # of every table


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest) -> str:
    """Names a database without tables, once on SQLite (where there is no file yet) and once on a server."""
    name = "database_url" if request.param == "sqlite" else "empty_postgres_url"
    return str(request.getfixturevalue(name))


def file_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def build(url: str, revision: str, scripts: Path = SCRIPTS) -> None:
    """A database at this revision, by migrations alone."""
    if url.startswith("sqlite"):
        file_of(url).parent.mkdir(parents=True, exist_ok=True)
    config = migrate._config(scripts)
    with changing(url) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


@contextmanager
def changing(url: str) -> Iterator[Connection]:
    """A transaction in which SQLite's foreign keys do not count."""
    engine = make_engine(url, "migrate")
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def execute(url: str, statements: list[str]) -> None:
    with changing(url) as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def value_of(column: Column[Any], number: int) -> object:
    """Something that fits the column; the same for every column of a kind, so that children find their parents."""
    kind = column.type
    if isinstance(kind, DateTime):
        return TIME if kind.timezone else TIME.replace(tzinfo=None)
    values: dict[type, object] = {str: f"x{number}", int: number, float: 0.5, bool: True}
    return values[kind.python_type]


def fill(url: str) -> None:
    """Some rows in every table, in the shape that the tables have by now; parents first, no column empty."""
    with changing(url) as connection:
        for table in shape_of(connection).sorted_tables:
            if table.name != "alembic_version":
                rows = [{c.name: value_of(c, number) for c in table.columns} for number in range(1, ROWS + 1)]
                connection.execute(table.insert(), rows)


def shape_of(connection: Connection) -> MetaData:
    found = MetaData()
    found.reflect(connection)
    return found


def contents(url: str, like: dict[str, list[str]] | None = None) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of every table, sorted; of the tables and columns in `like`, where it is given."""
    with changing(url) as connection:
        tables = shape_of(connection).tables
        names = like or columns(url)
        return {
            name: sorted(connection.execute(select(*(tables[name].c[key] for key in keys))).tuples().all(), key=repr)
            for name, keys in names.items()
        }


def columns(url: str) -> dict[str, list[str]]:
    """The columns of every table of ours."""
    engine = make_engine(url, "read")
    inspector = inspect(engine)
    names = [name for name in inspector.get_table_names() if name != "alembic_version"]
    found = {name: [column["name"] for column in inspector.get_columns(name)] for name in names}
    engine.dispose()
    return found


def later_scripts(folder: Path, more: str = "") -> Path:
    """The migrations with one more that rebuilds `runs`."""
    scripts = folder / "migrations"
    shutil.copytree(SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    (scripts / "versions" / "next.py").write_text(NEXT.format(head=HEAD, more=more))
    return scripts


def shape(url: str) -> dict[str, Any]:
    """Tables as sets, so that the order in which migrations added columns does not matter."""
    engine = make_engine(url, "read")
    inspector = inspect(engine)
    found = {
        table: {
            "columns": {(c["name"], str(c["type"]), c["nullable"]) for c in inspector.get_columns(table)},
            "key": inspector.get_pk_constraint(table),
            "unique": {(c["name"], tuple(c["column_names"])) for c in inspector.get_unique_constraints(table)},
            "indexes": {(i["name"], tuple(i["column_names"]), i["unique"]) for i in inspector.get_indexes(table)},
            "foreign": {
                (f["name"], *f["constrained_columns"], f["referred_table"], *f["referred_columns"], str(f["options"]))
                for f in inspector.get_foreign_keys(table)
            },
        }
        for table in inspector.get_table_names()
    }
    engine.dispose()
    return found


def test_head_is_the_newest_revision_of_the_scripts() -> None:
    assert known_revisions()[0] == HEAD


@pytest.mark.no_cover
def test_a_created_database_equals_a_migrated_one(empty_url: str, tmp_path: Path) -> None:
    build(empty_url, "head")
    migrated = shape(empty_url)
    assert check(empty_url) == []
    if empty_url.startswith("sqlite"):
        created = f"sqlite:///{tmp_path}/created.db"
    else:
        created = empty_url
        with changing(created) as connection:
            shape_of(connection).drop_all(connection)
    open_store(created).close()
    assert shape(created) == migrated
    assert check(created) == []


@pytest.mark.no_cover
@pytest.mark.parametrize("revision", known_revisions())
def test_every_revision_migrates_to_head_with_the_rows_of_every_table(empty_url: str, revision: str) -> None:
    build(empty_url, revision)
    fill(empty_url)
    shaped = columns(empty_url)
    before = contents(empty_url)
    assert {name: len(rows) for name, rows in before.items()} == dict.fromkeys(shaped, ROWS)
    done = upgrade(empty_url)
    assert (done.before, done.after) == (revision, HEAD)
    assert contents(empty_url, shaped) == before
    assert check(empty_url) == []
    with changing(empty_url) as connection:
        assert migrate._broken_keys(connection) == []
        assert migrate._damage(connection) == []
    open_store(empty_url, migrate=False).close()


@pytest.mark.no_cover
@pytest.mark.parametrize("revision", known_revisions())
def test_a_migrated_database_still_refuses_children_without_parents(empty_url: str, revision: str) -> None:
    build(empty_url, revision)
    fill(empty_url)
    upgrade(empty_url)
    engine = make_engine(empty_url, "write")
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM calls")
    engine.dispose()
    assert len(contents(empty_url)["run_calls"]) == ROWS


def test_calls_from_before_editions_are_shared_and_hits_get_their_role(empty_url: str) -> None:
    build(empty_url, "0001")
    fill(empty_url)
    step = "UPDATE calls SET endpoint = CASE id WHEN 1 THEN 'step.facts' WHEN 2 THEN 'critic' ELSE 'task' END"
    execute(empty_url, [step, "UPDATE run_calls SET role = '' WHERE run_id <> 'x3'"])
    upgrade(empty_url)
    with changing(empty_url) as connection:
        roles = connection.exec_driver_sql("SELECT role FROM run_calls ORDER BY run_id").scalars().all()
    assert roles == ["task", "critic", "x3"]
    with closing(open_store(empty_url)) as store:
        found = store.find_call("another run", "x2")
        assert found is not None
        assert (found.call_id, found.mine) == (2, False)


async def test_a_version_before_editions_may_go_on_writing_to_a_migrated_database(empty_url: str) -> None:
    build(empty_url, "0001")
    fill(empty_url)
    known = columns(empty_url)["calls"]
    upgrade(empty_url)
    with changing(empty_url) as connection:
        table = shape_of(connection).tables["calls"]
        row = {name: value_of(table.c[name], 9) for name in known if name != "id"}
        insertion = insert(connection, table).values(**row).on_conflict_do_nothing()
        connection.execute(insert(connection, table).values(id=77, **row))
        connection.execute(insertion.values(id=78))
    with closing(open_store(empty_url)) as store:
        found = store.find_call("another run", "x9")
        assert found is not None
        assert found.call_id == 77


@pytest.mark.no_cover
def test_rebuilding_a_parent_table_keeps_its_child_rows(empty_url: str, tmp_path: Path) -> None:
    open_store(empty_url).close()
    fill(empty_url)
    shaped, before = columns(empty_url), contents(empty_url)
    assert upgrade(empty_url, later_scripts(tmp_path)).after == "next"
    assert contents(empty_url, shaped) == before


def test_a_migration_that_breaks_foreign_keys_is_rolled_back(database_url: str, tmp_path: Path) -> None:
    open_store(database_url).close()
    fill(database_url)
    before = contents(database_url)
    scripts = later_scripts(tmp_path, """op.execute("DELETE FROM runs")""")
    with pytest.raises(StorageError, match="broke foreign keys"):
        upgrade(database_url, scripts)
    assert contents(database_url) == before
    assert check(database_url) == []


UPGRADE = """
import sys
from pathlib import Path
from promptprop.adapters.storage.migrate import upgrade
upgrade(sys.argv[1], Path(sys.argv[2]))
"""


@pytest.mark.no_cover
def test_a_migration_that_is_killed_half_way_leaves_the_old_revision(empty_url: str, tmp_path: Path) -> None:
    open_store(empty_url).close()
    fill(empty_url)
    before = contents(empty_url)
    scripts = later_scripts(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    killed = subprocess.run([sys.executable, "-c", UPGRADE, empty_url, str(scripts)], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert contents(empty_url) == before
    assert check(empty_url) == []
    (scripts / "versions" / "next.py").write_text(NEXT.format(head=HEAD, more=""))
    assert upgrade(empty_url, scripts).after == "next"


WRITE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
for number in range(100, 100_000):
    connection.execute(f"INSERT INTO datasets VALUES ('d{number}', 'n', 1, '2026-01-02 00:00:00.000000')")
    print(number, flush=True)
    if not connection.execute("SELECT 1 FROM runs").fetchone():
        sys.exit("the rows went away")
"""


@pytest.mark.no_cover
def test_a_database_is_upgraded_while_another_process_writes_to_it(database_url: str) -> None:
    build(database_url, "0001")
    fill(database_url)
    command_line = [sys.executable, "-c", WRITE, str(file_of(database_url))]
    with subprocess.Popen(command_line, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        done = upgrade(database_url)
        seen = [writer.stdout.readline() for _ in range(3)][-1]  # it goes on afterwards
        assert writer.poll() is None
        writer.kill()
        last = ([seen, *writer.stdout.read().splitlines()])[-1]
    assert done.after == HEAD
    stored = {row[0] for row in contents(database_url)["datasets"]}
    assert {f"d{number}" for number in range(100, int(last) + 1)} <= stored
    assert check(database_url) == []
    assert done.backup is not None
    assert contents(f"sqlite:///{done.backup}")["datasets"] != []


def test_an_upgrade_waits_for_a_writer_and_gives_up_in_words(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(database_url, "0001")
    monkeypatch.setattr("promptprop.adapters.storage.connection.BUSY_SECONDS", 0)
    with closing(sqlite3.connect(file_of(database_url), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="locked"):
            upgrade(database_url)
    assert migrate.stored_revision(database_url) == "0001"
    assert upgrade(database_url).after == HEAD


def test_the_file_is_copied_before_it_is_changed_and_only_then(database_url: str) -> None:
    build(database_url, "0001")
    fill(database_url)
    before = contents(database_url)
    done = upgrade(database_url)
    assert done.backup is not None
    assert done.backup.parent == file_of(database_url).parent / "backups"
    assert "revision-0001" in done.backup.name
    copy = f"sqlite:///{done.backup}"
    assert contents(copy) == before
    assert migrate.stored_revision(copy) == "0001"
    assert upgrade(database_url) == Upgraded(HEAD, HEAD, None)
    assert list(done.backup.parent.iterdir()) == [done.backup]


def test_a_database_of_a_newer_version_is_refused_and_left_alone(database_url: str) -> None:
    open_store(database_url).close()
    execute(database_url, ["UPDATE alembic_version SET version_num = '9999'"])
    before = file_of(database_url).read_bytes()
    for attempt in (open_store, upgrade):
        with pytest.raises(DatabaseTooNew, match="9999"):
            attempt(database_url)
    assert file_of(database_url).read_bytes() == before
    assert check(database_url) == [f"the database is at revision 9999, this version of PromptProp is at {HEAD}"]


def test_an_older_database_waits_for_db_upgrade(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store(database_url).close()
    monkeypatch.setattr(migrate, "HEAD", "next")
    monkeypatch.setattr(migrate, "known_revisions", lambda scripts=SCRIPTS: ["next", HEAD])
    with pytest.raises(DatabaseOutdated, match=r"promptprop db upgrade.*backup first"):
        open_store(database_url, migrate=False)


def test_what_is_told_of_an_outdated_server_names_its_own_tool_without_the_password() -> None:
    remedy = migrate._how_to_upgrade("postgresql+psycopg://me:hunter2@db.example:5433/runs?sslmode=require")
    assert "hunter2" not in remedy
    assert "pg_dump --format=custom --file=runs.dump" in remedy
    assert "postgresql://me@db.example:5433/runs?sslmode=require" in remedy


def test_no_revision_offers_a_downgrade() -> None:
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(migrate._config(SCRIPTS)).walk_revisions()
    assert [script.revision for script in scripts if hasattr(script.module, "downgrade")] == []


def test_check_names_what_is_wrong(database_url: str) -> None:
    with pytest.raises(DatabaseAbsent, match="there is no database"):
        check(database_url)
    open_store(database_url).close()
    execute(database_url, ["INSERT INTO events VALUES ('nobody', 1, 'k', '{}', '{}', '2026-01-02 00:00:00')"])
    execute(database_url, ["DROP INDEX ix_runs_name_created_at_id", "ALTER TABLE baselines ADD COLUMN extra TEXT"])
    found = check(database_url)
    assert found[0] == "foreign keys: 1 rows of events miss their runs"
    assert any("ix_runs_name_created_at_id" in line for line in found)
    assert any("extra" in line for line in found)


def test_upgrading_what_is_not_there_creates_nothing(database_url: str, tmp_path: Path) -> None:
    with pytest.raises(DatabaseAbsent, match="there is no database"):
        upgrade(database_url)
    assert list(tmp_path.iterdir()) == []
