"""Totals equal what the provider's server saw, whatever went wrong on the way."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from fake_clients import HeldClock
from fake_store import FakeStore
from openai_server import Fault, OpenAIServer

from promptprop.adapters.models.endpoint import Endpoint
from promptprop.adapters.models.ledger import LedgerModels
from promptprop.adapters.models.limiter import Limiter
from promptprop.adapters.models.litellm_client import LiteLLMClient, load
from promptprop.adapters.models.purse import Purse
from promptprop.adapters.models.retry import Retries
from promptprop.domain.budget import Budget, Price
from promptprop.domain.models import Message, ModelRequest, Outcome

UNCONFIRMED = ["drop", "drop_midway", "truncated_json", "html_answer", "empty_choices", "null_content", "hang"]
REFUSED = ["rate_limit", "server_error", "overloaded", "bad_gateway", "context", "filtered_prompt", "bad_request"]
ODD = ["length", "surrogate", "nul"]


def asks(count: int) -> list[ModelRequest]:
    return [ModelRequest("task", "m", (Message("user", f"row {n} " + "é" * (n % 9)),)) for n in range(count)]


def open_ledger(url: str, store: FakeStore, budget: Budget) -> LedgerModels:
    """Real client and limiter; only the waiting between attempts is taken out of time."""
    load()  # within the first call it would take of that call's time
    client = LiteLLMClient("openai/gpt-4o-mini", url, "k", price=Price(10, 100))
    limiter = Limiter(12, timing=HeldClock().timing)
    endpoint = Endpoint("task", "m", client, limiter, Retries(count=6), 5.0, max_tokens=16, price=Price(10, 100))
    return LedgerModels(store, "run", Purse(budget), {"task": endpoint}, timing=HeldClock().timing)  # type: ignore[arg-type]


async def answer(ledger: LedgerModels, requests: list[ModelRequest]) -> list[Outcome]:
    return [outcome async for outcome in ledger.complete_all(requests)]


@pytest.mark.no_cover
@pytest.mark.slow
async def test_spend_equals_what_the_server_saw_with_every_fifth_request_failing(openai_server: OpenAIServer) -> None:
    faults: list[Fault | str] = [Fault("hang", seconds=60.0) if kind == "hang" else kind for kind in UNCONFIRMED]
    openai_server.fail_share(0.2, [*faults, *REFUSED, *ODD], seed=3)
    store = FakeStore()
    ledger = open_ledger(openai_server.url, store, Budget())
    outcomes = await answer(ledger, asks(150))
    await ledger.close()

    spend, stats = ledger.spend.of("task"), openai_server.stats
    assert spend.calls == stats.requests > 150
    assert spend.prompt_tokens + spend.completion_tokens == stats.tokens
    assert spend.unconfirmed == sum(stats.faults[kind] for kind in UNCONFIRMED) > 0
    assert spend.unconfirmed_tokens >= stats.lost_tokens
    assert sum(1 for outcome in outcomes if outcome.reply) == stats.answered == len(store.commits)
    known = 10 * stats.prompt_tokens + 100 * stats.completion_tokens
    assert spend.picousd >= known + 10 * stats.lost_tokens

    store.commit_failures("run", ledger.take_failures())
    resumed = open_ledger(openai_server.url, store, Budget())
    before = stats.requests
    assert [outcome.reply for outcome in await answer(resumed, asks(150))] == [outcome.reply for outcome in outcomes]
    assert resumed.spend == ledger.spend
    assert stats.requests == before
    await resumed.close()


@pytest.mark.no_cover
@pytest.mark.slow
async def test_a_budget_admits_the_same_requests_in_every_run(openai_server: OpenAIServer) -> None:
    seen = set()
    for latency in (0.0, 0.01, 0.03):
        openai_server.latency = latency
        openai_server.stats.bodies.clear()  # the faults of a request follow from how often it was sent
        openai_server.fail_share(0.2, ["server_error", "drop", "rate_limit"], seed=5)
        before = openai_server.stats.requests
        ledger = open_ledger(openai_server.url, FakeStore(), Budget(calls=40, tokens=900, usd=Decimal("0.1")))
        outcomes = await answer(ledger, asks(60))
        await ledger.close()
        assert openai_server.stats.requests - before == ledger.spend.total.calls <= 40
        assert ledger.spend.total.tokens <= 900
        seen.add((tuple(outcome.failure.code if outcome.failure else "" for outcome in outcomes), str(ledger.spend)))
    assert len(seen) == 1


@pytest.mark.slow
async def test_nothing_paid_is_lost_when_a_run_is_cancelled(openai_server: OpenAIServer) -> None:
    openai_server.latency = 0.05
    store = FakeStore()
    ledger = open_ledger(openai_server.url, store, Budget())
    task = asyncio.create_task(answer(ledger, asks(100)))
    for _ in range(2000):
        if openai_server.stats.requests >= 20:
            break
        await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.wait([task])
    await ledger.close()
    assert openai_server.stats.requests == len(store.commits) == ledger.spend.of("task").calls
    assert 20 <= openai_server.stats.requests < 100


@pytest.mark.no_cover
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
async def test_a_cap_holds_over_interrupted_sessions_in_a_storm_of_failures(
    openai_server: OpenAIServer, seed: int
) -> None:
    openai_server.latency = 0.01
    openai_server.fail_share(0.8, ["rate_limit", "server_error", "drop", "null_content"], seed=seed)
    store, cap = FakeStore(), 30
    for session in range(6):
        ledger = open_ledger(openai_server.url, store, Budget(calls=cap))
        task = asyncio.create_task(answer(ledger, asks(20)))
        for _ in range(2000):
            if openai_server.stats.requests >= 7 * (session + 1) or task.done():
                break
            await asyncio.sleep(0.002)
        task.cancel()
        await asyncio.wait([task])
        await ledger.close()  # the failures of a block that was not finished are not taken
        assert openai_server.stats.requests == store.paid("run").calls <= cap
    assert openai_server.stats.requests > cap - 5
