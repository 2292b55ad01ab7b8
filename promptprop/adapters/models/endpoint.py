"""A configured model: its client with the limits, retries and prices around it, and how one call to it is made."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from promptprop.adapters.models.limiter import Limiter, Slot, Timing
from promptprop.adapters.models.purse import Ticket
from promptprop.adapters.models.retry import Retries
from promptprop.domain.budget import Amount, Price, settled, worst_case
from promptprop.domain.errors import BudgetSpent, EndpointUnreachable, ModelError, RateLimited
from promptprop.domain.models import Attempts, ModelRequest, Reply
from promptprop.ports import ModelClient

logger = logging.getLogger("promptprop.models")

RETRIES = Retries()
BYTES_PER_TOKEN = 4  # a rule of thumb for pacing only; budgets use the true bound


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One alias of the configuration. `timeout` is in seconds an attempt; `max_tokens` bounds requests that set none.

    `price` None means unknown: money then counts 0 (a money cap with it is refused before a run starts).
    """

    alias: str
    model: str
    client: ModelClient
    limiter: Limiter
    retries: Retries = RETRIES
    timeout: float = 60.0
    max_tokens: int = 1024
    price: Price | None = None

    def limit(self, request: ModelRequest) -> int:
        """The most tokens that this request's answer can have."""
        asked = (request.parameters.get(name) or 0 for name in ("max_tokens", "max_completion_tokens"))
        return max(map(int, asked)) or self.max_tokens  # where both are set, providers differ in which one holds

    def worst(self, request: ModelRequest) -> Amount:
        """The most that one attempt can cost."""
        return worst_case(request.messages, self.limit(request), self.price)

    def bounded(self, request: ModelRequest) -> ModelRequest:
        """The request as it is sent: never without a bound on its answer, else no budget could hold."""
        if request.parameters.get("max_tokens") or request.parameters.get("max_completion_tokens"):
            return request
        return replace(request, parameters={**request.parameters, "max_tokens": self.max_tokens})


@dataclass(frozen=True, slots=True)
class Answered:
    """How a call ended: a reply, or the error that was final, and what its attempts cost."""

    reply: Reply | None
    error: ModelError | None
    attempts: Attempts

    @property
    def cost(self) -> Amount:
        """What the call counts against the budget."""
        return settled(self.reply, self.attempts)


class Call:
    """One logical request on its way: limiter, attempts and reservations, until a reply or a final error.

    A call that has used up its attempts while the endpoint answered nobody waits for the endpoint's circuit instead of
    failing: what a provider's outage does to a run must not depend on how many calls were under way. Such further
    attempts need room of their own in the budget.

    `failed_before` tells that the call failed for good before, or used up its attempts in earlier sessions: it is no
    witness to an outage, and waits for the end of none beyond the endpoint's patience.

    Set `last` when nobody waits any more: the attempt under way may end, but no other follows. `recorded` is awaited
    with a reply while its slot is still held, and gives the reply to use: so no more replies can be lost at a kill than
    the concurrency.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        request: ModelRequest,
        ticket: Ticket,
        timing: Timing,
        failed: Callable[[ModelError, Attempts], Awaitable[None]] | None = None,
    ) -> None:
        """The ticket must stand for `endpoint.worst(request)` and `endpoint.retries.attempts`.

        `failed` is told of each attempt that brought nothing, with all attempts so far, before anything follows it.
        """
        self.request = request
        self.attempts = Attempts(sent=0)
        self.last = False
        self.failed_before = False
        self.recorded: Callable[[Reply, Attempts], Awaitable[Reply]] | None = None
        self._at_stake = False
        self._probed = False
        self._answers = 0
        self._failures: list[int] = []  # how often the endpoint had answered as each attempt failed
        self._began = 0.0
        self._endpoint = endpoint
        self._ticket = ticket
        self._timing = timing
        self._failed = failed

    @property
    def at_stake(self) -> bool:
        """True while a request is at the provider, and once there is a reply, which must still be recorded."""
        return self._at_stake

    def release(self) -> None:
        """Give back the reservation, for a call that may never have got to run. May be called twice."""
        self._ticket.release()

    async def make(self) -> Answered:
        """Make attempts until one answers or the policy gives up.

        Raises BudgetSpent if not even the first attempt is admitted. A retry for which there is no room leaves the
        call failed with its last error: the failure is then recorded with what it cost, so that a replay finds the
        same spend. Cancelled in mid-attempt, the attempt counts as sent and unconfirmed in `attempts`.
        """
        try:
            await self._ticket.granted()
            made = 0
            while True:
                made += 1
                before = self.attempts
                try:
                    return Answered(await self._attempt(), None, self.attempts)
                except ModelError as error:
                    if self._failed is not None and self.attempts != before:
                        await self._failed(error, self.attempts)
                    if not await self._again(error, made):
                        return Answered(None, self._final(error), self.attempts)
        finally:
            self.release()

    async def _attempt(self) -> Reply:
        endpoint, request = self._endpoint, self.request
        prompt = sum(len(message.content) for message in request.messages) // BYTES_PER_TOKEN
        caller = "" if self.failed_before else request.key
        async with endpoint.limiter.slot(prompt + endpoint.limit(request), caller) as slot:
            self._began = self._began or self._timing.monotonic()
            self._probed = slot.probe
            if slot.attempt is not None:
                self._answers = slot.attempt.answers
            self._at_stake = True
            try:
                reply = await endpoint.client.complete(endpoint.bounded(request), slot.deadline(endpoint.timeout))
            except ModelError as error:
                self._at_stake = False
                self._count_failure(error)
                self._tell(slot, error)
                raise
            except BaseException:
                self._count(unconfirmed=True)
                raise
            if reply.picousd is None and endpoint.price is not None:
                reply = replace(reply, picousd=endpoint.price.of(reply.usage))
            slot.succeeded(reply.usage.total)
            self.attempts = replace(self.attempts, sent=self.attempts.sent + 1)
            self._ticket.settle(settled(reply, Attempts()))
            return await self.recorded(reply, self.attempts) if self.recorded else reply

    def _count_failure(self, error: ModelError) -> None:
        if isinstance(error, EndpointUnreachable):
            self._ticket.settle(Amount())  # nothing was sent
        else:
            self._count(unconfirmed=error.unconfirmed)

    def _count(self, *, unconfirmed: bool) -> None:
        before, worst = self.attempts, self._ticket.worst
        self.attempts = replace(before, sent=before.sent + 1)
        if unconfirmed:
            money = before.unconfirmed_picousd
            priced = money is not None and self._endpoint.price is not None
            self.attempts = Attempts(
                sent=before.sent + 1,
                unconfirmed=before.unconfirmed + 1,
                unconfirmed_tokens=before.unconfirmed_tokens + worst.tokens,
                unconfirmed_picousd=(money or 0) + worst.picousd if priced else None,
            )
        self._ticket.settle(worst if unconfirmed else Amount(calls=1))

    def _tell(self, slot: Slot, error: ModelError) -> None:
        """Let the limiter learn from a failed attempt."""
        if error.policy == "stop":
            self._endpoint.limiter.shut(error)
        elif error.policy == "missing":
            slot.refused()
        else:
            slot.failed(error)
        if isinstance(error, RateLimited):
            slot.throttled(error.retry_after)

    def _final(self, error: ModelError) -> ModelError:
        """The error that the call ends with: that of the endpoint, where it has stopped everything meanwhile.

        Raises what else has shut the gate, such as a store that refuses: then nothing can be final.
        """
        shut_for = self._endpoint.limiter.shut_for
        if shut_for is None or error.policy != "retry" or self.last:
            return error
        if not isinstance(shut_for, ModelError):
            raise shut_for
        return shut_for

    async def _again(self, error: ModelError, made: int) -> bool:
        """Wait for the next attempt; False if there is none: policy, deadline, budget, or nobody waits any more."""
        limiter = self._endpoint.limiter
        if limiter.circuit is not None:
            self._failures.append(limiter.circuit.answers)
        wait = self._wait(error, made - self._excused)
        facts = {"endpoint": self._endpoint.alias, "model": self._endpoint.model, "error": error.code, "attempt": made}
        further = wait is None and self._waits_for_endpoint(error)
        if wait is None and not further:
            logger.info("call failed for good: %s", error.code, extra=facts)
            return False
        circuit = limiter.circuit
        if circuit is None or not circuit.open:  # else the line of the probes is wait enough
            logger.info("retrying after %s", error.code, extra={**facts, "wait_seconds": round(wait or 0.0, 3)})
            await limiter.rest(wait or 0.0, self._timing)
        if further or made >= self._endpoint.retries.attempts:
            self._ticket.extend()
        try:
            await self._ticket.granted()
        except BudgetSpent:
            return False
        return True

    def _wait(self, error: ModelError, made: int) -> float | None:
        """Seconds until the next of the call's own attempts, or None after `made` of them where it has no more."""
        if self._ended:
            return None
        endpoint, circuit = self._endpoint, self._endpoint.limiter.circuit
        elapsed = self._timing.monotonic() - self._began
        longest = circuit.longest_wait if circuit else None
        return endpoint.retries.wait(error, made, elapsed, self._timing.jitter, longest)

    def _waits_for_endpoint(self, error: ModelError) -> bool:
        """Whether a call without attempts of its own goes on, for nothing has answered since it failed before."""
        if error.policy != "retry" or self._ended:
            return False
        return self._endpoint.limiter.suspect(self._failures[-2] if len(self._failures) > 1 else self._answers)

    @property
    def _ended(self) -> bool:
        """True where no attempt may follow: nobody waits, the gate is shut, or the call has had its chance.

        That is so once the endpoint's patience is over and the call has probed, or had failed for good before.
        """
        limiter = self._endpoint.limiter
        over = limiter.circuit is not None and limiter.circuit.over
        return self.last or limiter.shut_for is not None or (over and (self._probed or self.failed_before))

    @property
    def _excused(self) -> int:
        """Attempts that fell into outages: these must not leave a call with fewer attempts of its own."""
        circuit = self._endpoint.limiter.circuit
        return sum(answers in circuit.outages for answers in self._failures) if circuit else 0
