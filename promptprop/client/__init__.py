"""A client of `promptprop serve`: `Client` waits for its answers, those of `AsyncClient` are awaited.

with Client() as client:
    run = client.runs.start(Path("router.yaml"))
    for event in client.follow(run.run_id):
        print(event.seq, event.kind)
"""

from __future__ import annotations

from promptprop.client.asynchronous import AsyncClient
from promptprop.client.blocking import Client
from promptprop.client.errors import (
    ApiError,
    BadRequest,
    ClientError,
    Conflict,
    NotAllowed,
    NotFound,
    ProblemItem,
    ServerFailed,
    TooMany,
    Unreachable,
    Unreadable,
    WaitedTooLong,
)
from promptprop.client.retrying import Retries
from promptprop.client.values import Event, Run, RunDetail

__all__ = [
    "ApiError",
    "AsyncClient",
    "BadRequest",
    "Client",
    "ClientError",
    "Conflict",
    "Event",
    "NotAllowed",
    "NotFound",
    "ProblemItem",
    "Retries",
    "Run",
    "RunDetail",
    "ServerFailed",
    "TooMany",
    "Unreachable",
    "Unreadable",
    "WaitedTooLong",
]
