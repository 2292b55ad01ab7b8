"""Reports of runs that are over: they change no more, so each is made once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from promptprop.domain.models import Json
from promptprop.ports.service import RunHead

KEPT = 10_000  # candidates of all documents in memory together: about 6 kB each
LARGEST = 200  # candidates of a run whose document is kept


class FinishedReports:
    """The documents of runs that have finished, the least recently asked for left out first. Threads may share it."""

    def __init__(self, kept: int = KEPT) -> None:
        """Hold documents of so many candidates in all."""
        self._kept = kept
        self._size = 0
        self._lock = threading.Lock()
        self._documents: OrderedDict[tuple[str, str], dict[str, Json]] = OrderedDict()

    def of(self, head: RunHead, make: Callable[[], dict[str, Json]]) -> dict[str, Json]:
        """The document of a run: the one at hand, where it has finished, else what `make` gives."""
        if head.status != "finished":
            return make()
        key = (head.id, head.updated_at.isoformat())
        with self._lock:
            if key in self._documents:
                self._documents.move_to_end(key)
                return self._documents[key]
        document = make()
        if _size(document) <= LARGEST:
            with self._lock:
                if key not in self._documents:
                    self._documents[key] = document
                    self._size += _size(document)
                while self._size > self._kept:
                    self._size -= _size(self._documents.popitem(last=False)[1])
        return document


def _size(document: dict[str, Json]) -> int:
    return max(1, len(document.get("candidates", ())))
