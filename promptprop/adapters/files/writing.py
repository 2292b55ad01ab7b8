"""Files written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path

from promptprop.domain.errors import NotWritable, StorageError, StorageFull

FULL = (errno.ENOSPC, errno.EDQUOT)


def write_atomically(path: str | Path, text: str | bytes) -> None:
    """Write a file so that a reader, or a crash, meets the old contents or the new ones, never a part.

    Text is written as UTF-8 with its line ends as they are. A file that is replaced keeps its mode, a link keeps
    pointing where it did, and what is no regular file (a pipe, /dev/stdout) is written straight. Folders are not made.
    Raises StorageFull or NotWritable.
    """
    data = text.encode("utf-8") if isinstance(text, str) else text
    try:
        mode = _mode(Path(path))
        target = Path(path).resolve()
        if mode is not None and stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if mode is not None and not stat.S_ISREG(mode):
            Path(path).write_bytes(data)  # a pipe has no other name than the one it was given by
            return
        _replace(target, data, mode)
    except OSError as error:
        raise _translated(Path(path), error) from error


def make_folder(folder: Path, remedy: str = "") -> None:
    """Make a folder with those above it, unless it is there. Raises NotWritable, with this remedy."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotWritable(f"the folder {folder} cannot be made: {error.strerror or error}", remedy=remedy) from error


def require_folder(path: Path) -> None:
    """Tell in time that a file cannot be put where it is wanted, before what it is for has cost something.

    Raises NotWritable.
    """
    folder = path.resolve().parent
    if not folder.is_dir():
        raise _translated(path, FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)))
    if not os.access(folder, os.W_OK):
        raise _translated(path, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


def _mode(path: Path) -> int | None:
    """Type and mode of what a path leads to; None where nothing is yet. Raises OSError, for circles of links too."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


def _replace(target: Path, data: bytes, mode: int | None) -> None:
    """Write next to the target, then put the new file in its place."""
    draft = target.with_name(f".{target.name[:100]}.{secrets.token_hex(6)}.tmp")
    try:
        # Exclusive creation follows no planted link, and gives a new file the mode that the umask asks for.
        with os.fdopen(
            os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666), "wb"
        ) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            draft.chmod(stat.S_IMODE(mode))
        draft.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            draft.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Make the new name durable, where the system can: Windows and some network folders cannot."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _translated(path: Path, error: OSError) -> StorageError:
    """What an operating system error means to who wanted the file."""
    if error.errno in FULL:
        return StorageFull(f"cannot write {path}: no space is left", remedy="free some space, or write elsewhere")
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return NotWritable(f"cannot write {path}: there is no folder {path.parent}", remedy="make the folder first")
    if isinstance(error, IsADirectoryError):
        return NotWritable(f"cannot write {path}: it is a folder", remedy="name a file in it")
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return NotWritable(f"cannot write {path}: permission denied", remedy="choose a folder that you may write to")
    return NotWritable(f"cannot write {path}: {error.strerror or error}", remedy="choose another file")
