"""The simulated linter: it finds padding, traps and a missing form in the prompt that it is shown, and errs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from promptprop.adapters.models.offline.client import OfflineClient
from promptprop.adapters.models.offline.draft import FILLER
from promptprop.adapters.models.offline.linter import answer_linter, asks_for_remarks
from promptprop.adapters.models.offline.worldfile import load_world
from promptprop.domain.models import Message, ModelRequest
from promptprop.roles.linter import Remarks
from promptprop.roles.registry import load_roles

WORLD = load_world(Path(__file__).parents[5] / "datasets" / "support.world.yaml")
TRAP = next(iter(WORLD.traps.values()))
PROMPT = f"Route the message.\n\n- {FILLER[0]}\n- {TRAP.says[0]}\n\n{{{{ text }}}}"
INPUTS: dict[str, Any] = {"task": "Route.", "prompt": PROMPT, "variables": ["text"], "labels": [], "rows": []}


def remarks(count: int) -> list[Remarks]:
    """What those of so many replies hold that can be read."""
    role = load_roles({})["linter"]
    messages = role.messages(INPUTS)
    assert asks_for_remarks(messages)
    found = []
    for replicate in range(count):
        try:
            found.append(role.parse(answer_linter(WORLD, messages, replicate), INPUTS))
        except ValueError:
            continue
    return found


def test_most_replies_can_be_read_and_quote_what_is_wrong_and_some_quote_what_is_not_there() -> None:
    found = remarks(100)
    assert 80 < len(found) < 100
    quotes = [PROMPT[one.start : one.end] for each in found for one in each.remarks]
    assert quotes.count(FILLER[0]) > 50
    assert sum(TRAP.says[0] in quote for quote in quotes) > 50
    assert 0 < sum(each.unplaced for each in found) < 40


async def test_the_critic_answers_for_it_and_explains_failures_otherwise() -> None:
    client = OfflineClient(WORLD, "critic")
    messages = load_roles({})["linter"].messages(INPUTS)
    reply = await client.complete(ModelRequest("critic", "offline/critic", messages), 10)
    assert '"findings"' in reply.text or "findings" in reply.text
    other = await client.complete(ModelRequest("critic", "offline/critic", (Message("user", "Why?"),)), 10)
    assert "no failed answer" in other.text
