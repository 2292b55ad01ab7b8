"""One process per run: an operating-system lock next to an SQLite file, an advisory lock on a server.

Both end with the process that holds them, however it ends, so that nothing stale can keep a run locked. A server's lock
also ends with the connection that took it. The writer asks a `lock_guard` before each commit: a process that has lost
the lock of a run stores nothing more, and since a run uses nothing before it is stored, the run stops.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from sqlalchemy import Connection

from promptprop.adapters.storage.connection import (
    IDENTITY,
    make_engine,
    parse_url,
    sqlite_file,
    translate,
    translated,
)
from promptprop.adapters.storage.sessions import has_ended
from promptprop.domain.errors import RunLocked, StorageError

SERVER_KEEPALIVES = {"tcp_keepalives_idle": 30, "tcp_keepalives_interval": 10, "tcp_keepalives_count": 3}  # seconds
LONGEST_HOLDER = 1000  # bytes of a lock file that say who holds it
SOMEBODY = (None, "another process")
LOOK_SECONDS = 0.2  # who looks whether a run is held shares its lock file for far less than that


@dataclass(frozen=True, slots=True, eq=False)
class ServerLock:
    """A run's lock on a server, and the connection that it lives and dies with."""

    run_id: str
    connection: Connection


_held: dict[str, set[ServerLock]] = {}  # by database
_held_lock = threading.Lock()


@contextmanager
def run_lock(url: str, run_id: str) -> Iterator[None]:
    """Hold the run, or raise RunLocked at once, saying who holds it; a second holder in one process counts."""
    file = sqlite_file(url)
    if file is None:
        with _server_lock(url, run_id):
            yield
    else:
        with _file_lock(file.parent / "locks" / _file_name(run_id), run_id):
            yield


def run_holder(url: str, run_id: str) -> RunLocked | None:
    """The refusal that `run_lock` would raise now, which says who holds the run; None where it is free.

    A look takes nothing and writes nothing: another process that takes the run meanwhile is not refused for it.
    """
    file = sqlite_file(url)
    return _server_holder(url, run_id) if file is None else _file_holder(file.parent / "locks", run_id)


def lock_guard(url: str) -> Callable[[], None]:
    """A check that raises StorageError where this process has lost a run's lock on this database."""
    name = _name_of(url)

    def require() -> None:
        with _held_lock:
            lost = [lock.run_id for lock in _held.get(name, ()) if has_ended(lock.connection)]
        if lost:
            message = f"the database server ended the connection that kept other processes off the run {lost[0][:8]}"
            remedy = f"resume it: `promptprop runs resume {lost[0][:8]}`; what was committed is safe"
            raise StorageError(message, remedy=remedy)

    return require


@dataclass(frozen=True, slots=True, eq=False)
class HeldName:
    """A name that one process at a time holds on a server, until it is closed or its connection ends."""

    connection: Connection

    @property
    def lost(self) -> bool:
        """Whether the server has ended the connection, and others may hold the name."""
        return has_ended(self.connection)

    def close(self) -> None:
        """Let others have it."""
        engine = self.connection.engine
        _let_go(self.connection)
        engine.dispose()


def hold_name(url: str, name: str) -> HeldName | None:
    """Hold a name on the server of this database; None where another process has it. Raises StorageError."""
    engine = make_engine(url, "read")
    with translated():
        held = HeldName(engine.connect())
        try:
            _notice_losses(held.connection)
            free = held.connection.exec_driver_sql("SELECT pg_try_advisory_lock(%s)", (_number(name),)).scalar()
        except BaseException:
            held.close()
            raise
    if free:
        return held
    held.close()
    return None


def _let_go(connection: Connection) -> None:
    """Close what may hold a lock, so that the next one can take it at once: a server ends a session in its own time."""
    with suppress(Exception):  # of a connection that the server has ended nothing is left to be freed or closed
        if not has_ended(connection):
            connection.exec_driver_sql("SELECT pg_advisory_unlock_all()")
    with suppress(Exception):
        connection.close()


def _notice_losses(connection: Connection) -> None:
    """Have the server look after a silent client: where its host is gone, its locks would stay for hours else."""
    for name, value in SERVER_KEEPALIVES.items():
        connection.exec_driver_sql(f"SET {name} = {value}")


def _number(name: str) -> int:
    return int.from_bytes(_digest(name)[:8], "big", signed=True)


def _name_of(url: str) -> str:
    return parse_url(url).render_as_string(hide_password=False)


def _file_name(run_id: str) -> str:
    """A file name for any id: itself where that is safe."""
    if re.fullmatch(r"[A-Za-z0-9_-]{1,100}", run_id):
        return f"{run_id}.lock"
    return _digest(run_id).hex()[:32] + ".lock"


def _digest(run_id: str) -> bytes:
    return hashlib.sha256(run_id.encode("utf-8", "surrogatepass")).digest()


@contextmanager
def _file_lock(path: Path, run_id: str) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise translate(error) from error
    try:
        if not _taken(descriptor):
            raise _locked(run_id, *_named(os.pread(descriptor, LONGEST_HOLDER, 0)))
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        holder = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": now})
        try:
            with translated():
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, holder.encode(), 0)
            # The file stays: removing it would let a third process lock a new one while a second waits on the old one.
            yield
        finally:
            os.ftruncate(descriptor, 0)  # or the next holder would be taken for this one until it has written its name
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    """Whether the file is ours now. One that is only looked at is free again in a moment, and waited for."""
    until = time.monotonic() + LOOK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.01)
        else:
            return True


def _file_holder(folder: Path, run_id: str) -> RunLocked | None:
    try:
        descriptor = os.open(folder / _file_name(run_id), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise translate(error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _locked(run_id, *_named(os.pread(descriptor, LONGEST_HOLDER, 0)))
    finally:
        os.close(descriptor)
    return None


def _named(content: bytes) -> tuple[int | None, str]:
    """The holder's process id, and words for it, from what it wrote into its lock file."""
    with suppress(ValueError, KeyError, TypeError):
        holder = json.loads(content)
        since = datetime.fromisoformat(holder["since"])
        return int(holder["pid"]), _words(int(holder["pid"]), str(holder["host"]), since)
    return SOMEBODY  # it is about to write its name


@contextmanager
def _server_lock(url: str, run_id: str) -> Iterator[None]:
    number = _number(run_id)
    name = _name_of(url)
    engine = make_engine(url, "read")
    try:
        with translated():
            connection = engine.connect()
        lock = ServerLock(run_id, connection)
        try:
            with translated():
                _notice_losses(connection)
                if not connection.exec_driver_sql("SELECT pg_try_advisory_lock(%s)", (number,)).scalar():
                    raise _locked(run_id, *(_holder(connection, number) or SOMEBODY))  # it may have ended meanwhile
            with _held_lock:
                _held.setdefault(name, set()).add(lock)
            yield
        finally:
            with _held_lock:
                _held.get(name, set()).discard(lock)
            _let_go(connection)
    finally:
        engine.dispose()


def _server_holder(url: str, run_id: str) -> RunLocked | None:
    engine = make_engine(url, "read")
    try:
        with translated(), engine.connect() as connection:
            holder = _holder(connection, _number(run_id))
    finally:
        engine.dispose()
    return None if holder is None else _locked(run_id, *holder)


def _holder(connection: Connection, number: int) -> tuple[int | None, str] | None:
    """Who holds an advisory lock, as its connection says; None where nobody does."""
    statement = (
        "SELECT a.application_name, a.backend_start FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid "
        "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.database = "
        "(SELECT oid FROM pg_database WHERE datname = current_database()) "
        "AND l.classid::bigint = %s AND l.objid::bigint = %s"
    )
    halves = ((number >> 32) & 0xFFFFFFFF, number & 0xFFFFFFFF)
    found = connection.exec_driver_sql(statement, halves).first()
    if found is None:
        return None
    named = IDENTITY.fullmatch(found.application_name or "")
    if named is None:  # the server hides its name
        return SOMEBODY
    pid = int(named["pid"])
    return pid, _words(pid, named["host"], found.backend_start)


def _words(pid: int, host: str, since: datetime | None) -> str:
    when = f" (since {since.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S} UTC)" if since else ""
    return f"process {pid} on {host}{when}"


def _locked(run_id: str, pid: int | None, holder: str) -> RunLocked:
    end = f"end it (`kill -INT {pid}`)" if pid else "end it"
    remedy = f"wait until it is done, or {end} and then resume: `promptprop runs resume {run_id[:8]}`"
    return RunLocked(f"{holder} is working on the run {run_id[:8]}", remedy=remedy)
