"""What is told of runs that have finished: it changes no more, so each is made, or asked for, once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from promptprop.domain.models import Json
from promptprop.ports.jobs import JobState
from promptprop.ports.service import RunHead

T = TypeVar("T")
KEPT = 10_000  # candidates of all documents in memory together: about 6 kB each
LARGEST = 200  # candidates of a run whose document is kept
JOBS = 20_000  # about 400 bytes each


class Finished(Generic[T]):
    """Values by run, the least recently asked for left out first. Threads may share it."""

    def __init__(self, kept: int, size: Callable[[T], int] = lambda _value: 1, largest: int = 1) -> None:
        """Hold values of this `size` in all; one above the `largest` is not kept."""
        self._kept = kept
        self._size_of = size
        self._largest = largest
        self._size = 0
        self._lock = threading.Lock()
        self._values: OrderedDict[tuple[str, str], T] = OrderedDict()

    def of(self, head: RunHead, make: Callable[[], T]) -> T:
        """The value of a run: the one at hand, where it has finished, else what `make` gives."""
        value = self.known(head)
        if value is None:
            value = make()
            self.keep(head, value)
        return value

    def known(self, head: RunHead) -> T | None:
        """The value at hand of a run that has finished; None where there is none."""
        if head.status != "finished":
            return None
        key = _key(head)
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def keep(self, head: RunHead, value: T) -> None:
        """Keep the value of a run, if that has finished."""
        key = _key(head)
        if head.status != "finished" or self._size_of(value) > self._largest:
            return
        with self._lock:
            if key not in self._values:
                self._values[key] = value
                self._size += self._size_of(value)
            while self._size > self._kept:
                self._size -= self._size_of(self._values.popitem(last=False)[1])


def finished_reports(kept: int = KEPT) -> Finished[dict[str, Json]]:
    """Room for the documents of runs with so many candidates in all."""
    return Finished(kept, _candidates, LARGEST)


def finished_jobs() -> Finished[tuple[JobState, ...]]:
    """Room for jobs that are over: one of each run that a worker had, and none of others."""
    return Finished(JOBS)


def _key(head: RunHead) -> tuple[str, str]:
    return head.id, head.updated_at.isoformat()


def _candidates(document: dict[str, Json]) -> int:
    return max(1, len(document.get("candidates", ())))
