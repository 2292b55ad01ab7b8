from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import inspect

from promptprop.adapters.storage import migrate
from promptprop.adapters.storage.connection import make_engine
from promptprop.adapters.storage.migrate import HEAD, SCRIPTS, check, known_revisions, upgrade
from promptprop.adapters.storage.store import open_store
from promptprop.domain.errors import DatabaseOutdated, DatabaseTooNew, StorageError

NEXT = '''
"""Rebuilds a parent table, as SQLite must for most changes."""
import sqlalchemy as sa
from alembic import op

revision = "next"
down_revision = "{head}"


def upgrade() -> None:
    with op.batch_alter_table("runs", recreate="always") as batch:
        batch.add_column(sa.Column("note", sa.Text()))
    {more}
'''

NOON = "'2026-01-02 12:00:00.000000'"
CHILDREN = [
    f"INSERT INTO runs VALUES ('r', 'n', 'a', 's', 1, {NOON}, {NOON}, '{{}}', 'd', NULL, 0, '{{}}')",
    "INSERT INTO events VALUES ('r', 1, 'errors_retried', '{}', '{}', '2026-01-02 00:00:00.000000')",
    f"INSERT INTO calls VALUES (1, 'k', 'task', 'm', '{{}}', 'yes', 1, 1, 0, 0, NULL, 'stop', 'm', 0, 0, {NOON})",
    "INSERT INTO run_calls VALUES ('r', 'k', 0, 1, NULL, 1, 0, 0, 0, 1, 'task', '2026-01-02 00:00:00.000000')",
    "INSERT INTO datasets VALUES ('d', 'n', 1, '2026-01-02 00:00:00.000000')",
    "INSERT INTO examples VALUES ('d', 0, 'e', '{}', '', 'c', NULL)",
]
TABLES = ("runs", "events", "calls", "run_calls", "datasets", "examples")


def file_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def build(url: str, revision: str, scripts: Path = SCRIPTS) -> None:
    """An empty database at this revision, by migrations alone."""
    file_of(url).parent.mkdir(parents=True, exist_ok=True)
    engine = make_engine(url, "migrate")
    config = migrate._config(scripts)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


def execute(url: str, statements: list[str]) -> None:
    with closing(sqlite3.connect(file_of(url))) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def counts(url: str) -> dict[str, int]:
    with closing(sqlite3.connect(file_of(url))) as connection:
        return {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in TABLES}


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


def test_a_created_database_equals_a_migrated_one(database_url: str) -> None:
    migrated = f"{database_url}.migrated"
    open_store(database_url).close()
    build(migrated, "head")
    assert shape(database_url) == shape(migrated)
    assert check(database_url) == []
    assert check(migrated) == []


@pytest.mark.parametrize("revision", known_revisions())
def test_every_revision_migrates_to_head_with_its_child_rows(database_url: str, revision: str) -> None:
    build(database_url, known_revisions()[-1])
    execute(database_url, CHILDREN)
    build(database_url, revision)
    assert upgrade(database_url) == HEAD
    assert counts(database_url) == dict.fromkeys(TABLES, 1)
    assert check(database_url) == []
    with closing(open_store(database_url)) as store:
        assert len(store.events("r")) == 1
        assert store.find_call("r", "k") is not None


def test_rebuilding_a_parent_table_keeps_its_child_rows(database_url: str, tmp_path: Path) -> None:
    open_store(database_url).close()
    execute(database_url, CHILDREN)
    assert upgrade(database_url, later_scripts(tmp_path)) == "next"
    assert counts(database_url) == dict.fromkeys(TABLES, 1)


def test_a_migration_that_breaks_foreign_keys_is_rolled_back(database_url: str, tmp_path: Path) -> None:
    open_store(database_url).close()
    execute(database_url, CHILDREN)
    scripts = later_scripts(tmp_path, """op.execute("DELETE FROM runs")""")
    with pytest.raises(StorageError, match="broke foreign keys"):
        upgrade(database_url, scripts)
    assert counts(database_url) == dict.fromkeys(TABLES, 1)
    assert check(database_url) == []


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
    with pytest.raises(DatabaseOutdated, match="promptprop db upgrade"):
        open_store(database_url, migrate=False)


def test_no_revision_offers_a_downgrade() -> None:
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(migrate._config(SCRIPTS)).walk_revisions()
    assert [script.revision for script in scripts if hasattr(script.module, "downgrade")] == []


def test_check_names_what_is_wrong(database_url: str) -> None:
    with pytest.raises(StorageError, match="there is no database"):
        check(database_url)
    open_store(database_url).close()
    execute(database_url, ["INSERT INTO events VALUES ('nobody', 1, 'k', '{}', '{}', '2026-01-02 00:00:00')"])
    execute(database_url, ["DROP INDEX ix_runs_name", "ALTER TABLE baselines ADD COLUMN extra TEXT"])
    found = check(database_url)
    assert found[0] == "foreign keys: 1 rows of events miss their runs"
    assert any("ix_runs_name" in line for line in found)
    assert any("extra" in line for line in found)


def test_upgrading_what_is_not_there_creates_nothing(database_url: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="there is no database"):
        upgrade(database_url)
    assert list(tmp_path.iterdir()) == []
