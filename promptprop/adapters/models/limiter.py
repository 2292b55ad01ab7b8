"""How fast an endpoint may be asked: concurrency that adapts to 429, `Retry-After`, requests and tokens a minute.

The concurrency starts where it was configured, is halved by a 429 (once for all requests that were under way when it
was last halved: a burst of refusals is one message) and grows back by one after each full window of successes. Where a
circuit opens, one request at a time is let in to probe; after it has closed, the concurrency restarts at a quarter and
doubles with each window until it is where it was.

Rates are paced by the generic cell rate algorithm (ITU-T I.371): each request moves a theoretical arrival time ahead,
which serves callers first come, first served, lets a call correct its estimated tokens afterwards, and never sends a
whole minute's allowance at once, as a bucket of a minute's size would.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from promptprop.domain.errors import ModelError

if TYPE_CHECKING:
    from promptprop.adapters.models.circuit import Attempt, Circuit

logger = logging.getLogger("promptprop.models.limiter")

MINUTE = 60.0
RESTART_SHARE = 4  # a closed circuit restarts with this part of the concurrency
BURST_SECONDS = 1.0  # what may be sent at once: one second's share of the minute, at least one request


@dataclass(frozen=True, slots=True)
class Timing:
    """Clock and sleep, in seconds, and jitter in [0, 1), so that tests can hold time. Never a source of results.

    `drain_seconds` is what a run that ends early waits for calls that are under way.
    """

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = random.random
    drain_seconds: float = 30.0


class Pace:
    """So many units a minute, first come, first served."""

    def __init__(self, per_minute: float, timing: Timing) -> None:
        """`per_minute` > 0."""
        self._interval = MINUTE / per_minute
        self._timing = timing
        self._arrival = timing.monotonic()

    def take(self, units: float) -> float:
        """When so many units may be sent, in the clock's seconds."""
        now = self._timing.monotonic()
        start = max(self._arrival, now - BURST_SECONDS)
        self._arrival = start + units * self._interval
        return max(start, now)

    def correct(self, units: float) -> None:
        """So many more units (or fewer, if negative) were used than had been taken."""
        self._arrival += units * self._interval


class Slot:
    """One request under way. Say how it went before leaving; without a word nothing is learned from it."""

    __slots__ = ("_caller", "_limiter", "_tokens", "attempt", "began")

    def __init__(self, limiter: Limiter, tokens: int, began: int, caller: str, attempt: Attempt | None) -> None:
        """Made by `Limiter.slot`; `began` numbers the slots, `attempt` is what the circuit was like."""
        self._limiter = limiter
        self._tokens = tokens
        self._caller = caller
        self.began = began
        self.attempt = attempt

    @property
    def probe(self) -> bool:
        """True where the circuit was open: this request finds out whether the endpoint answers again."""
        return self.attempt is not None and self.attempt.probe

    def deadline(self, timeout: float) -> float:
        """Seconds that this request may take, at most `timeout`."""
        circuit = self._limiter.circuit
        return timeout if circuit is None else circuit.deadline(timeout, self.attempt)

    def succeeded(self, tokens: int) -> None:
        """The provider answered, and counted so many tokens."""
        self._limiter.succeeded(tokens - self._tokens, self.attempt)

    def refused(self) -> None:
        """The provider refused this request for a reason of its own: it is there, and answers."""
        self._limiter.answered()

    def failed(self, error: ModelError) -> None:
        """The attempt failed with an error that a retry may cure."""
        self._limiter.failed(self, self._caller, error)

    def throttled(self, retry_after: float | None) -> None:
        """The provider said 429, and perhaps how many seconds to wait."""
        self._limiter.throttled(self, retry_after)


class Limiter:
    """The gate in front of one endpoint; shared by all calls to it, within one event loop."""

    def __init__(
        self,
        concurrency: int = 8,
        rpm: float | None = None,
        tpm: float | None = None,
        timing: Timing | None = None,
        circuit: Circuit | None = None,
    ) -> None:
        """`concurrency` ≥ 1 is the most requests under way; `rpm` and `tpm` cap requests and tokens a minute.

        Without a circuit nobody is held up by an endpoint that answers nothing.
        """
        self._timing = timing or Timing()
        self.circuit = circuit
        self.concurrency = max(1, concurrency)
        self._most = self.concurrency
        self._before = self.concurrency  # up to here the concurrency doubles, beyond it grows by one
        self._under_way = 0
        self._probing = False
        self._waiting: deque[asyncio.Future[bool]] = deque()
        self._requests = Pace(rpm, self._timing) if rpm else None
        self._tokens = Pace(tpm, self._timing) if tpm else None
        self._closed_until = 0.0
        self._shut_for: Exception | None = None
        self._news: asyncio.Future[None] | None = None
        self._begun = 0
        self._halved_at = 0
        self._successes = 0

    @property
    def most(self) -> int:
        """The configured concurrency, which the adaptive one never exceeds."""
        return self._most

    @property
    def shut_for(self) -> Exception | None:
        """What the gate was shut for; None while it is open."""
        return self._shut_for

    @asynccontextmanager
    async def slot(self, tokens: int = 0, caller: str = "") -> AsyncIterator[Slot]:
        """Wait for a slot, for the rates and for `Retry-After`; hold the slot inside. `tokens` is an estimate.

        `caller` names the call across its attempts. While the circuit is open, one caller after the other is let in,
        each after a cool-down, and the rest wait. Raises what the gate was shut for.
        """
        probe = await self._enter()
        inside = True
        try:
            await self._paced(tokens)
            while self._circuit_open and not probe and self._shut_for is None:  # it opened during the wait above
                inside = False
                self._leave(probe=False)
                probe = await self._enter()
                inside = True
            if probe:
                await self._cooled()
            if self._shut_for is not None:
                raise self._shut_for
            self._begun += 1
            attempt = self.circuit.begin(probe=probe and self.circuit.open) if self.circuit else None
            yield Slot(self, tokens, self._begun, caller, attempt)
        finally:
            if inside:
                self._leave(probe=probe)

    def shut(self, error: Exception) -> None:
        """Let nobody in any more: no further request can change what is wrong, with the endpoint or with the store."""
        self._shut_for = self._shut_for or error
        self._spread()
        self._wake()

    async def rest(self, seconds: float, timing: Timing | None = None) -> None:
        """Sleep so long, or until the circuit opens or closes or the gate is shut."""
        if self._shut_for is not None or seconds <= 0:
            return
        if self._news is None:
            self._news = asyncio.get_running_loop().create_future()
        asleep = asyncio.ensure_future((timing or self._timing).sleep(seconds))
        try:
            await asyncio.wait({asleep, self._news}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            asleep.cancel()

    def succeeded(self, surplus: int, attempt: Attempt | None = None) -> None:
        """A request went well; `surplus` tokens were used beyond the estimate (negative: fewer)."""
        if self._tokens is not None:
            self._tokens.correct(surplus)
        self.answered(attempt)
        self._successes += 1
        if self._successes >= self.concurrency and self.concurrency < self._most:
            doubled = min(2 * self.concurrency, self._before)
            self.concurrency = max(self.concurrency + 1, doubled)
            self._successes = 0
            self._wake()

    def answered(self, attempt: Attempt | None = None) -> None:
        """The endpoint answers: an open circuit closes, and everybody goes on, few at first."""
        if self.circuit is None:
            return
        was_open = self.circuit.open
        self.circuit.answered(attempt)
        if was_open:
            self._before = self.concurrency
            self.concurrency = max(1, self.concurrency // RESTART_SHARE)
            self._successes = 0
            self._closed_until = 0.0
            self._spread()
            self._wake()

    def failed(self, slot: Slot, caller: str, error: ModelError) -> None:
        """An attempt failed with an error that a retry may cure; shuts the gate where the patience is over."""
        if self.circuit is None or slot.attempt is None:
            return
        was_open = self.circuit.open
        self.circuit.failed(slot.attempt, caller, error)
        if self.circuit.verdict is not None:
            self.shut(self.circuit.verdict)
        elif self.circuit.open != was_open:
            self._spread()
            self._wake()

    def suspect(self, answers: int) -> bool:
        """As `Circuit.suspect`: whether a call that has used up its attempts should wait. Never without a circuit."""
        if self.circuit is None:
            return False
        was_open = self.circuit.open
        suspected = self.circuit.suspect(answers)
        if self.circuit.open and not was_open:
            self._spread()
        return suspected

    def throttled(self, slot: Slot, retry_after: float | None) -> None:
        """A 429: wait as told, all together, and halve the concurrency unless this burst has done so already.

        While the circuit is open it says when the next request goes out, and a further refusal says nothing new.
        """
        if self._circuit_open:
            return
        if retry_after is not None:
            longest = self.circuit.longest_wait if self.circuit else retry_after
            until = self._timing.monotonic() + min(retry_after, longest)
            self._closed_until = max(self._closed_until, until)
            if self.circuit is not None:
                self.circuit.held(retry_after, min(retry_after, longest))
        if slot.began > self._halved_at:
            self._halved_at = self._begun
            self._successes = 0
            self.concurrency = self._before = max(1, self.concurrency // 2)
            facts = {"concurrency": self.concurrency, "retry_after_seconds": retry_after}
            logger.info("rate limited: concurrency is now %d", self.concurrency, extra=facts)

    # --- the line ---------------------------------------------------------------------------------------------------

    @property
    def _circuit_open(self) -> bool:
        return self.circuit is not None and self.circuit.open

    @property
    def _admits(self) -> bool:
        """Whether somebody may be let in; all of them once the gate is shut, to hear what for."""
        if self._shut_for is not None:
            return True
        return self._under_way < self.concurrency and not (self._circuit_open and self._probing)

    def _admit(self) -> bool:
        """Let one in; returns whether it is to probe."""
        self._under_way += 1
        probe = self._circuit_open and self._shut_for is None
        self._probing = self._probing or probe
        return probe

    def _leave(self, *, probe: bool) -> None:
        self._under_way -= 1
        if probe:
            self._probing = False
        self._wake()

    async def _enter(self) -> bool:
        """Wait for a place; returns whether it is the probe's."""
        if self._admits and not self._waiting:
            return self._admit()
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # the slot was given and is handed on
                self._leave(probe=turn.result())
            elif turn in self._waiting:
                self._waiting.remove(turn)
                self._wake()
            raise

    def _wake(self) -> None:
        while self._waiting and self._admits:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(self._admit())

    def _spread(self) -> None:
        """Wake all who sleep in `rest`."""
        news, self._news = self._news, None
        if news is not None:
            news.set_result(None)

    async def _paced(self, tokens: int) -> None:
        if self._requests is not None:
            await self._until(self._requests.take(1))
        if self._tokens is not None:
            await self._until(self._tokens.take(tokens))
        while not self._circuit_open and (closed := self._closed_until - self._timing.monotonic()) > 0:
            if self._shut_for is not None:
                return
            await self.rest(closed)

    async def _until(self, moment: float) -> None:
        while self._shut_for is None and (left := moment - self._timing.monotonic()) > 0:
            await self.rest(left)

    async def _cooled(self) -> None:
        """Wait for the time of the probe; at once where the circuit has closed meanwhile."""
        while self.circuit is not None and self._shut_for is None and (left := self.circuit.cool_down()) > 0:
            await self.rest(left)
