"""Tells when files have been saved: by looking at them now and then, without anything of the system's own."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

SECONDS = 0.3  # between two looks
LOOKS = 20  # after which a file that never stops to change, such as a log, has been saved, too
Mark: TypeAlias = "tuple[int, int, int] | None"  # time, size and number of a file; None where there is none


class Saves:
    """Files, with the contents that were last seen of them.

    An editor writes a file in several steps, or puts another one in its place: a save counts once two looks in a row
    have seen the same. A file that is touched, or saved as it was, has not changed.
    """

    def __init__(self, pause: Callable[[float], None] = time.sleep, seconds: float = SECONDS) -> None:
        """`pause` waits so many seconds."""
        self._pause = pause
        self._seconds = seconds
        self._marks: dict[Path, Mark] = {}
        self._contents: dict[Path, str] = {}

    @property
    def files(self) -> list[Path]:
        """The files that are looked at."""
        return list(self._marks)

    def follow(self, paths: Iterable[Path]) -> None:
        """Look at these files from now on, and at no others. Those that are known keep what was last seen of them.

        Call it before the files are read: what is saved while they are being used is then seen by the next `wait`.
        """
        wanted = dict.fromkeys(paths)
        self._marks = {path: self._marks[path] if path in self._marks else mark_of(path) for path in wanted}
        self._contents = {path: self._contents.get(path) or contents_of(path) for path in wanted}

    def wait(self) -> list[Path]:
        """Wait until files have other contents than before, and return those."""
        while True:
            self._pause(self._seconds)
            now = self._settled()
            touched = [path for path, mark in now.items() if mark != self._marks[path]]
            fresh = {path: contents_of(path) for path in touched}
            changed = [path for path in touched if fresh[path] != self._contents[path]]
            self._marks = now
            self._contents |= fresh
            if changed:
                return changed

    def _settled(self) -> dict[Path, Mark]:
        """The marks of all files, once they have stopped to change, or have gone on for longer than a save takes."""
        now = {path: mark_of(path) for path in self._marks}
        if now == self._marks:
            return now
        for _ in range(LOOKS):
            self._pause(self._seconds)
            before, now = now, {path: mark_of(path) for path in self._marks}
            if now == before:
                break
        return now


def mark_of(path: Path) -> Mark:
    """What changes when a file is written: compared often, since it costs nothing."""
    try:
        found = path.stat()
    except OSError:  # not there, or not to be looked at: whoever reads it says so
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def contents_of(path: Path) -> str:
    """A digest of a file's contents; empty where it cannot be read."""
    try:
        with path.open("rb") as file:
            found = hashlib.sha256()
            while part := file.read(1 << 20):
                found.update(part)
            return found.hexdigest()
    except OSError:  # whoever reads it says so
        return ""
