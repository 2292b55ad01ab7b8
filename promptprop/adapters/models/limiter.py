"""How fast an endpoint may be asked: concurrency that adapts to 429, `Retry-After`, requests and tokens a minute.

The concurrency starts where it was configured, is halved by a 429 (once for all requests that were under way when it
was last halved: a burst of refusals is one message) and grows back by one after each full window of successes.

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

from promptprop.domain.errors import ModelError

logger = logging.getLogger("promptprop.models.limiter")

MINUTE = 60.0
BURST_SECONDS = 1.0  # what may be sent at once: one second's share of the minute, at least one request


@dataclass(frozen=True, slots=True)
class Timing:
    """Clock and sleep, in seconds, and jitter in [0, 1), so that tests can hold time. Never a source of results."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = random.random


class Pace:
    """So many units a minute, first come, first served."""

    def __init__(self, per_minute: float, timing: Timing) -> None:
        """`per_minute` > 0."""
        self._interval = MINUTE / per_minute
        self._timing = timing
        self._arrival = timing.monotonic()

    async def take(self, units: float) -> None:
        """Wait until so many units may be sent."""
        now = self._timing.monotonic()
        start = max(self._arrival, now - BURST_SECONDS)
        self._arrival = start + units * self._interval
        if start > now:
            await self._timing.sleep(start - now)

    def correct(self, units: float) -> None:
        """So many more units (or fewer, if negative) were used than had been taken."""
        self._arrival += units * self._interval


class Slot:
    """One request under way. Say how it went before leaving; without a word nothing is learned from it."""

    __slots__ = ("_limiter", "_tokens", "began")

    def __init__(self, limiter: Limiter, tokens: int, began: int) -> None:
        """Made by `Limiter.slot`; `began` numbers the slots."""
        self._limiter = limiter
        self._tokens = tokens
        self.began = began

    def succeeded(self, tokens: int) -> None:
        """The provider answered, and counted so many tokens."""
        self._limiter.succeeded(tokens - self._tokens)

    def throttled(self, retry_after: float | None) -> None:
        """The provider said 429, and perhaps how many seconds to wait."""
        self._limiter.throttled(self, retry_after)


class Limiter:
    """The gate in front of one endpoint; shared by all calls to it, within one event loop."""

    def __init__(
        self, concurrency: int = 8, rpm: float | None = None, tpm: float | None = None, timing: Timing | None = None
    ) -> None:
        """`concurrency` ≥ 1 is the most requests under way; `rpm` and `tpm` cap requests and tokens a minute."""
        self._timing = timing or Timing()
        self.concurrency = max(1, concurrency)
        self._most = self.concurrency
        self._under_way = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._requests = Pace(rpm, self._timing) if rpm else None
        self._tokens = Pace(tpm, self._timing) if tpm else None
        self._closed_until = 0.0
        self._shut_for: ModelError | None = None
        self._begun = 0
        self._halved_at = 0
        self._successes = 0

    @property
    def most(self) -> int:
        """The configured concurrency, which the adaptive one never exceeds."""
        return self._most

    @asynccontextmanager
    async def slot(self, tokens: int = 0) -> AsyncIterator[Slot]:
        """Wait for a slot, for the rates and for `Retry-After`; hold the slot inside. `tokens` is an estimate.

        Raises what the gate was shut for.
        """
        await self._enter()
        try:
            await self._paced(tokens)
            if self._shut_for is not None:
                raise self._shut_for
            self._begun += 1
            yield Slot(self, tokens, self._begun)
        finally:
            self._under_way -= 1
            self._wake()

    def shut(self, error: ModelError) -> None:
        """Let nobody in any more: the endpoint refused for a reason that no further request can change."""
        self._shut_for = self._shut_for or error

    def succeeded(self, surplus: int) -> None:
        """A request went well; `surplus` tokens were used beyond the estimate (negative: fewer)."""
        if self._tokens is not None:
            self._tokens.correct(surplus)
        self._successes += 1
        if self._successes >= self.concurrency and self.concurrency < self._most:
            self.concurrency += 1
            self._successes = 0
            self._wake()

    def throttled(self, slot: Slot, retry_after: float | None) -> None:
        """A 429: wait as told, all together, and halve the concurrency unless this burst has done so already."""
        if retry_after is not None:
            self._closed_until = max(self._closed_until, self._timing.monotonic() + retry_after)
        if slot.began > self._halved_at:
            self._halved_at = self._begun
            self._successes = 0
            self.concurrency = max(1, self.concurrency // 2)
            facts = {"concurrency": self.concurrency, "retry_after_seconds": retry_after}
            logger.info("rate limited: concurrency is now %d", self.concurrency, extra=facts)

    async def _enter(self) -> None:
        if self._under_way < self.concurrency and not self._waiting:
            self._under_way += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # the slot was given and is handed on
                self._under_way -= 1
            elif turn in self._waiting:
                self._waiting.remove(turn)
            self._wake()
            raise

    def _wake(self) -> None:
        while self._waiting and self._under_way < self.concurrency:
            turn = self._waiting.popleft()
            if not turn.done():
                self._under_way += 1
                turn.set_result(None)

    async def _paced(self, tokens: int) -> None:
        if self._requests is not None:
            await self._requests.take(1)
        if self._tokens is not None:
            await self._tokens.take(tokens)
        while (closed := self._closed_until - self._timing.monotonic()) > 0:
            await self._timing.sleep(closed)
