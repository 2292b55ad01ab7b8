"""The circuit of one endpoint: whether it answers at all, and what follows while it does not.

It counts attempts that fail in a row, whatever the call. Single faults never get far: with 30 % of attempts failing at
random, `OPENS` in a row are five in ten million. Once it is open, calls wait instead of burning their retries, and one
probe at a time goes out, after a cool-down that doubles. Any answer closes it. Nothing but time follows from it, so it
decides no result: a call waits, or the whole run stops, and then nothing is remembered as failed.

Only an endpoint that fails *different* calls is called down. A few calls that fail again and again while no other
call is made may be at fault themselves: after the patience each of them fails for good, and the run goes on without.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from promptprop.adapters.logs import redact
from promptprop.adapters.models.limiter import Timing
from promptprop.domain.errors import ModelError, ProviderDown
from promptprop.domain.events import EndpointPaused, EndpointRecovered, Event
from promptprop.domain.models import storable

logger = logging.getLogger("promptprop.models.circuit")

OPENS = 12  # failures in a row that open it
DOUBTS = 5  # failures in a row from which on a call that has used up its attempts waits instead of failing
CALLERS = 5  # different calls that must have failed before the endpoint is called down
ROLE_CALLERS = 2  # the same for critic or rewriter, who are asked a few things at a time
LONGEST_COOL_DOWN = 15.0  # seconds between two probes
PROMISE = 4 / 3  # a Retry-After may outlast the patience by so much: a minute's limit is waited for with the default
IDLE = 2  # patiences without any attempt, after which the patience begins anew
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
        self._probes = 0
        self._next_probe = 0.0
        self._callers: set[str] = set()
        self._errors: Counter[str] = Counter()
        self._messages: dict[str, str] = {}

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

    def answered(self) -> None:
        """The endpoint has answered, if only by refusing one request for a reason of its own: all is well."""
        now = self._timing.monotonic()
        if self.open and self._announced:
            seconds = round(now - self._since, 3)
            logger.info("%s answers again after %.0f s", self.model, seconds, extra=self._facts())
            self._tell(EndpointRecovered(self.alias, self.model, seconds))
        self.answers += 1
        self._answered_at = now
        if self.failures:
            self.failures = 0
            self.open = self._promised = self._announced = False
            self._callers.clear()
            self._errors.clear()
            self._messages.clear()

    def failed(self, attempt: Attempt, caller: str, error: ModelError) -> None:
        """An attempt ended with an error that a retry may cure; `caller` names the call. May bring the verdict."""
        now = self._timing.monotonic()
        if not self.failures or attempt.began > self._failed_at + IDLE * self.patience:
            self._since = max(attempt.began, self._answered_at)
            self._deadline = self._since + self.patience
            self._promised = self._announced = False
        self._failed_at = now
        self.failures += 1
        self._errors[error.code] += 1
        self._messages[error.code] = storable(redact(error.message))[:LONGEST_MESSAGE]
        if len(self._callers) < self._enough:
            self._callers.add(caller)
        promised = self._promise(now, error)
        if not self.open and (self.failures >= OPENS or (self.failures >= DOUBTS and now >= self._deadline)):
            self._open(now)
        elif self.open and attempt.probe:
            self._probes += 1
            self._set_probe(now)
        if self.open:
            self._next_probe = max(self._next_probe, promised)
            if attempt.probe or self.failures >= OPENS:
                self._announce(now)
            later = attempt.probe or (attempt.answers == self.answers and attempt.failures > 0)
            if later and now >= self._deadline and len(self._callers) >= self._enough:
                self._give_up(now)

    def suspect(self, answers: int) -> bool:
        """Whether a call that began after so many answers should wait, although its own attempts are used up.

        So it is while nothing has answered since: then the fault is more likely the endpoint's. Opens the circuit.
        """
        if self.verdict is not None or self.answers != answers or self.failures < DOUBTS:
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
        return code, self._messages[code]

    def _give_up(self, now: float) -> None:
        seconds = now - self._since
        self.verdict = ProviderDown(
            f"{self.model} ({self.alias}) has answered nothing for {seconds:.0f} s: {self.failures} attempts failed "
            f"in a row, most often with: {self._reason()[1]}",
            remedy=f"when it answers again, `promptprop runs resume {self._run} --retry-errors` goes on where the run "
            "stopped; a larger `patience` of this model waits longer",
        )
        logger.info("%s answers nothing: the run stops", self.model, extra=self._facts())

    def _facts(self) -> dict[str, object]:
        code = self._reason()[0] if self._errors else ""
        return {"endpoint": self.alias, "model": self.model, "failures": self.failures, "error": code}


def _tell_nobody(_event: Event) -> None:
    """Until somebody listens."""
