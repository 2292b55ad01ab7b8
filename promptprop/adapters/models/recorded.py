"""The client of a check without a network: what a recording holds was answered before it, and all else is missing."""

from __future__ import annotations

from collections.abc import Sequence

from promptprop.domain.budget import Price
from promptprop.domain.errors import NotRecorded
from promptprop.domain.models import ModelRequest, Reply
from promptprop.domain.vectors import Vectors


class RecordedClient:
    """Implements ports.ModelClient; refuses every call, and is free."""

    async def complete(self, request: ModelRequest, timeout: float) -> Reply:  # noqa: ARG002
        """Raises NotRecorded."""
        raise NotRecorded(f"this call of {request.endpoint} is not in the recording")

    async def embed(self, texts: Sequence[str], timeout: float) -> Vectors:  # noqa: ARG002
        """Raises NotRecorded."""
        raise NotRecorded("this embedding is not in the recording")

    def price(self) -> Price | None:
        """Nothing is paid."""
        return Price(0, 0)

    async def close(self) -> None:
        """There is nothing to close."""
