from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptprop.adapters.models.purse import Batch, Purse, Ticket
from promptprop.domain.budget import Amount, Budget
from promptprop.domain.errors import BudgetSpent

ONE = Amount(calls=1, tokens=10)


async def pause() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_call_that_fits_is_granted_and_its_cost_is_spent() -> None:
    purse = Purse(Budget(calls=1))
    ticket = purse.ticket(ONE)
    await ticket.granted()
    ticket.settle(Amount(calls=1, tokens=3))
    ticket.release()
    assert purse.spent == Amount(calls=1, tokens=3)


async def test_a_call_waits_while_one_in_flight_may_still_leave_room() -> None:
    purse = Purse(Budget(tokens=15))
    first, second = purse.ticket(ONE), purse.ticket(ONE)
    await first.granted()
    waiting = asyncio.create_task(second.granted())
    await pause()
    assert not waiting.done()
    first.settle(Amount(calls=1, tokens=4))
    first.release()
    await waiting


async def test_a_call_is_refused_when_it_is_first_and_nothing_is_in_flight() -> None:
    purse = Purse(Budget(tokens=15))
    first, second = purse.ticket(ONE), purse.ticket(ONE)
    await first.granted()
    first.settle(ONE)
    first.release()
    with pytest.raises(BudgetSpent) as refusal:
        await second.granted()
    assert refusal.value.cap == "tokens"


async def test_all_tickets_behind_a_refused_one_in_its_batch_are_refused() -> None:
    purse, batch = Purse(Budget(tokens=5)), Batch()
    large, small = purse.ticket(ONE, 1, batch), purse.ticket(Amount(calls=1, tokens=1), 1, batch)
    for ticket in (large, small):
        with pytest.raises(BudgetSpent):
            await ticket.granted()
    await purse.ticket(Amount(calls=1, tokens=1)).granted()


async def test_a_small_call_never_overtakes_a_large_one() -> None:
    purse, batch = Purse(Budget(tokens=12)), Batch()
    first, large, small = (purse.ticket(Amount(1, tokens), 1, batch) for tokens in (10, 10, 1))
    await first.granted()
    behind = asyncio.create_task(small.granted())
    await pause()
    assert not behind.done()
    first.settle(Amount(1, 10))
    first.release()
    for refused in (large.granted(), behind):
        with pytest.raises(BudgetSpent):
            await refused


async def test_a_retry_keeps_its_room_against_calls_behind_it() -> None:
    purse = Purse(Budget(calls=2))
    first, second = purse.ticket(ONE, 2), purse.ticket(ONE, 1)
    await first.granted()
    behind = asyncio.create_task(second.granted())
    first.settle(Amount(calls=1))
    await pause()
    assert not behind.done()
    await first.granted()
    first.settle(Amount(calls=1))
    first.release()
    with pytest.raises(BudgetSpent):
        await behind


async def test_a_retry_without_room_is_refused_and_leaves_those_behind_their_own_chance() -> None:
    purse, batch = Purse(Budget(tokens=10)), Batch()
    first, second = purse.ticket(Amount(1, 10), 2, batch), purse.ticket(Amount(1, 5), 1, batch)
    await first.granted()
    first.settle(Amount(1, 5))
    with pytest.raises(BudgetSpent):
        await first.granted()
    first.release()
    await second.granted()


async def test_a_cancelled_ticket_gives_its_place_and_its_room_back() -> None:
    purse = Purse(Budget(calls=1))
    first, second, third = (purse.ticket(ONE) for _ in range(3))
    waiting = asyncio.create_task(second.granted())
    await pause()
    waiting.cancel()
    await asyncio.wait([waiting])
    await first.granted()
    first.release()
    await third.granted()
    assert purse.spent == Amount()


async def test_a_ticket_cancelled_in_the_tick_it_is_granted_holds_nothing() -> None:
    purse = Purse(Budget(calls=1))
    first, second, third = (purse.ticket(ONE) for _ in range(3))
    await first.granted()
    waiting = asyncio.create_task(second.granted())
    await pause()
    waiting.cancel()
    first.release()
    await asyncio.wait([waiting])
    await third.granted()


async def test_a_reserve_is_out_of_reach_until_it_is_released() -> None:
    purse = Purse(Budget(calls=3))
    purse.hold(Amount(calls=3))
    with pytest.raises(BudgetSpent):
        await purse.ticket(ONE).granted()
    purse.hold(Amount())
    await purse.ticket(ONE).granted()


async def test_raised_caps_make_room() -> None:
    purse = Purse(Budget(usd=Decimal("0.000001")))
    dear = Amount(1, 1, 2_000_000)
    with pytest.raises(BudgetSpent) as refusal:
        await purse.ticket(dear).granted()
    assert refusal.value.cap == "usd"
    purse.raise_caps({"usd": "0.000002"})
    await purse.ticket(dear).granted()


async def test_a_recorded_cost_counts_in_its_turn_and_not_before() -> None:
    purse, batch = Purse(Budget(calls=3)), Batch()
    told: list[bool] = []
    first, second = purse.ticket(ONE, 3, batch), purse.ticket(ONE, 1, batch)
    purse.charge(Amount(calls=2), batch, told.append)
    assert purse.spent == Amount()
    await first.granted()
    first.settle(Amount())
    first.release()
    await second.granted()
    assert told == [True]
    assert purse.spent == Amount(calls=2)


async def test_a_recorded_cost_behind_a_refusal_is_not_counted() -> None:
    purse, batch = Purse(Budget(calls=0)), Batch()
    told: list[bool] = []
    ticket = purse.ticket(ONE, 1, batch)
    purse.charge(ONE, batch, told.append)
    with pytest.raises(BudgetSpent):
        await ticket.granted()
    assert told == [False]
    assert purse.spent == Amount()


async def test_settling_what_was_never_granted_is_a_mistake() -> None:
    with pytest.raises(RuntimeError, match="no attempt was granted"):
        Purse(Budget(calls=0)).ticket(ONE).settle(ONE)


# --- latency never changes what is admitted ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """A call: the worst case of an attempt, and what each of its attempts costs (the last one succeeds)."""

    worst: int
    costs: tuple[int, ...]


@st.composite
def jobs(draw: st.DrawFn) -> Job:
    worst = draw(st.integers(1, 20))
    return Job(worst, tuple(draw(st.lists(st.integers(0, worst), min_size=1, max_size=3))))


def one_after_another(work: list[Job], budget: Budget) -> tuple[list[int], Amount]:
    """The reference: no concurrency at all. Attempts made by each job, and the spend."""
    spent, made = Amount(), []
    refused = False
    for job in work:
        made.append(0)
        for cost in job.costs:
            if refused or not fits(budget, spent + Amount(1, job.worst)):
                refused = refused or made[-1] == 0
                break
            spent += Amount(1, cost)
            made[-1] += 1
    return made, spent


def fits(budget: Budget, amount: Amount) -> bool:
    calls_fit = budget.calls is None or amount.calls <= budget.calls
    return calls_fit and (budget.tokens is None or amount.tokens <= budget.tokens)


class World:
    """Runs all jobs at once; `order` decides whose answer arrives next."""

    def __init__(self, work: list[Job], budget: Budget, order: list[int]) -> None:
        self.purse = Purse(budget)
        self.work, self.order = work, order
        self.made = [0] * len(work)
        self.arrivals: list[asyncio.Future[None]] = []

    async def run(self) -> tuple[list[int], Amount]:
        batch = Batch()
        tickets = [self.purse.ticket(Amount(1, job.worst), 3, batch) for job in self.work]
        tasks = [asyncio.create_task(self.call(n, ticket)) for n, ticket in enumerate(tickets)]
        step = 0
        while not all(task.done() for task in tasks):
            await pause()
            assert self.arrivals or all(task.done() for task in tasks), "deadlock"
            if self.arrivals:
                pick = self.order[step % len(self.order)] % len(self.arrivals)
                self.arrivals.pop(pick).set_result(None)
                step += 1
        return self.made, self.purse.spent

    async def call(self, n: int, ticket: Ticket) -> None:
        try:
            for cost in self.work[n].costs:
                await ticket.granted()
                await self.arrival()
                ticket.settle(Amount(1, cost))
                assert fits(self.purse.budget, self.purse.spent)
                self.made[n] += 1
                await self.arrival()  # the backoff before a retry takes its time as well
        except BudgetSpent:
            return
        finally:
            ticket.release()

    async def arrival(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self.arrivals.append(future)
        await future


@settings(max_examples=150, deadline=None)
@given(
    st.lists(jobs(), min_size=1, max_size=8),
    st.one_of(st.none(), st.integers(0, 16)),
    st.one_of(st.none(), st.integers(0, 90)),
    st.lists(st.integers(0, 7), min_size=1, max_size=12),
)
def test_every_order_of_latencies_admits_and_spends_the_same(
    work: list[Job], calls: int | None, tokens: int | None, order: list[int]
) -> None:
    budget = Budget(calls=calls, tokens=tokens)
    assert asyncio.run(World(work, budget, order).run()) == one_after_another(work, budget)


async def test_an_attempt_beyond_those_it_was_taken_for_takes_room_of_its_own() -> None:
    purse = Purse(Budget(calls=3))
    ticket = purse.ticket(Amount(calls=1))
    for _ in range(3):
        await ticket.granted()
        ticket.settle(Amount(calls=1))
        ticket.extend()
    with pytest.raises(BudgetSpent):
        await ticket.granted()
    ticket.release()
    assert purse.spent == Amount(calls=3)
    purse.raise_caps({"calls": 4})
    await purse.ticket(Amount(calls=1)).granted()
