"""Every model of LiteLLM's lists: what it costs, and what both clients send to it."""

from __future__ import annotations

import pytest
from openai_server import OpenAIServer
from same_bodies import PARAMETERS, listed_chats, that_differ
from vendor_prices import complaints, listed

pytestmark = [
    pytest.mark.campaign,
    pytest.mark.filterwarnings("ignore:.*ReadOnly:UserWarning"),  # pydantic says so of LiteLLM's types as they load
]


def test_every_listed_model_costs_what_litellm_says() -> None:
    found = complaints(list(listed()))
    assert len(found) > 10_000
    assert [one for one in found if one] == []


@pytest.mark.parametrize("kind", sorted(PARAMETERS))
async def test_every_listed_chat_model_gets_the_same_body_from_both_clients(
    openai_server: OpenAIServer, kind: str
) -> None:
    assert await that_differ(openai_server, listed_chats(), PARAMETERS[kind]) == {}
