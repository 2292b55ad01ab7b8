"""Executor ids: unique among all that work on a database, stable over restarts, and held by a lock of the system.

An executor id names the jobs that a worker has in hand, so that the worker's next start finds them. Two workers with
one id would take each other's jobs; a worker with a new id would never find its own. The lock ends with its process,
however that ends.
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

from promptprop.adapters.storage.connection import translate
from promptprop.domain.errors import UsageError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
SLOTS = 1000  # executors on one host that work on one database
PATIENCE = 5.0  # seconds for which a name that is taken is waited for: who had it before may be about to end
SUFFIX = ".lock"


@dataclass(frozen=True, slots=True, eq=False)
class Slot:
    """An executor id, held until it is released or the process ends."""

    name: str
    descriptor: int

    def close(self) -> None:
        """Let others have it. May be called once."""
        os.close(self.descriptor)


def take_slot(folder: Path, name: str | None = None, number: int | None = None, patience: float = PATIENCE) -> Slot:
    """Hold an executor id: this `name`; else HOST-0, HOST-1, … whichever is free first, `number` before all others.

    A name, or the number before others, is waited for. Raises UsageError where a name is taken or is none, StorageError
    where the folder cannot be written.
    """
    if name is not None:
        slot = _waited(folder, checked(name), patience)
        if slot is None:
            remedy = "end the other worker, or give each worker a name of its own"
            raise UsageError(f"another worker on this host is the executor {name!r}", remedy=remedy)
        return slot
    if number is not None and (slot := _waited(folder, f"{host()}-{number}", patience)) is not None:
        return slot
    for free in range(SLOTS):
        if (slot := try_slot(folder, f"{host()}-{free}")) is not None:
            return slot
    raise UsageError(f"{SLOTS} workers of this host are at work already", remedy="end some of them")


def try_slot(folder: Path, name: str) -> Slot | None:
    """Hold this executor id if nobody on this host does; None if somebody does."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / f"{name}{SUFFIX}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise translate(error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return Slot(name, descriptor)


def known_slots(folder: Path) -> list[str]:
    """The executor ids that workers of this host have had so far."""
    with suppress(FileNotFoundError):
        return sorted(file.name.removesuffix(SUFFIX) for file in folder.iterdir() if file.name.endswith(SUFFIX))
    return []


def held_slots(folder: Path) -> list[str]:
    """Those of them that a worker has now."""
    return [name for name in known_slots(folder) if is_held(folder, name)]


def is_held(folder: Path, name: str) -> bool:
    """Whether a worker on this host is this executor."""
    try:
        descriptor = os.open(folder / f"{name}{SUFFIX}", os.O_RDONLY | os.O_CLOEXEC)
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


def host() -> str:
    """This host's name, as executor ids begin."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())[:80] or "host"


def checked(name: str) -> str:
    """The name, if it can be an executor's. Raises UsageError."""
    if not NAME.fullmatch(name):
        remedy = "use letters, digits, `.`, `_` and `-`, a letter or digit first, 100 characters at most"
        raise UsageError(f"{name!r} is no name for an executor", remedy=remedy)
    return name


def _waited(folder: Path, name: str, patience: float) -> Slot | None:
    until = time.monotonic() + patience
    while (slot := try_slot(folder, name)) is None and time.monotonic() < until:
        time.sleep(0.05)
    return slot
