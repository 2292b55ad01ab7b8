"""A library in a thread: what it wishes is done in order, what it raises is raised, and it never outlives the run."""

from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing, suppress

import pytest

from promptprop.domain.events import Event, RoundStarted
from promptprop.optimizers.thread import Abandoned, Line


def started(number: int) -> RoundStarted:
    return RoundStarted(number, "a", "b")


async def drained(line: Line, work: object) -> list[Event]:
    async with aclosing(line.events(work)) as told:  # type: ignore[arg-type]
        return [event async for event in told]


async def test_wishes_and_events_come_in_the_order_of_the_thread() -> None:
    line, done = Line(), list[object]()

    async def wish(number: int) -> int:
        await asyncio.sleep(0.001 * (3 - number))
        done.append(number)
        return number * 10

    def work() -> None:
        for number in range(3):
            done.append(line.do(lambda number=number: wish(number)))  # type: ignore[misc]
            line.tell(started(number))

    assert await drained(line, work) == [started(number) for number in range(3)]
    assert done == [0, 0, 1, 10, 2, 20]


async def test_what_a_wish_raises_is_raised_in_the_thread_and_may_be_met_there() -> None:
    line, met = Line(), list[str]()

    async def fails() -> None:
        raise KeyError("no such row")

    def work() -> None:
        with suppress(KeyError):
            line.do(fails)
        met.append("went on")
        line.do(fails)

    with pytest.raises(KeyError, match="no such row"):
        await drained(line, work)
    assert met == ["went on"]


async def test_a_run_that_goes_away_ends_the_thread_at_its_next_word() -> None:
    line, ended = Line(), threading.Event()

    def work() -> None:
        try:
            for number in range(1000):
                line.tell(started(number))
        except Abandoned:
            ended.set()
            raise

    async with aclosing(line.events(work)) as told:
        assert await anext(told) == started(0)
    assert ended.is_set()
    assert not any(thread.name == "optimizer" for thread in threading.enumerate())


async def test_a_cancelled_wish_ends_the_thread() -> None:
    line = Line()
    asked = asyncio.Event()

    async def forever() -> None:
        asked.set()
        await asyncio.sleep(3600)

    task = asyncio.create_task(drained(line, lambda: line.do(forever)))
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not any(thread.name == "optimizer" for thread in threading.enumerate())
    with pytest.raises(Abandoned):
        line.tell(started(1))
