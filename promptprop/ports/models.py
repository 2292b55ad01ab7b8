"""Seams to models: one connection, and the models of a run behind the ledger."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from typing import Protocol

from promptprop.domain.budget import Amount, Budget, Price, Spend
from promptprop.domain.events import Event
from promptprop.domain.models import (
    Json,
    ModelRequest,
    Outcome,
    Reply,
)
from promptprop.domain.vectors import Vectors
from promptprop.ports.storage import FailedCall


class ModelClient(Protocol):
    """One provider connection: one attempt a call, no retries, no caching.

    Raises a subclass of `ModelError` and nothing else (cancellation apart). The text of a reply is `storable`.
    """

    async def complete(self, request: ModelRequest, timeout: float) -> Reply:
        """Answer one request within `timeout` seconds."""
        ...

    async def embed(self, texts: Sequence[str], timeout: float) -> Vectors:
        """One vector a text, in order, with the tokens that the provider counted (or a bound, where it is silent)."""
        ...

    def price(self) -> Price | None:
        """Money per token, None where it is unknown."""
        ...

    async def close(self) -> None:
        """Release connections. May be called twice."""
        ...


class Ledger(Protocol):
    """The models of one run behind ledger → budget → limiter → retry → deadline.

    Every reply is committed before it is yielded. Equal requests in flight are made once. Reservations are granted in
    the order of the requests. A request that the budget refuses, and all after it, yield an outcome whose failure has
    the code `budget:CAP`.
    """

    def complete_all(self, requests: Iterable[ModelRequest]) -> AsyncGenerator[Outcome, None]:
        """Answer requests in the order asked; failures are outcomes, not exceptions.

        The iterable is read in a window, so that 100,000 requests do not lie in memory at once.
        """
        ...

    @property
    def spend(self) -> Spend:
        """What this run has spent so far, replayed calls included."""
        ...

    @property
    def budget(self) -> Budget:
        """The caps in force."""
        ...

    def raise_caps(self, caps: Mapping[str, Json]) -> None:
        """An intervention took effect: these caps replace the old ones."""
        ...

    def hold(self, reserve: Amount) -> None:
        """Keep this amount out of reach (for FINISH), until it is set anew; zero releases it."""
        ...

    def retry_failures(self) -> None:
        """An intervention took effect: failures recorded before it no longer answer, they are made again."""
        ...

    def take_failures(self) -> list[FailedCall]:
        """The failures since the last time asked, to be committed with the block that holds them."""
        ...

    async def notice(self) -> Event:
        """Wait for the next thing that an endpoint has to say: it is paused, or it has recovered."""
        ...

    async def close(self) -> None:
        """Close all clients."""
        ...
