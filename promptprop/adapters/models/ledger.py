"""The ledger: all model calls of one run, recorded before they are used, so that nothing is paid twice.

Requests are looked up in the order asked. What the run has recorded answers at once and counts again; another run's
reply is pinned and free; everything else takes a ticket of the purse, in order, and becomes one shared flight.

An attempt that brought nothing is recorded too, before another one follows: a run that is interrupted or killed in a
storm of failures counts them when it is resumed, or its caps would begin anew each time. They lie under a generation of
their own (see `lost_in`), are no answer, and are contained in the record that ends the call.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from promptprop.adapters.models.endpoint import Call, Endpoint
from promptprop.adapters.models.flights import Flight, Flights, Landing
from promptprop.adapters.models.limiter import Timing
from promptprop.adapters.models.purse import Batch, Purse
from promptprop.domain.budget import Amount, Budget, RoleSpend, Spend, settled
from promptprop.domain.errors import BudgetSpent, ModelError
from promptprop.domain.events import Event
from promptprop.domain.models import Attempts, Failure, Json, ModelRequest, Outcome, Reply
from promptprop.ports import CacheMode, FailedCall, RecordedCall, Store

TURN = 64  # outcomes given before the event loop gets its turn: recorded ones need no await at all
SMALLEST_WINDOW = 64
WINDOWS = 4  # requests read ahead, as a multiple of the largest concurrency
BUDGET = "budget:"
NO_ATTEMPT = Attempts(sent=0)
CANCELLED = Failure("cancelled", "the call was cancelled while it was under way")


@dataclass(frozen=True, slots=True)
class _Entry:
    """A request in the window. `free` tells that its reply costs this run nothing new."""

    request: ModelRequest
    flight: Flight | None = None
    landing: Landing | None = None
    hit: bool = True
    free: bool = True


class LedgerModels:
    """The models of one run behind ledger, budget, limiter, retry and deadline (port: `Ledger`)."""

    def __init__(
        self,
        store: Store,
        run_id: str,
        purse: Purse,
        endpoints: Mapping[str, Endpoint],
        *,
        cache: CacheMode = "read-write",
        window: int | None = None,
        timing: Timing | None = None,
    ) -> None:
        """`cache` is how the run stands to others' replies, `window` bounds the requests that are read ahead."""
        most = max((endpoint.limiter.most for endpoint in endpoints.values()), default=1)
        self._store = store
        self._run_id = run_id
        self._purse = purse
        self._endpoints = dict(endpoints)
        self._cache = cache
        self._window = window or max(SMALLEST_WINDOW, WINDOWS * most)
        self._timing = timing or Timing()
        self._flights = Flights(self._timing.drain_seconds)
        self._generation = 0
        self._roles: dict[str, RoleSpend] = {}
        self._counted: set[str] = set()
        self._failed: dict[str, Failure] = {}
        self._failures: list[FailedCall] = []
        self._lost: dict[tuple[str, int], Attempts] = {}  # counted already, by key and generation
        self._begun = False
        self._notices: asyncio.Queue[Event] = asyncio.Queue()
        for endpoint in endpoints.values():
            if endpoint.limiter.circuit is not None:
                endpoint.limiter.circuit.listen(self._notices.put_nowait, run_id[:8])

    # --- the port ---------------------------------------------------------------------------------------------------

    @property
    def spend(self) -> Spend:
        """What this run has spent so far, replayed calls included."""
        return Spend(dict(self._roles))

    @property
    def budget(self) -> Budget:
        """The caps in force."""
        return self._purse.budget

    def raise_caps(self, caps: Mapping[str, Json]) -> None:
        """These caps replace the old ones."""
        self._purse.raise_caps(caps)

    def hold(self, reserve: Amount) -> None:
        """Keep this amount out of reach, until it is set anew."""
        self._purse.hold(reserve)

    def retry_failures(self) -> None:
        """Failures recorded so far no longer answer."""
        self._generation += 1
        self._failed.clear()

    def take_failures(self) -> list[FailedCall]:
        """The final failures since the last time asked, in the order they happened to end."""
        failures, self._failures = self._failures, []
        return failures

    async def complete_all(self, requests: Iterable[ModelRequest]) -> AsyncGenerator[Outcome, None]:
        """Answer requests in the order asked, reading them in a window.

        Closed early, calls that were sent already finish in the background and are recorded: see `drain`. Exceptions
        that are no ModelError (a bug, a store that refuses) come out here, and what is under way is cancelled.
        """
        if not self._begun:
            self._begun = True
            self._purse.owe(self._store.paid(self._run_id))
        batch = Batch()
        source = self._looked_up(requests)
        window: deque[_Entry] = deque()
        refused: Failure | None = None
        try:
            while len(window) < self._window and (found := next(source, None)) is not None:
                window.append(self._begin(*found, batch))
                if len(window) % TURN == 0:
                    await asyncio.sleep(0)  # the first calls set out while later ones are still being looked up
            for turn in itertools.count(1):
                if not window:
                    return
                landing = window[0].landing or await self._landed(window[0])
                if landing.failure is not None and landing.failure.code.startswith(BUDGET):
                    refused = landing.failure
                    break
                entry = self._leave(window)
                if entry.free and landing.reply is not None:
                    self._count_hit(entry.request)
                if (found := next(source, None)) is not None:
                    window.append(self._begin(*found, batch))
                if turn % TURN == 0:
                    await asyncio.sleep(0)
                yield Outcome(entry.request, landing.reply, landing.failure, entry.hit)
            unanswered = [self._leave(window).request for _ in range(len(window))]
            for request in itertools.chain(unanswered, (request for request, _ in source)):
                yield Outcome(request, None, refused)
        finally:
            while window:
                self._leave(window)

    async def notice(self) -> Event:
        """Wait for the next thing that an endpoint has to say."""
        return await self._notices.get()

    async def drain(self) -> None:
        """Wait until the calls of abandoned work are recorded, at most `drain_seconds`; then cancel them."""
        await self._flights.drain()

    async def close(self) -> None:
        """Drain, then close all clients."""
        try:
            await self.drain()
        finally:
            for endpoint in self._endpoints.values():
                await endpoint.client.close()

    # --- a request's way --------------------------------------------------------------------------------------------

    def _looked_up(self, requests: Iterable[ModelRequest]) -> Iterator[tuple[ModelRequest, RecordedCall | None]]:
        """Requests with what the store knows of them, asked for many at once: that is several times faster.

        Others may store a reply in the meantime; then both were asked for it, and the one stored first wins.
        """
        source = iter(requests)
        while part := list(itertools.islice(source, min(TURN, self._window))):
            keys = [request.key for request in part]
            found = self._store.find_calls(self._run_id, keys, self._generation, self._cache)
            yield from ((request, found.get(request.key)) for request in part)

    def _begin(self, request: ModelRequest, record: RecordedCall | None, batch: Batch) -> _Entry:
        """Begin a request in its turn; what is not recorded takes its place in the purse's line."""
        key = request.key
        flight = self._flights.join(key)
        if flight is not None:
            return _Entry(request, flight)
        if key in self._failed:
            return _Entry(request, landing=Landing(None, self._failed[key]))
        if key in self._counted:  # it may have been recorded since it was looked up
            record = self._store.find_call(self._run_id, key, self._generation, self._cache)
        if record is None or (record.mine and record.reply is None and record.failure is None):
            return self._launch(request, batch, record.attempts if record else NO_ATTEMPT)
        if not record.mine:
            self._charge_lost(request, batch, record.attempts)
            return _Entry(request, self._flights.start(key, self._pin(request, record)))
        return self._replay(request, record, batch)

    def _replay(self, request: ModelRequest, record: RecordedCall, batch: Batch) -> _Entry:
        """Answer from this run's record; what the run has paid for counts again, once a session."""
        landing = Landing(record.reply, record.failure)
        if not record.paid or request.key in self._counted:
            return _Entry(request, landing=landing)
        self._counted.add(request.key)
        self._purse.charge(settled(record.reply, record.attempts), batch, partial(self._charged, request, record))
        return _Entry(request, landing=landing, free=False)

    def _charged(self, request: ModelRequest, record: RecordedCall, counted: bool) -> None:
        if not counted:
            self._counted.discard(request.key)  # refused with its batch: it will count when it is asked for again
            return
        self._count(request, record.reply, record.attempts)
        if record.failure is not None:
            self._counted.discard(request.key)  # from now on it answers from memory, until failures are retried
            self._failed[request.key] = record.failure

    def _launch(self, request: ModelRequest, batch: Batch, lost: Attempts) -> _Entry:
        before, generation = self._charge_lost(request, batch, lost), self._generation
        endpoint = self._endpoints[request.endpoint]
        ticket = self._purse.ticket(endpoint.worst(request), endpoint.retries.attempts, batch)

        async def failed(error: ModelError, attempts: Attempts) -> None:
            if attempts.sent:
                await self._lose(request, _failure_of(error), _plus(before, attempts), generation)

        call = Call(endpoint, request, ticket, self._timing, failed)
        used_up = before.sent >= endpoint.retries.attempts  # in earlier sessions
        call.failed_before = used_up or self._failed_before(request.key, generation)
        flight = self._flights.start(request.key, self._fly(call, before, generation), call)
        return _Entry(request, flight, hit=False, free=False)

    def _failed_before(self, key: str, generation: int) -> bool:
        """Whether this run was told in an older generation that it had failed for good."""
        earlier = (self._store.find_call(self._run_id, key, older, "off") for older in range(generation))
        return any(known is not None and known.failure is not None for known in earlier)

    def _charge_lost(self, request: ModelRequest, batch: Batch, lost: Attempts) -> Attempts:
        """Count attempts of earlier sessions that brought nothing, once; returns all of this request so far."""
        place = (request.key, self._generation)
        if place in self._lost or not lost.sent:
            return self._lost.get(place, NO_ATTEMPT)
        self._lost[place] = lost

        def done(counted: bool) -> None:
            if counted:
                self._count(request, None, lost)
            else:
                self._lost.pop(place, None)

        self._purse.charge(settled(None, lost), batch, done)
        return lost

    async def _lose(self, request: ModelRequest, failure: Failure, attempts: Attempts, generation: int) -> None:
        """Record attempts that brought nothing, all of this request so far."""
        self._lost[request.key, generation] = attempts
        lost = FailedCall(request, failure, attempts)
        try:
            await self._store.commit_block(self._run_id, [], [lost], "", lost_in(generation))
        except Exception as refusal:
            self._shut(refusal)
            raise

    def _shut(self, refusal: Exception) -> None:
        """Shut every gate for a store that refuses: what cannot be recorded must not be asked for."""
        for endpoint in self._endpoints.values():
            endpoint.limiter.shut(refusal)

    async def _pin(self, request: ModelRequest, record: RecordedCall) -> Landing:
        if record.call_id is None:
            raise ValueError(f"the store offers a call of another run without its id: {request.key}")
        await self._store.pin_call(self._run_id, request, record, self._generation)
        return Landing(record.reply)

    async def _fly(self, call: Call, before: Attempts, generation: int) -> Landing:
        """Make the call and record its reply. What it cost counts whatever happens then; `before` has counted."""
        request, counted = call.request, False

        async def record(reply: Reply, attempts: Attempts) -> Reply:
            nonlocal counted
            self._count(request, reply, attempts)
            counted = True
            spent = _plus(before, attempts)
            try:
                stored = await self._store.record_call(self._run_id, request, reply, spent, generation, self._cache)
            except Exception as refusal:
                self._shut(refusal)
                raise
            self._counted.add(request.key)
            return stored.reply or reply

        call.recorded = record
        try:
            answered = await call.make()
        except BudgetSpent as spent:
            return Landing(None, _refusal(spent.cap))
        except BaseException as error:
            if not counted:
                self._count(request, None, call.attempts)
                if isinstance(error, asyncio.CancelledError) and call.attempts.sent:
                    await self._lose(request, CANCELLED, _plus(before, call.attempts), generation)
            raise
        if answered.reply is not None:
            return Landing(answered.reply)
        self._count(request, None, answered.attempts)
        attempts = _plus(before, answered.attempts)
        return Landing(None, self._fail(request, answered.error, attempts, final=not call.last))

    def _fail(self, request: ModelRequest, error: ModelError | None, attempts: Attempts, *, final: bool) -> Failure:
        """The failure, remembered if it is final; never where it stops the run: the next session must ask again."""
        if error is None:
            raise ValueError("a call ended with neither a reply nor an error")
        failure = _failure_of(error)
        if final and not failure.stops:
            self._failed[request.key] = failure
            self._failures.append(FailedCall(request, failure, attempts))
        return failure

    async def _landed(self, entry: _Entry) -> Landing:
        if entry.flight is None:
            raise ValueError("a request in the window has neither a landing nor a flight")
        return await entry.flight.landed()

    def _leave(self, window: deque[_Entry]) -> _Entry:
        entry = window.popleft()
        if entry.flight is not None:
            self._flights.leave(entry.request.key, entry.flight)
        return entry

    # --- what it cost -----------------------------------------------------------------------------------------------

    def _count(self, request: ModelRequest, reply: Reply | None, attempts: Attempts) -> None:
        self._roles[request.role] = self._roles.get(request.role, RoleSpend()).plus(reply, attempts)

    def _count_hit(self, request: ModelRequest) -> None:
        self._roles[request.role] = self._roles.get(request.role, RoleSpend()).plus_hit()


def _refusal(cap: str) -> Failure:
    remedy = f"raise the cap on {cap}, or let the run end from its reserve"
    return Failure(f"{BUDGET}{cap}", f"the budget has no room for another call: {cap}", remedy)


def _failure_of(error: ModelError) -> Failure:
    return Failure(error.code, error.message, error.remedy, stops=error.policy == "stop")


def _plus(one: Attempts, other: Attempts) -> Attempts:
    """Both together; their money is unknown where either's is."""
    known = one.unconfirmed_picousd is not None and other.unconfirmed_picousd is not None
    return Attempts(
        one.sent + other.sent,
        one.unconfirmed + other.unconfirmed,
        one.unconfirmed_tokens + other.unconfirmed_tokens,
        (one.unconfirmed_picousd or 0) + (other.unconfirmed_picousd or 0) if known else None,
    )


def lost_in(generation: int) -> int:
    """The generation under which attempts that brought nothing in `generation` are kept: negative, so never an answer.

    >>> lost_in(0), lost_in(1)
    (-1, -2)
    """
    return -1 - generation
