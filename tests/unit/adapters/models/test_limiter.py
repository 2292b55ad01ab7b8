from __future__ import annotations

import asyncio

import pytest
from fake_clients import HeldClock

from promptprop.adapters.models.limiter import Limiter, Slot
from promptprop.domain.errors import UnknownModel


async def enter(limiter: Limiter, gate: asyncio.Event, entered: list[int], n: int) -> None:
    async with limiter.slot():
        entered.append(n)
        await gate.wait()


async def pause() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def succeed(limiter: Limiter, times: int) -> None:
    for _ in range(times):
        async with limiter.slot() as slot:
            slot.succeeded(0)


async def fail(limiter: Limiter, retry_after: float | None = None) -> None:
    async with limiter.slot() as slot:
        slot.throttled(retry_after)


async def test_no_more_than_the_concurrency_are_under_way_and_the_rest_enter_in_order() -> None:
    limiter, gate, entered = Limiter(2), asyncio.Event(), []
    tasks = [asyncio.create_task(enter(limiter, gate, entered, n)) for n in range(5)]
    await pause()
    assert entered == [0, 1]
    gate.set()
    await asyncio.gather(*tasks)
    assert entered == [0, 1, 2, 3, 4]


async def test_who_is_cancelled_while_waiting_takes_no_slot() -> None:
    limiter, gate, entered = Limiter(1), asyncio.Event(), []
    first, second, third = (asyncio.create_task(enter(limiter, gate, entered, n)) for n in range(3))
    await pause()
    second.cancel()
    gate.set()
    await asyncio.gather(first, third)
    assert entered == [0, 2]


async def test_a_slot_given_to_one_who_is_cancelled_in_that_tick_is_handed_on() -> None:
    limiter, gate, entered = Limiter(1), asyncio.Event(), []
    async with limiter.slot():
        second, third = (asyncio.create_task(enter(limiter, gate, entered, n)) for n in (2, 3))
        await pause()
    second.cancel()
    gate.set()
    await asyncio.gather(second, third, return_exceptions=True)
    assert entered == [3]


async def test_a_429_halves_the_concurrency() -> None:
    limiter = Limiter(8)
    await fail(limiter)
    assert limiter.concurrency == 4


async def test_a_burst_of_429s_halves_once() -> None:
    limiter = Limiter(8)
    slots: list[Slot] = []
    for _ in range(3):
        async with limiter.slot() as slot:
            slots.append(slot)
    for slot in slots:
        slot.throttled(None)
    assert limiter.concurrency == 4


async def test_concurrency_never_falls_below_one() -> None:
    limiter = Limiter(2)
    for _ in range(5):
        await fail(limiter)
    assert limiter.concurrency == 1


async def test_concurrency_grows_back_by_one_after_each_full_window_of_successes() -> None:
    limiter = Limiter(8)
    await fail(limiter)
    await succeed(limiter, 3)
    assert limiter.concurrency == 4
    await succeed(limiter, 1)
    assert limiter.concurrency == 5
    await succeed(limiter, 5)
    assert limiter.concurrency == 6


async def test_concurrency_never_grows_beyond_what_was_configured() -> None:
    limiter = Limiter(2)
    await succeed(limiter, 20)
    assert limiter.concurrency == 2


async def test_retry_after_closes_the_endpoint_for_everybody() -> None:
    clock = HeldClock()
    limiter = Limiter(4, timing=clock.timing)
    await fail(limiter, retry_after=7)
    async with limiter.slot():
        assert clock.now == 1007.0


async def test_requests_a_minute_are_paced_from_the_first_on() -> None:
    clock = HeldClock()
    limiter = Limiter(4, rpm=30, timing=clock.timing)
    times = []
    for _ in range(3):
        async with limiter.slot():
            times.append(clock.now)
    assert times == [1000.0, 1002.0, 1004.0]


async def test_tokens_a_minute_are_paced_and_corrected_by_what_was_used() -> None:
    clock = HeldClock()
    limiter = Limiter(4, tpm=600, timing=clock.timing)
    async with limiter.slot(100) as slot:
        slot.succeeded(20)
    async with limiter.slot(100):
        assert clock.now == pytest.approx(1002.0)


async def test_a_request_larger_than_a_minutes_tokens_is_let_through() -> None:
    clock = HeldClock()
    limiter = Limiter(4, tpm=60, timing=clock.timing)
    async with limiter.slot(1000):
        assert clock.now == 1000.0


async def test_a_gate_that_is_shut_lets_nobody_in_any_more() -> None:
    limiter = Limiter(concurrency=1)
    error = UnknownModel("no such model")
    async with limiter.slot():
        waiting = asyncio.ensure_future(_enter_once(limiter))
        await asyncio.sleep(0)
        limiter.shut(error)
    with pytest.raises(UnknownModel):
        await waiting
    with pytest.raises(UnknownModel):
        await _enter_once(limiter)


async def _enter_once(limiter: Limiter) -> None:
    async with limiter.slot():
        pass
