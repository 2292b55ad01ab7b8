from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
from fake_clients import FakeClient, HeldClock, Script, reply_to
from fake_store import FakeStore

from promptprop.adapters.models.endpoint import Answered, Call, Endpoint
from promptprop.adapters.models.ledger import LedgerModels
from promptprop.adapters.models.limiter import Limiter
from promptprop.adapters.models.purse import Purse
from promptprop.adapters.models.retry import Retries
from promptprop.domain.budget import Amount, Budget
from promptprop.domain.errors import (
    AuthenticationFailed,
    ConnectionDropped,
    ContextTooLong,
    ProviderUnavailable,
    StorageFull,
)
from promptprop.domain.models import Attempts, Message, ModelRequest, Outcome, Reply


def ask(text: str, replicate: int = 0, role: str = "task") -> ModelRequest:
    return ModelRequest("task", "m", (Message("user", text),), {"max_tokens": 8}, replicate, role)  # type: ignore[arg-type]


def asks(count: int) -> list[ModelRequest]:
    return [ask(f"n{n}") for n in range(count)]


class Desk:
    """A ledger over one endpoint; several desks over one store are several runs or sessions."""

    def __init__(
        self,
        script: Script | None = None,
        *,
        budget: Budget | None = None,
        store: FakeStore | None = None,
        run_id: str = "run",
        window: int | None = None,
        drain_seconds: float = 5.0,
    ) -> None:
        self.store = store or FakeStore()
        self.client = FakeClient(script)
        self.clock = HeldClock()
        limiter = Limiter(4, timing=self.clock.timing)
        endpoint = Endpoint("task", "m", self.client, limiter, Retries(count=2, base=1.0))
        self.ledger = LedgerModels(
            self.store,  # type: ignore[arg-type]  # the ledger's part only
            run_id,
            Purse(budget or Budget()),
            {"task": endpoint},
            window=window,
            timing=replace(self.clock.timing, drain_seconds=drain_seconds),
        )

    async def answer(self, requests: list[ModelRequest]) -> list[Outcome]:
        return [outcome async for outcome in self.ledger.complete_all(requests)]

    def session(self, script: Script | None = None, budget: Budget | None = None, run_id: str = "run") -> Desk:
        """A new process over the same store."""
        return Desk(script, budget=budget, store=self.store, run_id=run_id)


def texts(outcomes: list[Outcome]) -> list[str | None]:
    return [outcome.reply.text if outcome.reply else None for outcome in outcomes]


def codes(outcomes: list[Outcome]) -> list[str | None]:
    return [outcome.failure.code if outcome.failure else None for outcome in outcomes]


@contextlib.asynccontextmanager
async def consuming(desk: Desk, requests: list[ModelRequest]) -> AsyncIterator[asyncio.Task[list[Outcome]]]:
    task = asyncio.create_task(desk.answer(requests))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


# --- order and recording ----------------------------------------------------------------------------------------------


async def test_outcomes_come_in_the_order_asked_however_long_each_takes() -> None:
    desk = Desk(
        lambda request, nth: ProviderUnavailable("down") if nth < 2 and "3" in request.key else reply_to(request)
    )
    outcomes = await desk.answer(asks(30))
    assert texts(outcomes) == [f"n{n}" for n in range(30)]
    assert not any(outcome.hit for outcome in outcomes)


async def test_a_reply_is_committed_before_it_is_given_out() -> None:
    desk = Desk()
    async for outcome in desk.ledger.complete_all(asks(10)):
        assert outcome.request.key in desk.store.commits


async def test_the_row_that_was_stored_first_is_the_one_given_out() -> None:
    desk = Desk()
    request = ask("a")
    other = Reply("first", reply_to(request).usage, 7, "stop", "m")
    desk.client.gate = asyncio.Event()
    async with consuming(desk, [request]) as task:
        await desk.client.has_sent(1)
        desk.store.calls[request.key, ""] = (1, other)
        desk.store.shared.add(1)
        desk.client.gate.set()
        assert texts(await task) == ["first"]


async def test_requests_are_read_in_a_window() -> None:
    desk = Desk(window=5)
    read = 0

    def source() -> Iterator[ModelRequest]:
        nonlocal read
        for request in asks(40):
            read += 1
            yield request

    given = 0
    async for _ in desk.ledger.complete_all(source()):
        given += 1
        assert read <= given + 2 * 5, "a window, and as many that are looked up together"
    assert given == 40


async def test_no_requests_give_no_outcomes() -> None:
    assert await Desk().answer([]) == []


async def test_an_exception_of_the_source_comes_out() -> None:
    def source() -> Iterator[ModelRequest]:
        yield ask("a")
        raise LookupError("no such row")

    with pytest.raises(LookupError, match="no such row"):
        [outcome async for outcome in Desk().ledger.complete_all(source())]


# --- never twice ------------------------------------------------------------------------------------------------------


async def test_equal_requests_in_flight_are_made_once_and_followers_cost_nothing() -> None:
    desk = Desk()
    outcomes = await desk.answer([ask("a")] * 3)
    assert desk.client.sent == ["a"]
    assert [outcome.hit for outcome in outcomes] == [False, True, True]
    assert (desk.ledger.spend.of("task").calls, desk.ledger.spend.hits) == (1, 2)


async def test_replicates_are_asked_independently() -> None:
    desk = Desk()
    await desk.answer([ask("a", 0), ask("a", 1)])
    assert desk.client.sent == ["a", "a"]


async def test_cancelling_the_first_asker_leaves_the_others_their_answer() -> None:
    desk = Desk()
    desk.client.gate = asyncio.Event()
    async with consuming(desk, [ask("a")]) as first, consuming(desk, [ask("a")]) as second:
        await desk.client.has_sent(1)
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        desk.client.gate.set()
        assert texts(await second) == ["a"]
    assert desk.client.sent == ["a"]
    assert desk.client.cancelled == 0


async def test_what_the_run_has_paid_for_answers_from_its_record_and_counts_again() -> None:
    first = Desk()
    await first.answer([ask("a"), ask("b")])
    second = first.session()
    outcomes = await second.answer([ask("a"), ask("b"), ask("a")])
    assert second.client.sent == []
    assert all(outcome.hit for outcome in outcomes)
    assert second.ledger.spend.of("task").calls == 2
    assert second.ledger.spend.total == first.ledger.spend.total


async def test_a_resumed_run_has_the_same_spend_as_one_that_never_stopped() -> None:
    requests = [ask("a"), ask("b"), ask("a"), ask("c", role="juror"), ask("b")]
    drops = ConnectionDropped("reset")
    desk = Desk(lambda request, nth: drops if nth == 1 and request.messages[0].content == "b" else reply_to(request))
    await desk.answer(requests)
    resumed = desk.session()
    await resumed.answer(requests)
    assert resumed.ledger.spend == desk.ledger.spend


async def test_another_runs_reply_is_pinned_and_free() -> None:
    first = Desk()
    await first.answer([ask("a")])
    other = first.session(run_id="other", budget=Budget(calls=0))
    outcomes = await other.answer([ask("a"), ask("a")])
    assert texts(outcomes) == ["a", "a"]
    assert other.ledger.spend.total == Amount()
    assert other.ledger.spend.hits == 2
    assert ("other", ask("a").key) in first.store.pins


async def test_a_pinned_reply_stays_free_on_resume() -> None:
    first = Desk()
    await first.answer([ask("a")])
    await first.session(run_id="other").answer([ask("a")])
    resumed = first.session(run_id="other")
    await resumed.answer([ask("a")])
    assert (resumed.ledger.spend.total, resumed.ledger.spend.hits) == (Amount(), 1)


# --- failures ---------------------------------------------------------------------------------------------------------


async def test_a_final_failure_is_an_outcome_and_is_handed_over_once() -> None:
    desk = Desk(lambda *_: ContextTooLong("too long", remedy="shorten it"))
    outcomes = await desk.answer([ask("a")])
    assert codes(outcomes) == ["context_too_long"]
    assert outcomes[0].failure is not None
    assert outcomes[0].failure.remedy == "shorten it"
    taken = desk.ledger.take_failures()
    assert [(failed.request.key, failed.attempts.sent) for failed in taken] == [(ask("a").key, 1)]
    assert desk.ledger.take_failures() == []
    assert desk.ledger.spend.of("task").calls == 1


async def test_a_failure_answers_again_without_a_call_in_the_same_session() -> None:
    desk = Desk(lambda *_: ProviderUnavailable("down"))
    await desk.answer([ask("a")])
    assert codes(await desk.answer([ask("a")])) == ["provider_unavailable"]
    assert len(desk.client.sent) == 3
    assert desk.ledger.spend.of("task").calls == 3


async def test_a_recorded_failure_replays_and_its_attempts_count_again() -> None:
    first = Desk(lambda *_: ProviderUnavailable("down"))
    await first.answer([ask("a")])
    first.store.commit_failures("run", first.ledger.take_failures())
    second = first.session()
    assert codes(await second.answer([ask("a"), ask("a")])) == ["provider_unavailable"] * 2
    assert second.client.sent == []
    assert second.ledger.spend == first.ledger.spend
    assert second.ledger.take_failures() == []


async def test_after_retry_failures_the_call_is_made_again_and_both_count() -> None:
    first = Desk(lambda *_: ContextTooLong("too long"))
    await first.answer([ask("a")])
    first.store.commit_failures("run", first.ledger.take_failures())
    second = first.session()
    await second.answer([ask("a")])
    second.ledger.retry_failures()
    assert texts(await second.answer([ask("a")])) == ["a"]
    assert second.ledger.spend.of("task").calls == 2
    third = first.session()
    assert codes(await third.answer([ask("a")])) == ["context_too_long"]
    third.ledger.retry_failures()
    assert texts(await third.answer([ask("a")])) == ["a"]
    assert third.client.sent == []
    assert third.ledger.spend == second.ledger.spend


async def test_an_error_that_stops_the_run_is_never_recorded_as_final() -> None:
    desk = Desk(lambda *_: AuthenticationFailed("wrong key", remedy="set it"))
    outcomes = await desk.answer([ask("a")])
    assert outcomes[0].failure is not None
    assert outcomes[0].failure.stops
    assert desk.ledger.take_failures() == []


async def test_a_bug_in_a_client_comes_out_and_what_was_not_sent_is_cancelled() -> None:
    desk = Desk(
        lambda request, _: ZeroDivisionError("bug") if request.messages[0].content == "n0" else reply_to(request)
    )
    with pytest.raises(ZeroDivisionError):
        await desk.answer(asks(30))
    await desk.ledger.close()
    assert len(desk.client.sent) < 30


async def test_a_store_that_refuses_ends_the_work() -> None:
    desk = Desk()
    desk.store.broken = StorageFull("no space")
    with pytest.raises(StorageFull):
        await desk.answer([ask("a")])
    assert desk.ledger.spend.of("task").calls == 1


@pytest.mark.parametrize("answer", [None, ProviderUnavailable("down")])
async def test_nothing_is_sent_any_more_once_the_store_has_refused(answer: Exception | None) -> None:
    """Neither by calls that get the slot of one whose reply could not be recorded, nor by a retry."""
    sent_by_then: list[int] = []
    desk = Desk(lambda request, _: answer or reply_to(request))

    class Refusal(StorageFull):
        def __init__(self) -> None:
            super().__init__("no space")
            sent_by_then.append(len(desk.client.sent))

    async def refuse(*_values: object, **_named: object) -> None:
        raise Refusal

    desk.store.record_call = desk.store.commit_block = refuse  # type: ignore[method-assign,assignment]
    with pytest.raises(StorageFull):
        await desk.answer(asks(40))
    await desk.ledger.close()
    assert len(desk.client.sent) == sent_by_then[0] <= 4
    assert desk.ledger.take_failures() == [], "nothing may be called final"


async def test_a_call_that_failed_in_any_earlier_generation_is_known_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Desk(lambda request, _: ContextTooLong("long") if request == ask("bad") else reply_to(request))
    await first.answer([ask("bad"), ask("good")])
    first.store.commit_failures("run", first.ledger.take_failures())
    made: dict[str, bool] = {}

    async def make(call: Call) -> Answered:
        made[call.request.messages[-1].content] = call.failed_before
        return Answered(reply_to(call.request), None, Attempts())

    monkeypatch.setattr(Call, "make", make)
    for retries in (1, 2):
        resumed = first.session()
        for _ in range(retries):
            resumed.ledger.retry_failures()
        await resumed.answer([ask("bad"), ask(f"new {retries}")])
        assert made.pop("bad")
        assert not made.pop(f"new {retries}")


# --- budget -----------------------------------------------------------------------------------------------------------


async def test_a_refused_request_and_all_after_it_are_refused() -> None:
    desk = Desk(budget=Budget(calls=3))
    outcomes = await desk.answer([*asks(3), *(ask(f"late{n}") for n in range(200)), ask("n0")])
    assert codes(outcomes) == [None] * 3 + ["budget:calls"] * 201
    assert desk.client.sent == ["n0", "n1", "n2"]
    assert desk.ledger.take_failures() == []
    assert desk.ledger.spend.hits == 0


async def test_a_refusal_is_decided_alike_on_resume() -> None:
    first = Desk(budget=Budget(calls=3))
    await first.answer(asks(9))
    resumed = first.session(budget=Budget(calls=3))
    assert codes(await resumed.answer(asks(9))) == [None] * 3 + ["budget:calls"] * 6
    assert resumed.client.sent == []


async def test_raised_caps_let_the_rest_through() -> None:
    desk = Desk(budget=Budget(calls=3))
    await desk.answer(asks(5))
    desk.ledger.raise_caps({"calls": 5})
    assert texts(await desk.answer(asks(5))) == [f"n{n}" for n in range(5)]
    assert desk.ledger.budget.calls == 5


async def test_a_reserve_is_kept_until_it_is_released() -> None:
    desk = Desk(budget=Budget(calls=3))
    desk.ledger.hold(Amount(calls=2))
    assert codes(await desk.answer(asks(2))) == [None, "budget:calls"]
    desk.ledger.hold(Amount())
    assert codes(await desk.answer(asks(3))) == [None] * 3


async def test_a_failure_whose_retry_has_no_room_is_final_and_replays_with_its_cost() -> None:
    first = Desk(lambda *_: ProviderUnavailable("down"), budget=Budget(calls=2))
    assert codes(await first.answer(asks(2))) == ["provider_unavailable", "budget:calls"]
    first.store.commit_failures("run", first.ledger.take_failures())
    resumed = first.session(budget=Budget(calls=2))
    assert codes(await resumed.answer(asks(2))) == ["provider_unavailable", "budget:calls"]
    assert resumed.client.sent == []


# --- ending early -----------------------------------------------------------------------------------------------------


async def test_calls_that_were_sent_are_recorded_although_nobody_waits_any_more() -> None:
    desk = Desk()
    desk.client.gate = asyncio.Event()
    async with consuming(desk, asks(10)) as task:
        await desk.client.has_sent(4)
        task.cancel()
        await asyncio.wait([task])
        desk.client.gate.set()
        await desk.ledger.drain()
    assert desk.client.sent == ["n0", "n1", "n2", "n3"]
    assert len(desk.store.commits) == 4
    assert desk.ledger.spend.of("task").calls == 4


async def test_a_failing_call_is_not_tried_again_once_nobody_waits() -> None:
    desk = Desk(lambda *_: ProviderUnavailable("down"))
    desk.client.gate = asyncio.Event()
    async with consuming(desk, asks(1)) as task:
        await desk.client.has_sent(1)
        task.cancel()
        await asyncio.wait([task])
        desk.client.gate.set()
        await desk.ledger.close()
    assert len(desk.client.sent) == 1
    assert desk.ledger.take_failures() == []
    assert desk.client.closed == 1


async def test_a_call_that_outlives_the_grace_period_is_cancelled_and_counts_as_unconfirmed() -> None:
    desk = Desk(drain_seconds=0.01)
    desk.client.gate = asyncio.Event()
    async with consuming(desk, asks(1)) as task:
        await desk.client.has_sent(1)
        task.cancel()
        await asyncio.wait([task])
        await desk.ledger.drain()
    assert desk.client.cancelled == 1
    assert desk.ledger.spend.of("task").unconfirmed == 1


async def test_closing_the_generator_early_leaves_no_call_waiting() -> None:
    desk = Desk()
    async with contextlib.aclosing(desk.ledger.complete_all(asks(500))) as outcomes:  # type: ignore[type-var]
        async for _ in outcomes:
            break
    await desk.ledger.close()
    assert len(desk.client.sent) < 500
    assert len(desk.store.commits) == len(desk.client.sent)


async def test_a_recorded_run_replays_without_a_task_for_each_hit(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    await desk.answer(asks(300))
    resumed = desk.session()
    started: list[object] = []
    loop = asyncio.get_running_loop()
    create = loop.create_task
    monkeypatch.setattr(loop, "create_task", lambda *args, **kwargs: started.append(args) or create(*args, **kwargs))
    assert len(await resumed.answer(asks(300))) == 300
    assert started == []


# --- attempts that brought nothing ------------------------------------------------------------------------------------


async def test_attempts_that_failed_before_a_crash_count_when_the_call_is_made_again() -> None:
    first = Desk(lambda request, nth: ProviderUnavailable("busy"))
    await first.answer([ask("a")])  # and then dies: the failure is not committed with a block
    second = first.session()
    assert texts(await second.answer([ask("a")])) == ["a"]
    assert second.ledger.spend.of("task").calls == 3 + 1
    third = second.session()
    assert texts(await third.answer([ask("a")])) == ["a"]
    assert third.client.sent == []
    assert third.ledger.spend == second.ledger.spend


async def test_a_failure_contains_the_attempts_of_earlier_sessions() -> None:
    first = Desk(lambda request, nth: ProviderUnavailable("busy"))
    await first.answer([ask("a")])
    second = first.session(lambda request, nth: ProviderUnavailable("busy"))
    await second.answer([ask("a")])
    (failed,) = second.ledger.take_failures()
    assert failed.attempts.sent == 6 == second.ledger.spend.of("task").calls


async def test_a_refused_key_counts_although_it_is_no_answer() -> None:
    first = Desk(lambda request, nth: AuthenticationFailed("401"))
    await first.answer([ask("a")])
    second = first.session()
    assert texts(await second.answer([ask("a")])) == ["a"]
    assert second.ledger.spend.of("task").calls == 2


async def test_a_cap_counts_what_is_paid_already_behind_a_call_that_is_made_again() -> None:
    first = Desk(
        lambda request, nth: AuthenticationFailed("401") if "n0" in str(request.messages) else reply_to(request)
    )
    await first.answer(asks(4))
    assert first.store.paid("run").calls == 4
    second = first.session(budget=Budget(calls=4))
    assert codes(await second.answer(asks(4)))[0] == "budget:calls"
    assert second.client.sent == []


async def test_another_runs_reply_is_pinned_after_attempts_that_brought_nothing() -> None:
    first = Desk(lambda request, nth: ProviderUnavailable("busy"))
    await first.answer([ask("a")])
    other = first.session(run_id="other")
    await other.answer([ask("a")])
    second = first.session()
    (outcome,) = await second.answer([ask("a")])
    assert outcome.hit
    assert second.client.sent == []
    assert (second.ledger.spend.of("task").calls, second.ledger.spend.hits) == (3, 1)
