"""Where dataset bytes come from: files, pipes and stdin, packed or not, readable from the start as often as needed."""

from __future__ import annotations

import difflib
import gzip
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, cast

from promptprop.domain.errors import DataError, Place, Problem

STDIN = "-"
GZIP_MAGIC = b"\x1f\x8b"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")

Start = Callable[[], BinaryIO]


def file_problem(name: str, message: str, remedy: str) -> DataError:
    """An error about a file as a whole."""
    return DataError(Problem(message, Place(name), remedy))


@contextmanager
def open_source(path: str) -> Iterator[Start]:
    """Yield a function that gives the unpacked bytes of `path` from their start, each time that it is called.

    `-` is stdin. Stdin and pipes are read once, into an unnamed temporary file. A gzip file is known by its first
    bytes. Raises DataError for whatever keeps the bytes from being read, also while they are being read.
    """
    name = "stdin" if path == STDIN else path
    try:
        with _seekable(path) as raw:
            head = raw.read(2)
            packed = head == GZIP_MAGIC
            if head in UTF16_MARKS:
                raise file_problem(name, "the file is UTF-16, not UTF-8", "save it as UTF-8")
            if head and not packed and path.lower().endswith(".gz"):
                raise file_problem(name, "the file is named .gz but is not gzip", "pack it with gzip, or rename it")

            def start() -> BinaryIO:
                raw.seek(0)
                return cast("BinaryIO", gzip.GzipFile(fileobj=raw, mode="rb")) if packed else raw

            yield start
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise file_problem(
            name, f"the gzip data is damaged: {error}", "pack the file again, or copy it anew"
        ) from error
    except OSError as error:
        raise _unreadable(path, name, error) from error


@contextmanager
def _seekable(path: str) -> Iterator[BinaryIO]:
    """The raw bytes as a seekable file."""
    if path == STDIN:
        if sys.stdin is None or sys.stdin.isatty():
            raise file_problem("stdin", "nothing is piped into stdin", "pipe a dataset in, or name a file")
        with copied(sys.stdin.buffer) as copy:
            yield copy
        return
    file = Path(path)
    with file.open("rb") as raw:
        if file.is_file():
            yield raw
            return
        with copied(raw) as copy:
            yield copy


@contextmanager
def copied(stream: IO[bytes]) -> Iterator[BinaryIO]:
    """What is left of a stream as an unnamed temporary file."""
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(stream, copy, 1 << 20)
        copy.seek(0)
        yield cast("BinaryIO", copy)


def _unreadable(path: str, name: str, error: OSError) -> DataError:
    """What an operating system error about a dataset means to its reader."""
    if isinstance(error, FileNotFoundError):
        return file_problem(name, "there is no such file", _nearby(Path(path)))
    if isinstance(error, IsADirectoryError) or Path(path).is_dir():
        return file_problem(name, "this is a folder, not a file", "name one dataset file, or one file per split")
    if isinstance(error, PermissionError):
        return file_problem(name, "the file may not be read", "give yourself the right to read it")
    return file_problem(name, f"the file cannot be read: {error.strerror or error}", "check the disk, or copy it anew")


def _nearby(path: Path) -> str:
    """A remedy for a file that is not there: the closest name in its folder, if there is one."""
    folder = path.parent
    if not folder.is_dir():
        return f"there is no folder {folder} either; check data.file"
    close = difflib.get_close_matches(path.name, sorted(entry.name for entry in folder.iterdir()), n=1)
    return f"did you mean {folder / close[0]}?" if close else f"check data.file; looked in {folder.resolve()}"
