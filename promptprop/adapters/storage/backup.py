"""Copies of an SQLite database, taken while runs write to it, and the space that it gives back."""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from promptprop.adapters.storage.connection import Access, make_engine, parse_url, sqlite_file, translate, translated
from promptprop.domain.errors import DatabaseAbsent, NotWritable, StorageError, StorageFull, UsageError

FOLDER = "backups"
SECRETS = ("password", "passfile", "sslpassword", "sslkey")  # parameters of a URL that a command should not show


def default_backup(url: str, now: datetime, label: str = "") -> Path:
    """Where a backup goes that nobody named: `backups/` next to the database, with the time to the second, in UTC.

    Raises UsageError for a server.
    """
    file = _file_of(url)
    parts = [file.stem, *([label] if label else []), now.strftime("%Y%m%dT%H%M%SZ")]
    return file.parent / FOLDER / f"{'-'.join(parts)}{file.suffix}"


def backup(url: str, target: Path, *, replace: bool = False) -> Path:
    """Copy an SQLite database as it is at this moment, in one file, and check the copy; writers are not held up.

    The copy appears whole or not at all. Raises UsageError for a server, where the file exists (unless `replace`) or
    is the database itself; NotWritable, StorageFull, StorageError.
    """
    source = _file_of(url)
    if not source.exists():
        raise DatabaseAbsent(f"there is no database at {source}", remedy="pass --db where it lies elsewhere")
    if target.exists() and target.samefile(source):
        raise UsageError(f"{target} is the database itself", remedy="name another file")
    if target.is_dir():
        raise UsageError(f"{target} is a folder", remedy=f"name a file: {target / source.name}")
    if target.exists() and not replace:
        raise UsageError(f"{target} exists already", remedy="name another file, or say -y to replace it")
    draft = target.with_name(f".{target.name[:100]}.{secrets.token_hex(6)}.tmp")
    with _refusals(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with _removed(draft), _refusals(target):
        _copy(url, draft)
        shutil.copymode(source, draft)
        draft.replace(target)
    return target


def compact(url: str) -> None:
    """Give the space of removed rows back to the system. Raises StorageError where others write all the time.

    SQLite needs as much room again for a moment. A server sees to it by itself: nothing happens there.
    """
    if sqlite_file(url) is None:
        return
    with _driver(url, "write") as driver:
        driver.execute("VACUUM")
        driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


def dump_command(url: str) -> str:
    """How a server's own tool makes a backup; without the password, which it takes from PGPASSWORD or ~/.pgpass."""
    parsed = parse_url(url)
    query = {name: value for name, value in parsed.query.items() if name not in SECRETS}
    address = URL.create("postgresql", parsed.username, None, parsed.host, parsed.port, parsed.database, query)
    name = shlex.quote(f"{parsed.database or 'promptprop'}.dump")
    return f"pg_dump --format=custom --file={name} --dbname={shlex.quote(address.render_as_string())}"


def _file_of(url: str) -> Path:
    file = sqlite_file(url)
    if file is None:
        raise UsageError("a server makes its own backups", remedy=dump_command(url))
    return file


def _copy(url: str, draft: Path) -> None:
    """One step copies all pages under one read: in WAL mode the writers go on, and are not in the copy."""
    with translated(), _driver(url, "read") as driver, closing(sqlite3.connect(draft, isolation_level=None)) as copy:
        driver.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE").fetchone()  # one file, with no journal beside it
        found = [line for (line,) in copy.execute("PRAGMA integrity_check").fetchall() if line != "ok"]
        if found:
            raise StorageError(
                f"the copy is damaged, as the database seems to be: {found[0]}", remedy="`promptprop db check`"
            )
    descriptor = os.open(draft, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _driver(url: str, access: Access) -> Iterator[Any]:
    """The driver's own connection: SQLAlchemy would begin a transaction, in which neither of these works."""
    engine = make_engine(url, access)
    try:
        with translated(), closing(engine.raw_connection()) as connection:
            yield connection.driver_connection
    finally:
        engine.dispose()


@contextlib.contextmanager
def _refusals(target: Path) -> Iterator[None]:
    """What the system refuses is about the copy here, not about the database."""
    try:
        yield
    except (OSError, StorageFull, NotWritable) as error:
        reason = translate(error)
        if isinstance(reason, StorageFull):
            remedy = "free some space there, or name a file on another disk"
            raise StorageFull(f"the disk has no room for the backup {target}", remedy=remedy) from error
        said = f": {error.strerror}" if isinstance(error, OSError) else ""
        remedy = "check the permissions of the folder, or name a file elsewhere"
        raise NotWritable(f"the backup {target} cannot be written{said}", remedy=remedy) from error


@contextlib.contextmanager
def _removed(draft: Path) -> Iterator[None]:
    """Leave no half of a copy behind."""
    try:
        yield
    finally:
        for leftover in (draft, draft.with_name(f"{draft.name}-journal"), draft.with_name(f"{draft.name}-wal")):
            leftover.unlink(missing_ok=True)
