"""What every route works with: one value a server, made when it starts."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from anyio import CapacityLimiter
from fastapi import Depends, Request

from promptprop.bootstrap.models_reach import SharedReach
from promptprop.bootstrap.uploads import Uploads
from promptprop.domain.models import Json
from promptprop.ports.jobs import JobState
from promptprop.server.finished import Finished, finished_jobs, finished_reports
from promptprop.server.guards.trail import Trail
from promptprop.server.settings import ServerSettings

if TYPE_CHECKING:
    from promptprop.adapters.jobs.supervisor import Supervisor
    from promptprop.adapters.storage.store import SqlStore
    from promptprop.bootstrap.service import Service
    from promptprop.server.feed import Feeds


PINGS = 4  # models that are tried at once
HEAVY = 2  # answers for which all evaluations of a run are read, at once: each takes a core for seconds


@dataclass(slots=True)
class Context:
    """The parts of a running server. `draining` is True once it was asked to end."""

    settings: ServerSettings
    store: SqlStore = field(repr=False)
    service: Service = field(repr=False)
    feeds: Feeds = field(repr=False)
    workers: Supervisor | None = None
    uploads: Uploads = field(default_factory=Uploads, repr=False)
    draining: bool = False
    reports: Finished[dict[str, Json]] = field(default_factory=finished_reports, repr=False)
    jobs: Finished[tuple[JobState, ...]] = field(default_factory=finished_jobs, repr=False)
    reach: SharedReach = field(init=False, repr=False)
    trail: Trail = field(init=False, repr=False)
    heavy: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(HEAVY), repr=False)
    pings: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(PINGS), repr=False)

    def __post_init__(self) -> None:
        """What is reached depends on the environment; what was done is noted in the store."""
        self.reach = SharedReach(self.settings.environment)
        self.trail = Trail(self.store.record_audit)


def context_of(request: Request) -> Context:
    """The server's context."""
    context: Context = request.app.state.context
    return context


async def _context(request: Request) -> Context:
    """The same as a dependency: one that does not wait must be awaited, or it is called in a thread of its own."""
    return context_of(request)


Ctx = Annotated[Context, Depends(_context)]
