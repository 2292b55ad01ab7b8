"""The circuit of an endpoint: when it opens, who probes, when it closes, and when the endpoint is given up."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable

import pytest
from fake_clients import FakeClient, Script, reply_to
from hypothesis import given, settings
from hypothesis import strategies as st

from promptprop.adapters.models.circuit import CALLERS, DOUBTS, LONGEST_COOL_DOWN, OPENS, Circuit
from promptprop.adapters.models.endpoint import Answered, Call, Endpoint
from promptprop.adapters.models.limiter import Limiter, Timing
from promptprop.adapters.models.purse import Purse
from promptprop.adapters.models.retry import Retries
from promptprop.domain.budget import Budget
from promptprop.domain.errors import (
    ContextTooLong,
    EndpointUnreachable,
    ModelError,
    ProviderDown,
    ProviderUnavailable,
    RateLimited,
    UnreadableAnswer,
)
from promptprop.domain.events import EndpointPaused, EndpointRecovered, Event
from promptprop.domain.models import Message, ModelRequest, Reply

DOWN = ProviderUnavailable("500 from the provider")


class Hours:
    """Time that jumps to the next one who wakes, whenever nobody has anything else to do."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = itertools.count()

    async def sleep(self, seconds: float) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + max(0.0, seconds), next(self._count), turn))
        await turn

    @property
    def timing(self) -> Timing:
        return Timing(lambda: self.now, self.sleep, lambda: 0.5)

    async def until(self, *work: Awaitable[object]) -> list[object]:
        """Let time pass until all of this is done; raises where it waits for nothing that could ever come."""
        tasks = [asyncio.ensure_future(one) for one in work]
        idle = 0
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0)
            idle += 1
            if idle % 20:
                continue
            self._sleepers = [one for one in self._sleepers if not one[2].done()]
            heapq.heapify(self._sleepers)
            if not self._sleepers:
                assert idle < 5000, "somebody waits for ever"
                continue
            idle = 0
            self.now, _, turn = heapq.heappop(self._sleepers)
            turn.set_result(None)
        return [await task for task in tasks]


class Desk:
    """One endpoint with a circuit, and time that passes by itself. `up_at` is when the provider is back."""

    def __init__(
        self,
        script: Script | None = None,
        *,
        up_at: float | None = None,
        error: ModelError = DOWN,
        concurrency: int = 8,
        retries: int = 4,
        budget: Budget | None = None,
        patience: float = 45.0,
    ) -> None:
        self.hours = Hours()
        self.sent_at: list[float] = []
        self.news: list[Event] = []

        def answer(request: ModelRequest, nth: int) -> Reply | Exception:
            self.sent_at.append(self.hours.now)
            if script is not None:
                return script(request, nth)
            return reply_to(request) if up_at is not None and self.hours.now >= 1000.0 + up_at else error

        self.client = FakeClient(answer)
        self.circuit = Circuit("task", "m", patience, self.hours.timing)
        self.circuit.listen(self.news.append, "run-1")
        self.purse = Purse(budget or Budget())
        limiter = Limiter(concurrency, timing=self.hours.timing, circuit=self.circuit)
        self.endpoint = Endpoint("task", "m", self.client, limiter, Retries(retries), max_tokens=20)

    async def make(self, name: str, *, failed_before: bool = False) -> Answered:
        request = ModelRequest("task", "m", (Message("user", name),), {})
        ticket = self.purse.ticket(self.endpoint.worst(request), self.endpoint.retries.attempts)
        call = Call(self.endpoint, request, ticket, self.hours.timing)
        call.failed_before = failed_before
        return await call.make()

    async def make_all(self, count: int, prefix: str = "", *, failed_before: bool = False) -> list[Answered]:
        calls = (self.make(f"{prefix}{n}", failed_before=failed_before) for n in range(count))
        answers = await self.hours.until(*calls)
        return [answer for answer in answers if isinstance(answer, Answered)]


@pytest.mark.parametrize("count", [1, 2, 3, 40])
async def test_calls_pass_through_an_outage_shorter_than_the_patience_however_many_they_are(count: int) -> None:
    desk = Desk(up_at=30)
    answers = await desk.make_all(count)
    assert [answer.error for answer in answers] == [None] * count
    assert [type(event) for event in desk.news] == [EndpointPaused, EndpointRecovered]


async def test_attempts_that_fell_into_an_outage_are_given_back_when_another_one_follows() -> None:
    between: list[ModelRequest] = []

    def script(request: ModelRequest, _: int) -> Reply | Exception:
        since = desk.hours.now - 1000.0
        if 10 <= since < 30 and len(between) < 3:
            between.append(request)
            return reply_to(request)
        return DOWN if since < 30 else reply_to(request)

    desk = Desk(script, retries=1)
    answers = await desk.make_all(8)
    assert [answer.error for answer in answers] == [None] * 8
    assert desk.purse.spent.calls == len(desk.sent_at)


async def test_few_requests_are_sent_while_an_endpoint_is_down() -> None:
    desk = Desk(up_at=30)
    await desk.make_all(40)
    assert len([moment for moment in desk.sent_at if moment < 1030]) <= OPENS + 8 + 6


async def test_probes_go_out_after_a_cool_down_that_doubles_up_to_its_limit() -> None:
    desk = Desk(patience=600, up_at=100, concurrency=1)
    await desk.make_all(40)
    probes = [moment for moment in desk.sent_at if moment < 1100][OPENS:]
    waits = [round(later - before) for before, later in itertools.pairwise([probes[0], *probes[1:]])]
    assert waits[:3] == [2, 4, 8]
    assert set(waits[3:]) == {LONGEST_COOL_DOWN}


async def test_probes_rotate_over_the_calls_that_wait() -> None:
    desk = Desk(concurrency=1)
    await desk.make_all(20)
    assert max(desk.client.sent.count(name) for name in desk.client.sent) <= 3


@pytest.mark.parametrize("error", [DOWN, RateLimited("slow down"), EndpointUnreachable("refused")])
@pytest.mark.parametrize("count", [5, 40])
async def test_an_endpoint_that_answers_nothing_is_given_up_when_its_patience_is_over(
    error: ModelError, count: int
) -> None:
    desk = Desk(error=error)
    answers = await desk.make_all(count)
    assert {type(answer.error) for answer in answers} == {ProviderDown}, "no call may be left as failed for good"
    assert 1045 <= desk.hours.now <= 1046
    verdict = answers[0].error
    assert verdict is not None
    assert verdict.exit_code == 4
    assert "45 s" in verdict.message
    assert str(len(desk.client.sent)) in verdict.message
    assert error.message in verdict.message
    assert "runs resume run-1 --retry-errors" in verdict.remedy
    assert "patience" in verdict.remedy


async def test_a_promise_to_be_back_within_a_minute_is_waited_for() -> None:
    desk = Desk(up_at=59, error=RateLimited("wait", retry_after=60.0))
    answers = await desk.make_all(40)
    assert [answer.error for answer in answers] == [None] * 40
    assert len(desk.client.sent) <= 40 + 2 * OPENS + 8


async def test_a_promise_far_beyond_the_patience_does_not_hold_the_run() -> None:
    desk = Desk(error=RateLimited("wait", retry_after=3600.0))
    answers = await desk.make_all(40)
    assert {type(answer.error) for answer in answers} == {ProviderDown}
    assert desk.hours.now <= 1062


async def test_a_few_calls_that_fail_alone_are_missing_in_the_end_and_the_endpoint_is_not_given_up() -> None:
    desk = Desk(lambda request, _: DOWN if "poison" in request.messages[-1].content else reply_to(request))
    poisoned = await desk.make_all(CALLERS - 1, "poison ")
    assert [answer.error for answer in poisoned] == [DOWN] * (CALLERS - 1)
    assert desk.hours.now >= 1045
    healthy = await desk.make_all(20)
    assert [answer.error for answer in healthy] == [None] * 20


@pytest.mark.parametrize("count", [1, CALLERS, 40])
async def test_calls_that_failed_for_good_before_and_fail_again_do_not_bring_the_endpoint_down(count: int) -> None:
    """A run whose last rows always fail must come to its end, and soon after the patience however many they are."""
    desk = Desk(lambda request, _: DOWN if "poison" in request.messages[-1].content else reply_to(request))
    poisoned = await desk.make_all(count, "poison ", failed_before=True)
    assert [answer.error for answer in poisoned] == [DOWN] * count
    assert desk.hours.now <= 1045 + 15
    assert desk.news == [], "nobody but them had to wait"
    healthy = await desk.make_all(20)
    assert [answer.error for answer in healthy] == [None] * 20


async def test_an_outage_is_called_so_by_fresh_calls_among_those_that_failed_before() -> None:
    desk = Desk()
    old = [desk.make(f"old {n}", failed_before=True) for n in range(10)]
    answers = await desk.hours.until(*old, *(desk.make(f"fresh {n}") for n in range(20)))
    assert {type(answer.error) for answer in answers if isinstance(answer, Answered)} == {ProviderDown}


async def test_calls_that_failed_before_are_answered_after_an_outage_shorter_than_the_patience() -> None:
    answers = await Desk(up_at=30).make_all(20, failed_before=True)
    assert [answer.error for answer in answers] == [None] * 20


@pytest.mark.parametrize(("seconds", "waits"), [(0.0, 60.0), (1.0, 15.0), (10.0, 30.0), (40.0, 60.0)])
def test_a_probe_that_may_bring_the_verdict_waits_a_few_times_the_longest_answer_at_most(
    seconds: float, waits: float
) -> None:
    hours = Hours()
    circuit = Circuit("task", "m", 45.0, hours.timing)
    if seconds:
        begun = circuit.begin()
        hours.now += seconds
        circuit.answered(begun)
    for n in range(CALLERS - 1):
        circuit.failed(circuit.begin(), str(n), DOWN)
    assert circuit.deadline(60.0, circuit.begin(probe=True)) == 60.0, "one of few calls may be slow itself"
    circuit.failed(circuit.begin(), "another", DOWN)
    assert circuit.deadline(60.0, circuit.begin(probe=True)) == waits
    assert circuit.deadline(60.0, circuit.begin()) == 60.0


async def test_an_endpoint_whose_answers_have_no_text_is_not_said_to_be_silent() -> None:
    desk = Desk(error=UnreadableAnswer("an answer without text (length)", remedy="raise max_tokens"))
    verdict = (await desk.make_all(20))[0].error
    assert isinstance(verdict, ProviderDown)
    assert "no answer that can be read" in verdict.message
    assert verdict.remedy.startswith("raise max_tokens; then `promptprop runs resume run-1 --retry-errors`")


async def test_a_call_that_fails_while_others_are_answered_has_its_own_attempts_and_no_more() -> None:
    desk = Desk(lambda request, _: DOWN if "poison" in request.messages[-1].content else reply_to(request))
    desk.endpoint.limiter.concurrency = 2

    async def others() -> None:
        for n in range(200):
            await desk.make(f"well {n}")
            await desk.hours.sleep(0.1)

    poison, _ = await desk.hours.until(desk.make("poison"), others())
    assert isinstance(poison, Answered)
    assert poison.attempts.sent == desk.endpoint.retries.attempts
    assert desk.news == []


async def test_single_calls_that_fail_in_a_row_end_with_the_endpoint_given_up() -> None:
    desk = Desk()
    errors = [type((await desk.make_all(1, f"{n} "))[0].error) for n in range(CALLERS)]
    assert errors == [ProviderUnavailable] * (CALLERS - 1) + [ProviderDown]
    assert desk.hours.now < 1045 + CALLERS * LONGEST_COOL_DOWN


def test_a_role_that_is_asked_little_is_given_up_after_fewer_calls() -> None:
    hours = Hours()
    circuit = Circuit("critic", "m", 45.0, hours.timing, callers=2)
    for n in range(OPENS):
        circuit.failed(circuit.begin(), str(n % 2), DOWN)
    assert circuit.verdict is None
    hours.now += 46
    circuit.failed(circuit.begin(probe=True), "0", DOWN)
    assert circuit.verdict is not None


async def test_a_refusal_of_one_request_is_an_answer() -> None:
    sent = itertools.count()
    desk = Desk(lambda _request, _nth: DOWN if next(sent) <= OPENS else ContextTooLong("too long"))
    answers = await desk.make_all(40)
    assert {type(answer.error) for answer in answers} == {ContextTooLong}


async def test_after_an_outage_the_concurrency_restarts_low_and_doubles_until_it_is_back() -> None:
    desk = Desk(up_at=10, concurrency=32)
    await desk.make_all(1)
    await desk.make_all(12)
    assert desk.endpoint.limiter.concurrency == 16
    await desk.make_all(40, "more ")
    assert desk.endpoint.limiter.concurrency == 32


async def test_a_call_that_is_cancelled_while_it_probes_hands_the_probe_on() -> None:
    desk = Desk(up_at=30, concurrency=2)
    calls = [asyncio.ensure_future(desk.make(str(n))) for n in range(10)]
    while not desk.circuit.open:
        await desk.hours.until(desk.hours.sleep(0.01))
    for call in calls[:9]:
        call.cancel()
    (answered,) = await desk.hours.until(calls[9])
    assert isinstance(answered, Answered)
    assert answered.reply is not None
    await asyncio.wait(calls)


async def test_a_budget_holds_during_an_outage_and_a_call_without_room_fails_with_its_last_error() -> None:
    desk = Desk(up_at=30, budget=Budget(calls=8), retries=4)
    (answer,) = await desk.make_all(1)
    assert answer.error is None or answer.error is DOWN
    assert desk.purse.spent.calls == len(desk.client.sent) <= 8
    tight = Desk(up_at=30, budget=Budget(calls=6), retries=4)
    (answer,) = await tight.make_all(1)
    assert answer.error is DOWN
    assert tight.purse.spent.calls == len(tight.client.sent) == 6


def test_the_reason_that_is_told_holds_no_key() -> None:
    news: list[Event] = []
    circuit = Circuit("task", "m")
    circuit.listen(news.append)
    for n in range(OPENS):
        circuit.failed(circuit.begin(), str(n), ProviderUnavailable("refused: Bearer sk-abcdefghijklmnopqrstuvwx1234"))
    (paused,) = news
    assert isinstance(paused, EndpointPaused)
    assert "refused" in paused.message
    assert "abcdefghij" not in paused.message


def test_an_old_series_of_failures_does_not_shorten_the_patience_of_a_new_one() -> None:
    hours = Hours()
    circuit = Circuit("task", "m", 45.0, hours.timing)
    for n in range(DOUBTS):
        circuit.failed(circuit.begin(), str(n), DOWN)
    hours.now += 1000
    for n in range(OPENS):
        circuit.failed(circuit.begin(), str(n), DOWN)
    assert circuit.open
    assert circuit.verdict is None
    assert not circuit.over


async def run_at_random(faults: list[int], cancelled: set[int], count: int, concurrency: int) -> None:
    """Calls under faults given by attempt: 0 answers, 1 fails, 2 is refused for good, 3 is a rate limit with a wait."""
    waiting: set[str] = set()
    probing: set[str] = set()
    attempts = iter(faults)
    outcomes: dict[int, Callable[[ModelRequest], Reply | Exception]] = {
        0: reply_to,
        1: lambda _: DOWN,
        2: lambda _: ContextTooLong("too long"),
        3: lambda _: RateLimited("wait", retry_after=3.0),
    }

    def script(request: ModelRequest, _nth: int) -> Reply | Exception:
        probing.discard(request.messages[-1].content)
        return outcomes[next(attempts, 0)](request)

    desk = Desk(script, concurrency=concurrency)
    begin = desk.circuit.begin

    def checked(*, probe: bool = False) -> object:
        if desk.circuit.open:
            assert probe, "somebody was let in beside the probe"
            waiting.add("probe")
            assert not probing, "two probes at once"
        return begin(probe=probe)

    desk.circuit.begin = checked  # type: ignore[method-assign,assignment]  # a spy: what it returns is the real thing
    complete = desk.client.complete

    async def watched(request: ModelRequest, timeout: float) -> Reply:
        if desk.circuit.open:
            probing.add(request.messages[-1].content)
        try:
            return await complete(request, timeout)
        finally:
            probing.discard(request.messages[-1].content)

    desk.client.complete = watched  # type: ignore[method-assign]  # as above
    calls = [asyncio.ensure_future(desk.make(str(n))) for n in range(count)]

    async def cancel() -> None:
        for n in sorted(cancelled):
            await desk.hours.sleep(0.7)
            if n < count:
                calls[n].cancel()

    await desk.hours.until(cancel(), asyncio.gather(*calls, return_exceptions=True))
    assert desk.purse.spent.calls == len(desk.client.sent)
    limiter = desk.endpoint.limiter
    assert (limiter._under_way, limiter._probing, len(limiter._waiting)) == (0, False, 0)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([0, 1, 1, 1, 1, 1, 2, 3]), max_size=120),
    st.sets(st.integers(0, 29), max_size=6),
    st.integers(1, 30),
    st.integers(1, 12),
)
def test_whatever_happens_no_two_probes_are_out_at_once_and_nobody_waits_for_ever(
    faults: list[int], cancelled: set[int], count: int, concurrency: int
) -> None:
    asyncio.run(run_at_random(faults, cancelled, count, concurrency))


# --- a promised Retry-After, and what is said of it -------------------------------------------------------------------


async def test_a_pause_that_a_provider_asks_for_is_told_once_and_so_is_its_end() -> None:
    busy = RateLimited("slow down", retry_after=20.0)
    desk = Desk(lambda request, nth: busy if nth == 1 else reply_to(request), concurrency=4)
    answers = await desk.make_all(4)
    assert all(answer.reply for answer in answers)
    paused, recovered = desk.news
    assert isinstance(paused, EndpointPaused)
    assert (paused.error, paused.message, paused.seconds, paused.retry_after) == (
        "rate_limited",
        "slow down",
        20.0,
        20.0,
    )
    assert isinstance(recovered, EndpointRecovered)
    assert recovered.seconds >= 20


async def test_an_answer_under_way_does_not_end_a_pause() -> None:
    hours, news = Hours(), list[Event]()
    circuit = Circuit("task", "m", 45.0, hours.timing)
    circuit.listen(news.append)
    circuit.held(30.0, 30.0)
    circuit.answered(circuit.begin())
    circuit.held(29.0, 29.0)
    assert [type(one) for one in news] == [EndpointPaused]
    hours.now += 31
    circuit.answered(circuit.begin())
    circuit.answered(circuit.begin())
    assert news[1:] == [EndpointRecovered("task", "m", 31.0)]


async def test_a_short_pause_is_not_worth_a_line() -> None:
    busy = RateLimited("slow down", retry_after=2.0)
    desk = Desk(lambda request, nth: busy if nth == 1 else reply_to(request), concurrency=4)
    await desk.make_all(4)
    assert desk.news == []


async def test_a_wait_beyond_the_patience_is_named_where_the_run_gives_up() -> None:
    desk = Desk(error=RateLimited("slow down", remedy="lower rpm", retry_after=3600.0), concurrency=16)
    answers = await desk.make_all(16)
    verdicts = [answer.error for answer in answers if isinstance(answer.error, ProviderDown)]
    assert verdicts
    assert "asks to be left alone for 3600 s" in verdicts[0].message
    first = desk.news[0]
    assert isinstance(first, EndpointPaused)
    assert (first.seconds, first.retry_after) == (60.0, 3600.0)


async def test_the_remedy_of_what_failed_most_often_is_kept_where_a_provider_is_given_up() -> None:
    desk = Desk(error=EndpointUnreachable("no connection", remedy="check api_base"))
    answers = await desk.make_all(8)
    (verdict,) = {answer.error for answer in answers}
    assert isinstance(verdict, ProviderDown)
    assert verdict.remedy.startswith("check api_base; then `promptprop runs resume run-1 --retry-errors`")
