"""Reports of runs that are over: they change no more, so each is made once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from promptprop.domain.models import Json
from promptprop.ports.service import RunHead

KEPT = 256  # documents in memory
LARGEST = 200  # candidates of a run whose document is kept


class FinishedReports:
    """The documents of runs that have finished, the least recently asked for left out first. Threads may share it."""

    def __init__(self, kept: int = KEPT) -> None:
        """Hold at most so many."""
        self._kept = kept
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
        if len(document.get("candidates", ())) <= LARGEST:
            with self._lock:
                self._documents[key] = document
                while len(self._documents) > self._kept:
                    self._documents.popitem(last=False)
        return document
