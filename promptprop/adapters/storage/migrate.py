"""Revisions: create a database, bring an older one up to date, check one. Alembic loads only where it is needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, inspect

from promptprop.adapters.storage.backup import backup, default_backup, dump_command
from promptprop.adapters.storage.connection import Access, lock_schema, make_engine, shown, sqlite_file, translated
from promptprop.adapters.storage.tables import metadata
from promptprop.domain.errors import DatabaseAbsent, DatabaseOutdated, DatabaseTooNew, NotWritable, StorageError

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0003"
SCRIPTS = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What an upgrade did. `backup` is the copy of an SQLite database made before it; None where nothing was done."""

    before: str
    after: str
    backup: Path | None = None


def prepare(url: str, *, must_exist: bool = False, migrate: bool = True) -> None:
    """Make sure that the database exists and is at HEAD. Raises what `open_store` raises."""
    _prepare_file(url, must_exist=must_exist)
    with _connected(url, "read") as connection:  # which changes nothing in a file that turns out not to be ours
        revision = _revision(connection, url)
    if revision is None and must_exist:
        raise _absent(url)
    if revision is None:
        with _connected(url, "write") as connection, connection.begin():
            _create(connection, url)
        return
    if revision == HEAD:
        return
    _refuse_unknown(revision, url)
    if not migrate:
        message = f"the database {shown(url)} is at revision {revision}, and this version needs {HEAD}"
        raise DatabaseOutdated(message, remedy=_how_to_upgrade(url))
    upgrade(url)


def upgrade(url: str, scripts: Path = SCRIPTS) -> Upgraded:
    """Migrate to the newest revision of `scripts`, all in one transaction, rolled back if it fails.

    An SQLite file is copied to `backups/` beside it first, under the lock that keeps other writers waiting. Foreign
    keys are off meanwhile, since a table that is rebuilt would take its child rows along; they are checked before the
    commit.
    """
    from alembic import command

    file = sqlite_file(url)
    if file is not None and not file.exists():
        raise _absent(url)
    with _connected(url, "migrate") as connection, connection.begin():
        lock_schema(connection)
        revision = _revision(connection, url)
        if revision is None:
            raise _absent(url)
        _refuse_unknown(revision, url, scripts)
        if revision == known_revisions(scripts)[0]:
            return Upgraded(revision, revision)
        copy = None
        if file is not None:
            copy = backup(url, _free(default_backup(url, datetime.now(timezone.utc), f"revision-{revision}")))
        config = _config(scripts)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        broken = _broken_keys(connection)
        if broken:
            raise StorageError("the migration broke foreign keys: " + "; ".join(broken))
        return Upgraded(revision, _revision(connection, url) or HEAD, copy)


def _how_to_upgrade(url: str) -> str:
    if sqlite_file(url) is None:
        return f"back it up (`{dump_command(url)}`), then run `promptprop db upgrade` on it"
    return "run `promptprop db upgrade`, with the same --db if you passed one; it makes a backup first"


def _free(path: Path) -> Path:
    """`path`, or the same with a number where an upgrade in the same second has taken it."""
    numbered = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(2, 1000))
    return path if not path.exists() else next(other for other in numbered if not other.exists())


def stored_revision(url: str) -> str:
    """The revision that a database is at, any version's. Raises DatabaseAbsent, StorageError where it is not ours."""
    file = sqlite_file(url)
    if file is not None and not file.exists():
        raise _absent(url)
    with _connected(url, "read") as connection:
        revision = _revision(connection, url)
    if revision is None:
        raise _absent(url)
    return revision


def check(url: str) -> list[str]:
    """What is wrong with a database, in sentences; an empty list where nothing is.

    Looked at: the file's integrity, foreign keys, the revision, and whether the tables are those of this version.
    Raises DatabaseAbsent where there is none (an empty file is none), StorageError where it cannot be read.
    """
    file = sqlite_file(url)
    if file is not None and not file.exists():
        raise _absent(url)
    try:
        return _problems(url)
    except StorageError as error:
        if "db check" in error.remedy:  # which has just been run
            error.remedy = "restore a backup, or pass another database with --db"
        raise


def _problems(url: str) -> list[str]:
    with _connected(url, "read") as connection:
        problems = _damage(connection)
        if problems:
            return problems
        revision = _revision(connection, url)
        if revision is None:
            raise _absent(url)
        if revision != HEAD:
            return [f"the database is at revision {revision}, this version of PromptProp is at {HEAD}"]
        return _broken_keys(connection) + _drift(connection)


def known_revisions(scripts: Path = SCRIPTS) -> list[str]:
    """All revisions of `scripts`, newest first."""
    from alembic.script import ScriptDirectory

    return [script.revision for script in ScriptDirectory.from_config(_config(scripts)).walk_revisions()]


@contextmanager
def _connected(url: str, access: Access) -> Iterator[Connection]:
    """One connection for one purpose, with the database's errors translated."""
    engine = make_engine(url, access)
    try:
        with translated(shown(url)), engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def _prepare_file(url: str, *, must_exist: bool) -> None:
    file = sqlite_file(url)
    if file is None:
        return
    if must_exist and not file.exists():
        raise _absent(url)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        remedy = "check the permissions of the folder, or pass another database with --db"
        raise NotWritable(f"the folder {file.parent} cannot be made: {error.strerror}", remedy=remedy) from error


def _revision(connection: Connection, url: str) -> str | None:
    """The revision of our tables; None in an empty database. Raises StorageError where other tables lie there."""
    tables = set(inspect(connection).get_table_names())  # one look: another process may be creating them right now
    if {"alembic_version", "run_calls"} <= tables:
        found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        return None if found is None else str(found)
    if tables:
        remedy = "pass a database of PromptProp's own with --db"
        raise StorageError(f"the database {shown(url)} holds the tables of another program", remedy=remedy)
    return None


def _create(connection: Connection, url: str) -> None:
    """Create all tables and stamp them; a test proves that migrations would have built the same ones."""
    lock_schema(connection)
    if _revision(connection, url) is not None:
        return  # another process was faster
    metadata.create_all(connection, checkfirst=False)
    connection.exec_driver_sql(
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
        "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
    )
    connection.exec_driver_sql(f"INSERT INTO alembic_version (version_num) VALUES ('{HEAD}')")  # noqa: S608 - a constant


def _refuse_unknown(revision: str, url: str, scripts: Path = SCRIPTS) -> None:
    if revision not in known_revisions(scripts):
        message = f"the database {shown(url)} was written by a newer version of PromptProp (revision {revision})"
        raise DatabaseTooNew(message, remedy="update PromptProp, or pass another database with --db")


def _absent(url: str) -> DatabaseAbsent:
    remedy = "`promptprop optimize` creates it; pass --db where it lies elsewhere"
    return DatabaseAbsent(f"there is no database at {shown(url)}", remedy=remedy)


def _config(scripts: Path) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _damage(connection: Connection) -> list[str]:
    if connection.dialect.name != "sqlite":
        return []
    found = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
    return [f"integrity: {line}" for line in found if line != "ok"]


def _broken_keys(connection: Connection) -> list[str]:
    """Rows whose parent is gone. A server checks by itself."""
    if connection.dialect.name != "sqlite":
        return []
    counts: dict[tuple[str, str], int] = {}
    for table, _row, parent, _key in connection.exec_driver_sql("PRAGMA foreign_key_check").all():
        counts[table, parent] = counts.get((table, parent), 0) + 1
    return [f"foreign keys: {count} rows of {table} miss their {parent}" for (table, parent), count in counts.items()]


def _drift(connection: Connection) -> list[str]:
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return [f"schema: {difference}" for difference in _flat(compare_metadata(context, metadata))]


def _flat(differences: Iterable[Any]) -> Iterable[str]:
    """Alembic nests the changes of one column; each tuple begins with what would have to be done."""
    for difference in differences:
        if isinstance(difference, list):
            yield from _flat(difference)
        else:
            yield " ".join(str(part) for part in difference if part is not None)
