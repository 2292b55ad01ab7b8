"""An endpoint that embeds, behind the same calls as every other."""

from __future__ import annotations

from pathlib import Path

from openai_server import OpenAIServer

from promptprop.adapters.models.embedding import EmbeddingClient
from promptprop.adapters.models.offline.client import OfflineClient
from promptprop.adapters.models.offline.worldfile import load_world
from promptprop.adapters.models.openai_http.client import OpenAIHttpClient
from promptprop.domain.budget import Price
from promptprop.domain.models import Message, ModelRequest
from promptprop.domain.vectors import cosine, vector_of

SUPPORT = Path(__file__).parents[4] / "datasets" / "support.world.yaml"


def ask(text: str) -> ModelRequest:
    return ModelRequest("embed", "openai/e", (Message("user", text),), {}, 0, "embed")


async def test_a_text_becomes_its_vector_with_tokens_and_money(openai_server: OpenAIServer) -> None:
    client = EmbeddingClient(OpenAIHttpClient("openai/e", openai_server.url, price=Price(3, 1000)))
    reply = await client.complete(ask("a charge on my card"), 20)
    assert len(vector_of(reply.text)) > 1
    assert reply.usage.prompt_tokens > 0
    assert reply.picousd == 3 * reply.usage.prompt_tokens
    assert (reply.finish_reason, reply.simulated) == ("stop", False)
    assert openai_server.payloads[0]["input"] == ["a charge on my card"]
    await client.close()


async def test_like_texts_have_like_vectors_in_the_simulation() -> None:
    client = EmbeddingClient(OfflineClient(load_world(SUPPORT), "embed"), simulated=True)
    one, near, far = [
        vector_of((await client.complete(ask(text), 20)).text)
        for text in ("a charge on my card", "the charge on my card", "hello you")
    ]
    assert cosine(one, near) > cosine(one, far) + 0.3
    assert (await client.complete(ask("x"), 20)).simulated
    assert (await client.embed(["x"], 20)).rows
    assert client.price() is not None
