from __future__ import annotations

import asyncio
import logging

import pytest
from fake_clients import FakeClient, HeldClock, Script, reply_to

from promptprop.adapters.models.endpoint import Answered, Call, Endpoint
from promptprop.adapters.models.failures import ProxyUnauthorised
from promptprop.adapters.models.limiter import Limiter
from promptprop.adapters.models.purse import Purse
from promptprop.adapters.models.retry import Retries
from promptprop.domain.budget import Amount, Budget, Price
from promptprop.domain.errors import (
    BudgetSpent,
    ConnectionDropped,
    ContextTooLong,
    EndpointUnreachable,
    ProviderUnavailable,
    RateLimited,
    WrongAddress,
)
from promptprop.domain.models import Attempts, Message, ModelRequest, Reply

PRICE = Price(10, 100)


def ask(text: str = "hi", **parameters: object) -> ModelRequest:
    return ModelRequest("task", "m", (Message("user", text),), parameters)


def fails(times: int, error: Exception) -> Script:
    """Fail so many attempts, then echo."""
    return lambda request, nth: error if nth <= times else reply_to(request)


class Desk:
    """One endpoint with its purse and clock."""

    def __init__(self, script: Script | None = None, budget: Budget | None = None, price: Price | None = PRICE) -> None:
        self.clock = HeldClock()
        self.client = FakeClient(script)
        self.purse = Purse(budget or Budget())
        limiter = Limiter(8, timing=self.clock.timing)
        retries = Retries(count=2, base=1.0, deadline=100.0)
        self.endpoint = Endpoint("task", "m", self.client, limiter, retries, max_tokens=20, price=price)

    def call(self, request: ModelRequest) -> Call:
        ticket = self.purse.ticket(self.endpoint.worst(request), self.endpoint.retries.attempts)
        return Call(self.endpoint, request, ticket, self.clock.timing)

    async def make(self, request: ModelRequest) -> Answered:
        return await self.call(request).make()


async def test_an_answer_costs_one_call_and_the_tokens_it_reports() -> None:
    desk = Desk()
    answered = await desk.make(ask())
    assert answered.attempts == Attempts(sent=1)
    assert desk.purse.spent == Amount(1, 7, 7000)


async def test_a_request_without_a_bound_is_sent_with_the_endpoints_and_keeps_its_key() -> None:
    desk = Desk()
    request = ask()
    await desk.make(request)
    assert desk.client.requests[0].parameters == {"max_tokens": 20}
    assert desk.client.requests[0].key == request.key


async def test_a_request_with_a_bound_is_sent_as_it_is() -> None:
    desk = Desk()
    await desk.make(ask(max_completion_tokens=3))
    assert desk.client.requests[0].parameters == {"max_completion_tokens": 3}
    assert desk.endpoint.worst(ask("a", max_tokens=3)).tokens == 17 + 3


async def test_an_unpriced_reply_is_priced_by_the_configuration() -> None:
    def unpriced(request: ModelRequest, nth: int) -> Reply:
        reply = reply_to(request, 5, 2)
        return Reply(reply.text, reply.usage, None, "stop", "m")

    answered = await Desk(unpriced).make(ask())
    assert answered.reply is not None
    assert answered.reply.picousd == 5 * 10 + 2 * 100


async def test_each_failed_attempt_counts_as_a_call_and_a_refused_one_has_no_tokens() -> None:
    desk = Desk(fails(2, ProviderUnavailable("down")))
    answered = await desk.make(ask())
    assert answered.attempts == Attempts(sent=3)
    assert answered.cost == desk.purse.spent == Amount(3, 7, 7000)


async def test_a_dropped_connection_counts_at_its_reservation() -> None:
    desk = Desk(fails(1, ConnectionDropped("reset")))
    worst = desk.endpoint.worst(ask())
    answered = await desk.make(ask())
    assert answered.attempts == Attempts(2, 1, worst.tokens, worst.picousd)
    assert answered.cost == desk.purse.spent


async def test_unconfirmed_money_is_unknown_where_the_price_is() -> None:
    answered = await Desk(fails(1, ConnectionDropped("reset")), price=None).make(ask())
    assert answered.attempts.unconfirmed_picousd is None


async def test_what_never_left_costs_nothing() -> None:
    desk = Desk(fails(9, EndpointUnreachable("refused")))
    answered = await desk.make(ask())
    assert answered.attempts == Attempts(sent=0)
    assert len(desk.client.sent) == 3
    assert desk.purse.spent == Amount()


async def test_an_address_that_sends_its_callers_on_was_reached_and_stops_everything() -> None:
    desk = Desk(fails(9, WrongAddress("sends its callers on", remedy="set api_base")))
    answered = await desk.make(ask())
    assert isinstance(answered.error, WrongAddress)
    assert answered.attempts == Attempts(sent=1)
    assert desk.purse.spent == Amount(calls=1)
    assert desk.endpoint.limiter.shut_for is answered.error


async def test_what_a_proxy_refused_costs_nothing_and_stops_everything() -> None:
    desk = Desk(fails(9, ProxyUnauthorised("who are you", remedy="set HTTPS_PROXY")))
    answered = await desk.make(ask())
    assert answered.attempts == Attempts(sent=0)
    assert desk.purse.spent == Amount()
    assert desk.endpoint.limiter.shut_for is answered.error


async def test_an_error_that_waiting_cannot_cure_is_final_at_once() -> None:
    desk = Desk(fails(9, ContextTooLong("too long")))
    answered = await desk.make(ask())
    assert isinstance(answered.error, ContextTooLong)
    assert answered.attempts.sent == 1
    assert desk.clock.slept == []


async def test_a_rate_limit_slows_the_whole_endpoint() -> None:
    desk = Desk(fails(1, RateLimited("slow down", retry_after=3.0)))
    await desk.make(ask())
    assert desk.endpoint.limiter.concurrency == 4
    assert desk.clock.slept == [3.5]


async def test_a_retry_without_room_leaves_the_last_error_and_its_cost() -> None:
    desk = Desk(fails(9, ProviderUnavailable("down")), Budget(calls=2))
    answered = await desk.make(ask())
    assert isinstance(answered.error, ProviderUnavailable)
    assert answered.attempts.sent == 2


async def test_a_first_attempt_without_room_is_refused() -> None:
    with pytest.raises(BudgetSpent):
        await Desk(budget=Budget(calls=0)).make(ask())


async def test_an_attempt_cancelled_at_the_provider_counts_as_unconfirmed() -> None:
    desk = Desk()
    desk.client.gate = asyncio.Event()
    call = desk.call(ask())
    task = asyncio.create_task(call.make())
    await desk.client.has_sent(1)
    assert call.at_stake
    task.cancel()
    await asyncio.wait([task])
    assert call.attempts.unconfirmed == 1
    assert desk.purse.spent == desk.endpoint.worst(ask())


async def test_a_call_cancelled_in_front_of_the_limiter_costs_nothing() -> None:
    desk = Desk()
    desk.client.gate = asyncio.Event()
    tasks = [asyncio.create_task(desk.make(ask(str(n)))) for n in range(9)]
    await desk.client.has_sent(8)
    tasks[8].cancel()
    await asyncio.wait([tasks[8]])
    assert desk.purse.spent == Amount()
    desk.client.gate.set()
    await asyncio.gather(*tasks[:8])


async def test_the_log_tells_of_a_retry_without_the_prompt(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "promptprop")
    await Desk(fails(1, ProviderUnavailable("SECRET in a message"))).make(ask("SECRET prompt"))
    records = [record for record in caplog.records if record.name.startswith("promptprop.models")]
    assert [record.__dict__["error"] for record in records] == ["provider_unavailable"]
    assert "SECRET" not in str([record.__dict__ for record in records])


def test_the_larger_of_two_limits_is_the_bound_whichever_of_them_a_provider_follows() -> None:
    desk = Desk()
    assert desk.endpoint.limit(ask(max_tokens=10, max_completion_tokens=500)) == 500
    assert desk.endpoint.limit(ask(max_tokens=10)) == 10
    assert desk.endpoint.limit(ask()) == 20
