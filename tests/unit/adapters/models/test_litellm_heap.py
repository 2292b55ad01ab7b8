"""The garbage collector and LiteLLM's heap."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from openai_server import OpenAIServer

from promptprop.adapters.models.litellm_client import LiteLLMClient
from promptprop.adapters.models.litellm_heap import set_aside, take_back
from promptprop.domain.models import Message, ModelRequest

ASK = ModelRequest("task", "m", (Message("user", "hello"),), {})


@pytest.fixture
def nothing_frozen() -> Iterator[None]:
    """Neither before nor after, whatever clients other tests have left open."""
    take_back()
    assert gc.get_freeze_count() == 0
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("nothing_frozen")
def test_what_is_set_aside_is_taken_back() -> None:
    set_aside()
    held = gc.get_freeze_count()
    set_aside()
    assert gc.get_freeze_count() == held > 0
    take_back()
    assert gc.get_freeze_count() == 0


@pytest.mark.usefixtures("nothing_frozen")
def test_what_somebody_else_has_frozen_stays_so() -> None:
    gc.freeze()
    held = gc.get_freeze_count()
    set_aside()
    take_back()
    assert gc.get_freeze_count() == held > 0


@pytest.mark.usefixtures("nothing_frozen")
async def test_the_heap_is_aside_from_the_first_answer_until_the_last_client_closes(
    openai_server: OpenAIServer,
) -> None:
    one, other = (LiteLLMClient("openai/local", openai_server.url) for _ in range(2))
    await one.complete(ASK, 20)
    await other.complete(ASK, 20)
    await one.close()
    assert gc.get_freeze_count() > 0
    await other.close()
    assert gc.get_freeze_count() == 0
