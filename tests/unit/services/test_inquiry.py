"""Models asked beside a search: outcomes in order, caps that end it, and failures that make going on vain."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from typing import Any

import pytest

from promptprop.domain.errors import BudgetSpent, ModelError
from promptprop.domain.models import Ask, Failure, ModelRequest, Outcome, Reply, Usage
from promptprop.roles.registry import load_roles
from promptprop.services.inquiry import Inquiry
from promptprop.services.reserve import EndpointSpec

GOOD = '{"features": [{"id": "a", "says": "is kind"}]}'


class Ledger:
    """Answers with what was scripted: a text, or a failure."""

    def __init__(self, *said: str | Failure) -> None:
        self.said = iter(said)

    async def complete_all(self, requests: Iterable[ModelRequest]) -> AsyncGenerator[Outcome, None]:
        for request in requests:
            one = next(self.said)
            failed = isinstance(one, Failure)
            yield Outcome(request, None, one) if failed else Outcome(request, Reply(one, Usage(), 0, "stop", "m"))


def inquiry(*said: str | Failure) -> tuple[Inquiry, list[tuple[str, int, int]]]:
    ticks: list[tuple[str, int, int]] = []
    ledger: Any = Ledger(*said)
    specs = {"manager": EndpointSpec("m", {}, 10)}
    return Inquiry("run", ledger, specs, load_roles({}), lambda *tick: ticks.append(tick)), ticks


ASKS = [Ask("manager", {"task": "x", "rows": [], "most": 3})] * 2


async def test_roles_are_asked_and_every_call_ticks() -> None:
    asked, ticks = inquiry(GOOD, "?", GOOD)
    answers = await asked.ask(ASKS)
    assert [answer.repaired for answer in answers] == [False, True]
    assert ticks == [("asking", 1, 2), ("asking", 2, 2), ("repairing", 1, 1)]


async def test_a_cap_that_is_met_ends_it() -> None:
    asked, _ = inquiry(GOOD, Failure("budget:calls", "no room"))
    with pytest.raises(BudgetSpent) as spent:
        await asked.ask(ASKS)
    assert spent.value.cap == "calls"


async def test_a_failure_that_every_call_would_meet_ends_it_and_others_are_answers_without_a_value() -> None:
    asked, _ = inquiry(GOOD, Failure("key_refused", "the key is refused", stops=True))
    with pytest.raises(ModelError):
        await asked.ask(ASKS)
    asked, _ = inquiry(GOOD, Failure("timed_out", "too late"))
    first, second = await asked.ask(ASKS)
    assert first.value is not None
    assert second.failure is not None
