"""An endpoint that embeds, behind the same calls as every other: so its vectors are recorded, budgeted and replayed.

A request's last message is the text; the reply's text is its vector, written by `domain.models.vector_text`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from promptprop.domain.budget import Price
from promptprop.domain.models import ModelRequest, Reply, Usage
from promptprop.domain.vectors import Vectors, vector_text
from promptprop.ports import ModelClient


class EmbeddingClient:
    """Implements ports.ModelClient over a client: what is completed is the vector of a text."""

    def __init__(self, client: ModelClient, *, simulated: bool = False) -> None:
        """Take the client that embeds; closing this one closes it."""
        self.client = client
        self.simulated = simulated

    async def complete(self, request: ModelRequest, timeout: float) -> Reply:
        """The vector of the last message's text. Raises ModelError."""
        began = time.monotonic()
        vectors = await self.client.embed([request.messages[-1].content], timeout)
        price, usage = self.client.price(), vectors.usage
        money = price.of(Usage(usage.prompt_tokens)) if price else None
        taken = time.monotonic() - began
        return Reply(vector_text(vectors.rows[0]), usage, money, "stop", request.model, taken, self.simulated)

    async def embed(self, texts: Sequence[str], timeout: float) -> Vectors:
        """As the client does it."""
        return await self.client.embed(texts, timeout)

    def price(self) -> Price | None:
        """The client's."""
        return self.client.price()

    async def close(self) -> None:
        """Close the client."""
        await self.client.close()
