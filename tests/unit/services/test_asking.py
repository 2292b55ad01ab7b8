"""Roles asked: replies in the order asked, one repair each, failures told apart from replies that nobody can read."""

from __future__ import annotations

import json
from collections.abc import Sequence

from promptprop.domain.models import Ask, Failure, Json, ModelRequest, Outcome, Reply, Usage
from promptprop.roles.registry import load_roles
from promptprop.services.asking import ask_roles
from promptprop.services.reserve import EndpointSpec

GOOD = json.dumps({"summary": "s", "features": [{"id": "a", "says": "is kind"}]})
ENDPOINTS = {"manager": EndpointSpec("m", {"temperature": 0}, 100), "rewriter": EndpointSpec("r", {}, 100)}
INPUTS: dict[str, Json] = {"task": "x", "rows": [], "most": 3}


class Scripted:
    """Answers each phase from its own list; None is a call that failed."""

    def __init__(self, **texts: list[str | None]) -> None:
        self.texts = texts
        self.asked: list[tuple[str, ModelRequest]] = []

    async def __call__(self, requests: Sequence[ModelRequest], phase: str) -> list[Outcome]:
        self.asked += [(phase, request) for request in requests]
        found = []
        for request, text in zip(requests, self.texts.get(phase, []), strict=True):
            if text is None:
                found.append(Outcome(request, None, Failure("refused", "no")))
            else:
                found.append(Outcome(request, Reply(text, Usage(), 0, "stop", "m"), None))
        return found


async def test_answers_come_in_the_order_asked_and_only_what_cannot_be_read_is_asked_again() -> None:
    outcomes = Scripted(asking=[GOOD, "what?", None], repairing=[GOOD])
    answers = await ask_roles([Ask("manager", INPUTS)] * 3, load_roles({}), ENDPOINTS, outcomes)
    assert [answer.value is not None for answer in answers] == [True, True, False]
    assert [answer.repaired for answer in answers] == [False, True, False]
    assert answers[2].failure is not None
    phase, again = outcomes.asked[-1]
    assert (phase, [message.role for message in again.messages]) == ("repairing", ["user", "assistant", "user"])
    assert "could not be used" in again.messages[-1].content


async def test_a_repair_that_cannot_be_read_either_is_told_as_such_and_one_that_failed_by_its_failure() -> None:
    outcomes = Scripted(asking=["what?", "what?"], repairing=["still?", None])
    first, second = await ask_roles([Ask("manager", INPUTS)] * 2, load_roles({}), ENDPOINTS, outcomes)
    assert (first.value, first.repaired) == (None, True)
    assert first.failure is not None
    assert first.failure.code == "unreadable_reply"
    assert second.failure is not None
    assert second.failure.code == "refused"


async def test_a_role_without_a_model_of_its_own_asks_the_one_that_answers_for_it() -> None:
    outcomes = Scripted(asking=["```\nnew text\n```"])
    await ask_roles([Ask("reflector", {"prompt": "x"}, 2)], load_roles({}), ENDPOINTS, outcomes)
    (_, request) = outcomes.asked[0]
    assert (request.endpoint, request.role, request.replicate) == ("rewriter", "rewriter", 2)
