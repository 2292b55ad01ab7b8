"""Lists of models kept for ten minutes in the user's cache folder; no key is in them, nor anything that tells one.

A file is named by an HMAC over server and key, under a salt that only this user has. A cache that cannot be read or
written is no error: the servers are asked.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from promptprop.adapters.models.listing import ListedModel, Listing
from promptprop.adapters.models.listing_sources import Source

SECONDS = 600.0
FORMAT = 1
SALT_BYTES = 32


class ListingCache:
    """Listings by server and key. `folder` need not exist; `now` gives seconds since the epoch."""

    def __init__(self, folder: Path | None = None, now: Callable[[], float] = time.time) -> None:
        """Use the user's own cache folder unless given another one."""
        if folder is None:
            from platformdirs import user_cache_path

            folder = user_cache_path("promptprop", appauthor=False) / "models"
        self._folder = folder
        self._now = now

    def read(self, source: Source) -> Listing | None:
        """What the server said within the last ten minutes, None where that is not known."""
        try:
            document = json.loads(self._file(source).read_text("utf-8"))
            age = self._now() - float(document["at"])
            rows = [(row["name"], row["context"]) for row in document["models"]]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        sound = all(isinstance(name, str) and isinstance(size, int | None) for name, size in rows)
        if document.get("format") != FORMAT or not sound or not 0 <= age < SECONDS:
            return None
        return Listing(source, tuple(ListedModel(*row) for row in rows), age=age)

    def write(self, listing: Listing) -> None:
        """Keep what a server said; a failure is not kept. Files that are out of date go."""
        if listing.error is not None:
            return
        models = [{"name": model.name, "context": model.context} for model in listing.models]
        document = {"format": FORMAT, "at": self._now() - listing.age, "models": models}
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = self._file(listing.source)
            _write_privately(file, json.dumps(document))
            os.utime(file, (self._now(), self._now()))
            for stale in self._stale():
                stale.unlink(missing_ok=True)

    def _file(self, source: Source) -> Path:
        """Where a server's list lies. Raises OSError where there can be no salt."""
        name = "\0".join((source.provider, source.base, source.dialect, source.alias, source.key or ""))
        code = hmac.new(self._salt(), name.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
        return self._folder / f"{code[:40]}.json"

    def _salt(self) -> bytes:
        """Random bytes, made once. Raises OSError."""
        file = self._folder / "salt"
        with contextlib.suppress(OSError):
            salt = file.read_bytes()
            if len(salt) == SALT_BYTES:
                return salt
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        salt = secrets.token_bytes(SALT_BYTES)
        _write_privately(file, salt)
        return salt

    def _stale(self) -> Iterator[Path]:
        for file in self._folder.glob("*.json"):
            if abs(self._now() - file.stat().st_mtime) > SECONDS:
                yield file


def _write_privately(file: Path, data: str | bytes) -> None:
    """Write a file that only its owner may read, whole or not at all. Raises OSError."""
    draft = file.with_name(f".{file.name}.{secrets.token_hex(6)}.tmp")
    contents: Any = data.encode("utf-8") if isinstance(data, str) else data
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            opened.write(contents)
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
