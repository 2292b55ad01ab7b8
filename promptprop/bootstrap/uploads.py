"""Uploaded datasets: kept in a file while they come, then read by a process of their own.

What a stranger sends is parsed where it can neither fill the server's memory nor keep its interpreter busy: that
process has limits on memory and time, sees no provider's key, and is killed with the request that it works for.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from promptprop.bootstrap.configuration import DATABASE_VARIABLE
from promptprop.domain import errors
from promptprop.domain.errors import DataError, Place, Problem, PromptPropError, StorageError, StorageFull
from promptprop.domain.models import Json

log = logging.getLogger("promptprop.server")
Purpose = Literal["store", "check"]
MB = 1_000_000
AT_ONCE = 2  # readers
WAITING = 8  # uploads that are under way at once, those that are read among them
SECONDS = 180.0  # for reading one
MEMORY = 1024 * MB  # of a reader
PIECE = MB  # bytes that are written at once
KEPT = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT"),
    *("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LD_LIBRARY_PATH"),
)
READER = ("-m", "promptprop.bootstrap.upload_reading")
BODY = "upload"  # how problems call the file


class Busy(PromptPropError):
    """As many uploads are under way as the server takes at once."""

    code = "busy"


class TooLarge(PromptPropError):
    """An upload is larger than the server takes."""

    code = "too_large"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an upload is: its name, its format (None: unknown), and what its columns mean, by the words of `data`."""

    name: str
    format: str | None
    columns: Mapping[str, Json]
    split: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much an upload may hold: bytes as sent and as unpacked, and rows; seconds and bytes for reading it."""

    size: int
    rows: int
    seconds: float = SECONDS
    memory: int = MEMORY


class Uploads:
    """Uploads that are under way, a bounded number."""

    def __init__(self, at_once: int = AT_ONCE, waiting: int = WAITING) -> None:
        """`at_once` are read side by side, `waiting` are under way altogether."""
        self._readers = asyncio.Semaphore(at_once)
        self._room = waiting

    @asynccontextmanager
    async def received(self, parts: AsyncIterator[bytes], bounds: Bounds) -> AsyncIterator[Path]:
        """The upload as a file, which goes with the context. Raises Busy, TooLarge, StorageFull."""
        if self._room <= 0:
            raise Busy("as many datasets are being read as this server reads at once", remedy="send it again later")
        self._room -= 1
        try:
            with tempfile.TemporaryDirectory(prefix="promptprop-upload-") as folder:
                file = Path(folder) / BODY
                await _written(parts, file, bounds.size)
                yield file
        finally:
            self._room += 1

    async def read(self, file: Path, wanted: Wanted, bounds: Bounds, url: str = "") -> dict[str, Json]:
        """What a reader makes of an upload: stored in the database at `url`, else looked at.

        Raises DataError with every problem and its line, StorageError.
        """
        purpose: Purpose = "store" if url else "check"
        document = {
            "purpose": purpose,
            "file": str(file),
            "name": wanted.name,
            "format": wanted.format,
            "columns": dict(wanted.columns),
            "split": dict(wanted.split),
            "rows": bounds.rows,
            "size": bounds.size,
            "seconds": int(bounds.seconds),
            "memory": bounds.memory,
        }
        async with self._readers:
            said = await _run(json.dumps(document).encode(), bounds.seconds, environment_of(url))
        if "error" in said:
            raise _error_of(said["error"])
        return said


async def _written(parts: AsyncIterator[bytes], file: Path, most: int) -> None:
    """Write the parts as they come, in pieces of a megabyte, off the loop. Raises TooLarge, StorageFull."""
    size, held = 0, bytearray()
    try:
        with file.open("wb") as opened:
            async for part in parts:
                size += len(part)
                if size > most:
                    raise TooLarge(f"the dataset is larger than {most:,} bytes", remedy="send fewer rows")
                held += part
                if len(held) >= PIECE:
                    await asyncio.to_thread(opened.write, bytes(held))
                    held.clear()
            await asyncio.to_thread(opened.write, bytes(held))
    except OSError as error:
        raise StorageFull("the upload cannot be kept on this machine's disk", remedy="free space there") from error


def environment_of(url: str) -> dict[str, str]:
    """What a reader sees of the environment: where things are, and the database where it stores in it."""
    kept = {name: value for name, value in os.environ.items() if name in KEPT or (url and name.startswith("PG"))}
    return {**kept, DATABASE_VARIABLE: url} if url else kept


async def _run(document: bytes, seconds: float, environment: Mapping[str, str]) -> dict[str, Json]:
    """What a reader says. Raises DataError where it came to no end within its limits."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *READER,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
        start_new_session=True,  # a Ctrl-C is the server's: it ends its readers itself
    )
    try:
        answer, noise = await asyncio.wait_for(process.communicate(document), seconds)
    except (asyncio.TimeoutError, TimeoutError) as error:
        message = f"reading the data takes longer than {seconds:g} s"
        raise DataError(message, remedy="send fewer rows, as JSON Lines") from error
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if noise:
        log.warning("a reader of uploads said: %s", noise[-2000:].decode("utf-8", "replace").strip())
    if process.returncode:
        raise _fall(process.returncode)
    try:
        said: dict[str, Json] = json.loads(answer)
    except ValueError as error:
        raise StorageError("the process that reads uploads said nothing that can be read") from error
    return said


def _fall(code: int) -> PromptPropError:
    """Why a reader that said nothing came to its end."""
    limits = {-getattr(signal, name, 0) for name in ("SIGKILL", "SIGXCPU", "SIGSEGV", "SIGABRT", "SIGBUS")}
    if code in limits:
        return DataError("reading the data takes more memory or time than there is", remedy="send it as JSON Lines")
    return StorageError(f"the process that reads uploads ended with {code}")


def _error_of(said: Mapping[str, Any]) -> PromptPropError:
    """A reader's error as it was raised there."""
    kind: Any = getattr(errors, said["kind"], StorageError)
    problems = [
        Problem(one["message"], Place(*one["place"]) if one["place"] else None, one["remedy"])
        for one in said["problems"]
    ]
    if problems and issubclass(kind, errors.InputError):
        found: PromptPropError = kind(problems)
    else:
        found = kind(said["message"], remedy=said["remedy"])
    return found
