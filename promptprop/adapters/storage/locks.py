"""One process per run: an operating-system lock next to an SQLite file, an advisory lock on a server.

Both end with the process that holds them, however it ends, so that nothing stale can keep a run locked.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection

from promptprop.adapters.storage.connection import make_engine, sqlite_file, translate, translated
from promptprop.domain.errors import RunLocked


@contextmanager
def run_lock(url: str, run_id: str) -> Iterator[None]:
    """Hold the run, or raise RunLocked with the holder's process id at once; a second holder in one process counts."""
    file = sqlite_file(url)
    if file is None:
        with _server_lock(url, run_id):
            yield
    else:
        with _file_lock(file.parent / "locks" / _file_name(run_id), run_id):
            yield


def _file_name(run_id: str) -> str:
    """A file name for any id: itself where that is safe."""
    if re.fullmatch(r"[A-Za-z0-9_-]{1,100}", run_id):
        return f"{run_id}.lock"
    return hashlib.sha256(run_id.encode("utf-8", "surrogatepass")).hexdigest()[:32] + ".lock"


@contextmanager
def _file_lock(path: Path, run_id: str) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise translate(error) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 20).decode("ascii", "replace").strip()
            raise _locked(run_id, f"process {holder}" if holder else "another process") from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        # The file stays: removing it would let a third process lock a new file while a second waits on the old one.
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _server_lock(url: str, run_id: str) -> Iterator[None]:
    number = int.from_bytes(hashlib.sha256(run_id.encode("utf-8", "surrogatepass")).digest()[:8], "big", signed=True)
    engine = make_engine(url, "read")
    try:
        with translated():
            connection = engine.connect()
        with connection:
            with translated():
                if not connection.exec_driver_sql("SELECT pg_try_advisory_lock(%s)", (number,)).scalar():
                    raise _locked(run_id, _holder(connection, number))
            yield
    finally:
        engine.dispose()


def _holder(connection: Connection, number: int) -> str:
    """Who holds an advisory lock: the application name says host and process."""
    statement = (
        "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid "
        "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
        "AND l.classid::bigint = %s AND l.objid::bigint = %s"
    )
    halves = ((number >> 32) & 0xFFFFFFFF, number & 0xFFFFFFFF)
    found = connection.exec_driver_sql(statement, halves).scalar()
    return str(found) if found else "another process"


def _locked(run_id: str, holder: str) -> RunLocked:
    return RunLocked(f"{holder} is working on the run {run_id}", remedy="wait until it is done, or end it and resume")
