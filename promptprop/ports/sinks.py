"""The seams of time and of those who listen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from promptprop.domain.budget import Spend
from promptprop.domain.events import StoredEvent


class Clock(Protocol):
    """Time, so that tests can hold it."""

    def now(self) -> datetime:
        """The current time in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...


@dataclass(frozen=True, slots=True)
class Tick:
    """Progress between events: never stored, no seq."""

    run_id: str
    phase: str
    done: int
    total: int
    spend: Spend


class EventSink(Protocol):
    """Something that listens: progress, tracking, SSE. It must not block; its failure is logged and ends no run."""

    def accept(self, event: StoredEvent) -> None:
        """Take one stored event."""
        ...

    def tick(self, tick: Tick) -> None:
        """Take one tick."""
        ...

    async def close(self) -> None:
        """Flush what is pending. Called once, after the run's last event."""
        ...
