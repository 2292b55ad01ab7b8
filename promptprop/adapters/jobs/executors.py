"""Executor ids: unique among all that work on a database, stable over restarts, and held by a lock of the system.

An executor id names the jobs that a worker has in hand, so that the worker's next start finds them. Two workers with
one id would take each other's jobs; a worker with a new id would never find its own. The lock ends with its process,
however that ends. With a database server a second lock is held there, so that hosts with one name are told apart.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from promptprop.adapters.storage.connection import sqlite_file, translate
from promptprop.adapters.storage.locks import HeldName, hold_name
from promptprop.domain.errors import UsageError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
SLOTS = 1000  # executors on one host that work on one database
PATIENCE = 5.0  # seconds for which a name that is taken is waited for: who had it before may be about to end
SUFFIX = ".lock"


@dataclass(slots=True, eq=False)
class Slot:
    """An executor id, held until it is closed or the process ends: on this host, and on the database's server."""

    name: str
    url: str
    descriptor: int
    on_server: HeldName | None = None

    def keep(self) -> None:
        """Hold the id anew where the server has ended the connection that held it.

        Raises UsageError where another worker has become this executor meanwhile.
        """
        if self.on_server is None or not self.on_server.lost:
            return
        held = hold_name(self.url, _on_server(self.name))
        if held is None:
            remedy = "start this one anew: it takes another id, or give each a name of its own"
            raise UsageError(f"another worker has become the executor {self.name!r}", remedy=remedy)
        self.on_server.close()
        self.on_server = held

    def close(self) -> None:
        """Let others have it. May be called once."""
        if self.on_server is not None:
            self.on_server.close()
        os.close(self.descriptor)


@dataclass(frozen=True, slots=True)
class Roster:
    """The executors that work on the runs at `url`; `folder` holds the locks of those on this host."""

    url: str
    folder: Path

    def take(self, name: str | None = None, number: int | None = None, patience: float = PATIENCE) -> Slot:
        """Hold an executor id: this `name`; else HOST-0, HOST-1, … whichever is free first, `number` before all others.

        A name, or the number before others, is waited for. Raises UsageError where a name is taken or is none,
        StorageError where the folder cannot be written or the server is out of reach.
        """
        if name is not None:
            slot = self.wait(checked(name), patience)
            if slot is None:
                remedy = "end the other worker, or give each worker a name of its own"
                raise UsageError(f"another worker is the executor {name!r}", remedy=remedy)
            return slot
        if number is not None and (slot := self.wait(f"{host()}-{number}", patience)) is not None:
            return slot
        for free in range(SLOTS):
            if (slot := self.attempt(f"{host()}-{free}")) is not None:
                return slot
        raise UsageError(f"{SLOTS} workers of this host are at work already", remedy="end some of them")

    def attempt(self, name: str) -> Slot | None:
        """Hold this executor id if nobody does; None if somebody does, here or, on a server, elsewhere."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._file(name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise translate(error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if sqlite_file(self.url) is not None:
                return Slot(name, self.url, descriptor)
            if (held := hold_name(self.url, _on_server(name))) is not None:
                return Slot(name, self.url, descriptor, held)
        except BlockingIOError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def wait(self, name: str, patience: float = PATIENCE) -> Slot | None:
        """Hold this executor id once nobody does; None if somebody still does after so many seconds.

        Whoever looks whether an executor is at work holds its id for a moment.
        """
        until = time.monotonic() + patience
        while (slot := self.attempt(name)) is None and time.monotonic() < until:
            time.sleep(0.05)
        return slot

    def known(self) -> list[str]:
        """The executor ids that workers of this host have had so far."""
        with suppress(FileNotFoundError):
            found = [file.name.removesuffix(SUFFIX) for file in self.folder.iterdir() if file.name.endswith(SUFFIX)]
            return sorted(found)
        return []

    def held(self) -> list[str]:
        """Those of them that a worker on this host has now."""
        return [name for name in self.known() if self._is_held(name)]

    def _is_held(self, name: str) -> bool:
        try:
            descriptor = os.open(self._file(name), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise translate(error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}{SUFFIX}"


def _on_server(name: str) -> str:
    return f"executor {name}"


def host() -> str:
    """This host's name, as executor ids begin."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())[:80] or "host"


def checked(name: str) -> str:
    """The name, if it can be an executor's. Raises UsageError."""
    if not NAME.fullmatch(name):
        remedy = "use letters, digits, `.`, `_` and `-`, a letter or digit first, 100 characters at most"
        raise UsageError(f"{name!r} is no name for an executor", remedy=remedy)
    return name
