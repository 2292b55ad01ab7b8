"""The circuit of one endpoint: whether it answers at all, and what follows while it does not.

It counts attempts that fail in a row, whatever the call. Single faults never get far: with 30 % of attempts failing at
random, `OPENS` in a row are five in ten million. Once it is open, calls wait instead of burning their retries, and one
probe at a time goes out, after a cool-down that doubles. Any answer closes it. Nothing but time follows from it, so it
decides no result: a call waits, or the whole run stops, and then nothing is remembered as failed.

Only an endpoint that fails *different* calls is called down. A few calls that fail again and again while no other
call is made may be at fault themselves: after the patience each of them fails for good, and the run goes on without.
Calls that failed for good in an earlier session say nothing about the endpoint, or a run whose failures are retried
could never end where they fail again.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from promptprop.adapters.logs import redact
from promptprop.adapters.models.limiter import Timing
from promptprop.domain.errors import ModelError, ProviderDown, RateLimited, UnreadableAnswer
from promptprop.domain.events import EndpointPaused, EndpointRecovered, Event
from promptprop.domain.models import storable

logger = logging.getLogger("promptprop.models.circuit")

OPENS = 12  # failures in a row that open it
DOUBTS = 5  # failures in a row from which on a call that has used up its attempts waits instead of failing
CALLERS = 5  # different calls that must have failed before the endpoint is called down
ROLE_CALLERS = 1  # the same for critic or rewriter: a question that is lost would change what the search finds
LONGEST_COOL_DOWN = 15.0  # seconds between two probes
PROMISE = 4 / 3  # a Retry-After may outlast the patience by so much: a minute's limit is waited for with the default
IDLE = 2  # patiences without any attempt, after which the patience begins anew
SLOWER = 3  # a probe that could bring the verdict waits so many times the longest answer so far, not the whole deadline
LEAST_SHARE = 0.25  # of the deadline that it waits at least
WORTH_TELLING = 5.0  # seconds of a promised Retry-After from which on a pause is told
LONGEST_MESSAGE = 300  # characters of an error in an event


@dataclass(frozen=True, slots=True)
class Attempt:
    """What an attempt saw as it began: the time, how often the endpoint had answered and failed, and if it probes."""

    began: float
    answers: int
    failures: int
    probe: bool = False


class Circuit:
    """Whether an endpoint answers. Times are monotonic seconds; one event loop, no locks."""

    def __init__(
        self, alias: str, model: str, patience: float = 45.0, timing: Timing | None = None, callers: int = CALLERS
    ) -> None:
        """`patience` is how long an endpoint that answers nothing is waited for, in seconds.

        Fewer than `callers` different calls that fail are not taken for an endpoint that is down.
        """
        self.alias = alias
        self.model = model
        self.patience = patience
        self.answers = 0
        self.failures = 0
        self.outages: set[int] = set()  # how often it had answered as each of its outages began
        self.open = False
        self.verdict: ProviderDown | None = None
        self._timing = timing or Timing()
        self._enough = callers
        self._tell: Callable[[Event], object] = _tell_nobody
        self._run = "RUN"
        self._answered_at = 0.0
        self._failed_at = 0.0
        self._since = 0.0
        self._deadline = 0.0
        self._promised = False
        self._announced = False
        self._held_at = 0.0
        self._held_until = 0.0
        self._probes = 0
        self._next_probe = 0.0
        self._callers: set[str] = set()
        self._errors: Counter[str] = Counter()
        self._newest: dict[str, ModelError] = {}
        self._longest = 0.0
        self._resigned = False

    def listen(self, tell: Callable[[Event], object], run: str = "RUN") -> None:
        """From now on `tell` gets EndpointPaused and EndpointRecovered as they happen; remedies name the run."""
        self._tell, self._run = tell, run

    @property
    def over(self) -> bool:
        """True while nothing has answered for longer than the patience."""
        return self.failures > 0 and self._timing.monotonic() >= self._deadline

    @property
    def longest_wait(self) -> float:
        """The longest `Retry-After` that is waited for, in seconds."""
        return self.patience * PROMISE

    def cool_down(self) -> float:
        """Seconds until the next probe may go out; nothing while it is closed."""
        return max(0.0, self._next_probe - self._timing.monotonic()) if self.open else 0.0

    def begin(self, *, probe: bool = False) -> Attempt:
        """An attempt is about to be sent."""
        return Attempt(self._timing.monotonic(), self.answers, self.failures, probe)

    def deadline(self, timeout: float, attempt: Attempt | None) -> float:
        """Seconds that an attempt may take: a probe less than `timeout` where its failure would say that all is down.

        Only what has answered before is known to be slow; a probe of a few calls could be all that one of them gets.
        """
        if attempt is None or not attempt.probe or not self._longest or len(self._callers) < self._enough:
            return timeout
        return min(timeout, max(SLOWER * self._longest, LEAST_SHARE * timeout))

    def answered(self, attempt: Attempt | None = None) -> None:
        """The endpoint has answered, if only by refusing one request for a reason of its own: all is well.

        `attempt` is the one that brought a reply.
        """
        now = self._timing.monotonic()
        if attempt is not None:
            self._longest = max(self._longest, now - attempt.began)
        held = self._held_until > 0 and now >= self._held_until
        if held or (self.open and self._announced):
            began = self._since if self.open and self._announced else self._held_at
            seconds = round(now - began, 3)
            self._held_until = 0.0
            logger.info("%s answers again after %.0f s", self.model, seconds, extra=self._facts())
            self._tell(EndpointRecovered(self.alias, self.model, seconds))
        self.answers += 1
        self._answered_at = now
        if self.failures:
            self.failures = 0
            self.open = self._promised = self._announced = self._resigned = False
            self._callers.clear()
            self._errors.clear()
            self._newest.clear()

    def failed(self, attempt: Attempt, caller: str, error: ModelError) -> None:
        """An attempt ended with an error that a retry may cure. May bring the verdict.

        `caller` names the call; "" is one that failed for good before, which is no witness against the endpoint.
        """
        now = self._timing.monotonic()
        if not self.failures or attempt.began > self._failed_at + IDLE * self.patience:
            self._since = max(attempt.began, self._answered_at)
            self._deadline = self._since + self.patience
            self._promised = self._announced = self._resigned = False
        self._failed_at = now
        self.failures += 1
        self._errors[error.code] += 1
        self._newest[error.code] = error
        if caller and len(self._callers) < self._enough:
            self._callers.add(caller)
        promised = self._promise(now, error)
        opens = self.failures >= OPENS or (self.failures >= DOUBTS and now >= self._deadline)
        if not self.open and not self._resigned and opens:
            self._open(now)
        elif self.open and attempt.probe:
            self._probes += 1
            self._set_probe(now)
        if self.open:
            self._next_probe = max(self._next_probe, promised)
            if self._callers and (attempt.probe or self.failures >= OPENS):
                self._announce(now)
            later = attempt.probe or (attempt.answers == self.answers and attempt.failures > 0)
            if later and now >= self._deadline:
                self._conclude(now)

    def held(self, asked: float, seconds: float) -> None:
        """Everybody waits `seconds`, since the provider `asked` to be left alone so long: told where it is long."""
        now = self._timing.monotonic()
        if seconds < WORTH_TELLING or now < self._held_until or self.open:
            return
        self._held_at = self._held_at if self._held_until else now
        self._held_until = now + seconds
        error = self._newest.get(RateLimited.code)
        message = _told(error) if error else "rate limited"
        logger.info("%s asks to wait %.0f s", self.model, asked, extra=self._facts())
        paused = EndpointPaused(self.alias, self.model, RateLimited.code, message, round(seconds, 3), round(asked, 3))
        self._tell(paused)

    def suspect(self, answers: int) -> bool:
        """Whether a call that began after so many answers should wait, although its own attempts are used up.

        So it is while nothing has answered since: then the fault is more likely the endpoint's. Opens the circuit.
        """
        if self.verdict is not None or self._resigned or self.answers != answers or self.failures < DOUBTS:
            return False
        if not self.open:
            self._open(self._timing.monotonic())
        return True

    # --- how it changes ---------------------------------------------------------------------------------------------

    def _promise(self, now: float, error: ModelError) -> float:
        """Until when the provider asks to be left alone; once it may so extend the patience a little."""
        if error.retry_after is None:
            return 0.0
        until = now + error.retry_after
        if not self._promised and until <= self._since + self.longest_wait:
            self._promised = True
            self._deadline = max(self._deadline, until)
        return min(until, self._deadline)

    def _open(self, now: float) -> None:
        self.open = True
        self.outages.add(self.answers)
        self._probes = 0
        self._set_probe(now)
        logger.info("%s fails every attempt: calls to it wait", self.model, extra=self._facts())

    def _set_probe(self, now: float) -> None:
        """The next probe: after 1, 2, 4, 8 … s with jitter, but at the deadline at the latest; then once a second."""
        steps = 0 if now >= self._deadline else min(self._probes, 10)
        seconds = min(LONGEST_COOL_DOWN, 2.0**steps) * (0.75 + self._timing.jitter() / 2)
        self._next_probe = now + seconds
        if now < self._deadline:
            self._next_probe = min(self._next_probe, self._deadline)

    def _announce(self, now: float) -> None:
        if self._announced:
            return
        self._announced = True
        code, message = self._reason()
        left = round(max(0.0, self._deadline - now), 3)
        self._tell(EndpointPaused(self.alias, self.model, code, message, left))

    def _reason(self) -> tuple[str, str]:
        """The most frequent error since the last answer, with its newest message."""
        code = self._errors.most_common(1)[0][0]
        return code, _told(self._newest[code])

    def _conclude(self, now: float) -> None:
        """The patience is over: the endpoint is down, or else those who fail are at fault themselves."""
        if len(self._callers) >= self._enough:
            self._give_up(now)
        elif not self._callers:
            self.open, self._resigned = False, True
            logger.info("only calls that failed before fail at %s", self.model, extra=self._facts())

    def _give_up(self, now: float) -> None:
        code, message = self._reason()
        mute = code != UnreadableAnswer.code
        what = "has answered nothing" if mute else "has given no answer that can be read"
        newest = self._newest[code]
        cure, asked = newest.remedy, newest.retry_after or 0.0
        beyond = asked > self.longest_wait and f"{asked:.0f} s" not in message
        wait = f"; it asks to be left alone for {asked:.0f} s, longer than it is waited for" if beyond else ""
        self.verdict = ProviderDown(
            f"{self.model} ({self.alias}) {what} for {now - self._since:.0f} s: {self.failures} attempts failed "
            f"in a row, most often with: {message}{wait}",
            remedy=(f"{cure}; then " if cure else "when it answers again, ")
            + f"`promptprop runs resume {self._run} --retry-errors` goes on where the run "
            "stopped; a larger `patience` of this model waits longer",
        )
        logger.info("%s answers nothing: the run stops", self.model, extra=self._facts())

    def _facts(self) -> dict[str, object]:
        code = self._errors.most_common(1)[0][0] if self._errors else ""
        return {"endpoint": self.alias, "model": self.model, "failures": self.failures, "error": code}


def _told(error: ModelError) -> str:
    """An error's message as events and reports have it."""
    return storable(redact(error.message))[:LONGEST_MESSAGE]


def _tell_nobody(_event: Event) -> None:
    """Until somebody listens."""
