"""Roles asked and understood: requests from their templates, replies through their parsers, one repair where needed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import cast

from promptprop.domain.models import Answer, Ask, Failure, Message, ModelRequest, Outcome, RoleName
from promptprop.ports import Role
from promptprop.roles.registry import ANSWERED_BY, REPAIR
from promptprop.services.reserve import EndpointSpec

Outcomes = Callable[[Sequence[ModelRequest], str], Awaitable[list[Outcome]]]
TRIES = 2  # a role is asked, and where its reply cannot be read once more


async def ask_roles(
    asks: Sequence[Ask], roles: Mapping[str, Role], endpoints: Mapping[str, EndpointSpec], outcomes: Outcomes
) -> list[Answer]:
    """Answers in the order asked; `outcomes(requests, phase)` makes the calls and raises what ends them.

    A reply that cannot be read is asked for once more, with what is wrong with it; all repairs go out together.
    """
    requests = [_request(ask, endpoints, roles[ask.role].messages(ask.inputs)) for ask in asks]
    answers: dict[int, Answer] = {}
    repairs: list[tuple[int, ModelRequest]] = []
    for index, (ask, outcome) in enumerate(zip(asks, await outcomes(requests, "asking"), strict=True)):
        if outcome.reply is None:
            answers[index] = Answer(None, failure=outcome.failure)
            continue
        try:
            answers[index] = Answer(roles[ask.role].parse(outcome.reply.text, ask.inputs))
        except ValueError as problem:
            bad = Message("assistant", outcome.reply.text)
            again = Message("user", REPAIR.format(problem=problem))
            repairs.append((index, _request(ask, endpoints, (*outcome.request.messages, bad, again))))
    repaired = await outcomes([request for _, request in repairs], "repairing")
    for (index, _), outcome in zip(repairs, repaired, strict=True):
        answers[index] = _repaired(asks[index], roles[asks[index].role], outcome)
    return [answers[index] for index in range(len(asks))]


def _request(ask: Ask, endpoints: Mapping[str, EndpointSpec], messages: tuple[Message, ...]) -> ModelRequest:
    alias = ANSWERED_BY.get(ask.role, cast("RoleName", ask.role))
    spec = endpoints[alias]
    return ModelRequest(alias, spec.model, messages, spec.parameters, ask.replicate, alias)


def _repaired(ask: Ask, role: Role, outcome: Outcome) -> Answer:
    if outcome.reply is None:
        return Answer(None, repaired=True, failure=outcome.failure)
    try:
        return Answer(role.parse(outcome.reply.text, ask.inputs), repaired=True)
    except ValueError as problem:
        return Answer(None, repaired=True, failure=Failure("unreadable_reply", str(problem)))
