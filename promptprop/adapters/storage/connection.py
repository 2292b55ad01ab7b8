"""Connections, and every difference between the databases: engines, pragmas, upserts, point reads, errors."""

from __future__ import annotations

import errno
import os
import re
import socket
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import IsolationLevel
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from promptprop.adapters.logs import redact
from promptprop.domain.errors import NotWritable, PromptPropError, StorageError, StorageFull

Access = Literal["read", "write", "migrate"]
Insert: TypeAlias = "sqlite.Insert | postgresql.Insert"

BUSY_SECONDS = 30
CHUNK = 500  # values in one IN (…): well under the 999 of old SQLite builds
IDENTITY = re.compile(r"promptprop (?P<host>\S*) pid (?P<pid>\d+)")  # what a connection calls itself at its server
HOST_LENGTH = 30  # characters: servers cut off a name after 63 bytes
SERVER_OPTIONS = {  # seconds, so that a server or network that went away is noticed; a URL's own parameters win
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
SCHEMA_LOCK = 0x70726F6D70747072  # any number that only PromptProp takes: "promptpr"


def parse_url(url: str) -> URL:
    """The database that `url` names. Raises StorageError where it is none, or one that PromptProp cannot use."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:  # the latter for a port that is no number
        remedy = "write sqlite:///path/to/file.db or postgresql+psycopg://user@host/name"
        raise StorageError(f"{redact(url)!r} is not a database URL", remedy=remedy) from error
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite", "postgresql+psycopg"):
        remedy = "use sqlite:///… or postgresql+psycopg://…"
        raise StorageError(f"databases of the kind {parsed.drivername!r} are not supported", remedy=remedy)
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        remedy = "name a file: sqlite:///.promptprop/promptprop.db"
        raise StorageError("an in-memory database would forget what was paid for", remedy=remedy)
    if parsed.get_backend_name() == "sqlite" and "?" in url:
        remedy = "name a file whose path has no question mark, with --db or PROMPTPROP_DATABASE_URL"
        raise StorageError(f"what follows the ? in {url!r} would not be part of the file's name", remedy=remedy)
    return parsed


def shown(url: str) -> str:
    """The URL without its password."""
    return parse_url(url).render_as_string(hide_password=True)


def sqlite_file(url: str) -> Path | None:
    """The file of an SQLite database, None for a server."""
    parsed = parse_url(url)
    return Path(parsed.database or "") if parsed.get_backend_name() == "sqlite" else None


def make_engine(url: str, access: Access) -> Engine:
    """An engine without a pool: `read` commits by itself, `write` begins IMMEDIATE, `migrate` has foreign keys off."""
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite_engine(parsed, access)
    level: IsolationLevel = "AUTOCOMMIT" if access == "read" else "READ COMMITTED"
    options: dict[str, Any] = {name: value for name, value in SERVER_OPTIONS.items() if name not in parsed.query}
    options["application_name"] = f"promptprop {socket.gethostname()[:HOST_LENGTH]} pid {os.getpid()}"
    try:
        engine = create_engine(parsed, poolclass=NullPool, connect_args=options, isolation_level=level)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        remedy = 'install the extra: pip install "promptprop[postgres]"'
        raise StorageError("the PostgreSQL driver is not installed", remedy=remedy) from error
    if access == "read":
        event.listen(engine, "connect", _compile_nothing)
    return engine


def _compile_nothing(connection: Any, _record: Any) -> None:
    """Reads are short, and compiling one takes the server longer: half a second for a page that it reads in 20 ms.

    As a statement, since poolers refuse it among the options of a connection; a server without the setting stays as is.
    """
    connection.execute("SELECT set_config('jit', 'off', false) FROM pg_settings WHERE name = 'jit'")
    connection.commit()


def _sqlite_engine(url: URL, access: Access) -> Engine:
    # The driver would begin transactions by itself, and only before a write; isolation_level=None leaves that to us.
    arguments = {"check_same_thread": False, "timeout": BUSY_SECONDS, "isolation_level": None}
    engine = create_engine(url, poolclass=NullPool, connect_args=arguments)

    def set_pragmas(connection: Any, _record: Any) -> None:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
        connection.execute(f"PRAGMA foreign_keys = {'OFF' if access == 'migrate' else 'ON'}")
        if access == "read":
            connection.execute("PRAGMA query_only = ON")
        else:
            write_ahead(connection)
            connection.execute("PRAGMA synchronous = FULL")

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    event.listen(engine, "connect", set_pragmas)
    if access != "read":
        event.listen(engine, "begin", begin)
    return engine


def write_ahead(connection: sqlite3.Connection, seconds: float = BUSY_SECONDS) -> None:
    """Set an SQLite file to write ahead. Raises sqlite3.OperationalError once it was locked for so many `seconds`.

    Of a file that another process is just creating the pragma is refused at once, whatever the busy timeout.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= until:
                raise
            time.sleep(0.01)
        else:
            return


def lock_schema(connection: Connection) -> None:
    """Let one process at a time create or migrate; SQLite's BEGIN IMMEDIATE has seen to it already."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({SCHEMA_LOCK})")


def serialize(connection: Connection, purpose: str) -> None:
    """Let one transaction at a time do this on a server, until it commits; SQLite has one writer at a time anyway."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext(%s), 0)", (purpose,))


def is_conflict(error: BaseException) -> bool:
    """Whether a server broke off a transaction in favour of another one, so that it may simply be repeated."""
    original = error.orig if isinstance(error, DBAPIError) else error
    return getattr(original, "sqlstate", None) in ("40001", "40P01")


def insert(connection: Connection, table: Table) -> Insert:
    """An INSERT of the connection's dialect, which knows ON CONFLICT."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def chunks(values: Sequence[Any], size: int = CHUNK) -> Iterator[Sequence[Any]]:
    """`values` in slices of at most `size`.

    >>> [list(part) for part in chunks([1, 2, 3], 2)]
    [[1, 2], [3]]
    """
    for start in range(0, len(values), size):
        yield values[start : start + size]


@contextmanager
def translated(where: str = "") -> Iterator[None]:
    """Raise whatever the database raises as a StorageError; `where` is the database, for those that name it."""
    try:
        yield
    except PromptPropError:
        raise
    except Exception as error:
        raise translate(error, where) from error


def translate(error: BaseException, where: str = "") -> PromptPropError:
    """The error of our tree that says what `error` means, and what to do; `where` is the database, if it is known."""
    if isinstance(error, PromptPropError):
        return error
    original = (error.orig or error) if isinstance(error, DBAPIError) else error
    text = str(original).strip()
    low = text.lower()
    state = getattr(original, "sqlstate", None)
    number = original.errno if isinstance(original, OSError) else None
    vendor = type(original).__module__.partition(".")[0] in ("sqlite3", "psycopg")  # point reads raise them bare
    result: StorageError
    if number == errno.ENOSPC or state == "53100" or "disk is full" in low or "no space left" in low:
        remedy = "free some space and resume: what was committed is safe"
        result = StorageFull("the disk that holds the database is full", remedy=remedy)
    elif state in ("25006", "42501"):
        remedy = "name the primary server, and a user who may write there, in the database URL"
        result = NotWritable(f"the database server refuses to write: {text}", remedy=remedy)
    elif number in (errno.EACCES, errno.EPERM, errno.EROFS) or _unwritable(low):
        remedy = "check the owner and permissions of the file and its folder, or pass another one with --db"
        result = NotWritable(f"the database cannot be written: {text}", remedy=remedy)
    elif "database is locked" in low or "database is busy" in low:
        remedy = "end the process that holds it, or try again when it is done"
        result = StorageError(f"another process kept the database locked for {BUSY_SECONDS} seconds", remedy=remedy)
    elif (
        "disk i/o error" in low
    ):  # so SQLite says of all but a full disk: a quota, a limit on file sizes, a broken disk
        remedy = "check the quota, `ulimit -f` and the disk itself, then resume: what was committed is safe"
        result = StorageError("the disk refuses to read or write the database", remedy=remedy)
    elif "not a database" in low or "malformed" in low:
        remedy = "restore a backup, or pass another file with --db"
        named = f"the database {where}".rstrip()
        result = StorageError(f"{named} is damaged or is no database: {text}", remedy=remedy)
    elif (state or "").startswith(("08", "57P")) or (vendor and "connection" in low):
        remedy = "check that the server runs, and the host, user, password and name of the database URL, then try again"
        result = StorageError(f"the database server cannot be reached: {text}", remedy=remedy)
    elif vendor or isinstance(error, SQLAlchemyError):
        result = StorageError(f"the database refused: {text}", remedy="`promptprop db check` tells whether it is sound")
    else:
        result = StorageError(f"this cannot be stored: {type(original).__name__}: {text}")
    result.__cause__ = error
    return result


def _unwritable(text: str) -> bool:
    return "readonly database" in text or "unable to open database file" in text or "permission denied" in text
