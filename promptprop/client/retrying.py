"""When a request is sent once more, and how long to wait before."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import httpx

from promptprop.client.call import Call
from promptprop.client.errors import error_of

BUSY = (429, 503, 504)  # what answered, or stands before it, may have time later
UNDER_WAY = "idempotency_in_progress"
Outcome = httpx.Response | httpx.TransportError


@dataclass(frozen=True, slots=True)
class Retries:
    """So many `attempts` in all; the wait grows from `first` seconds, and is never longer than `longest`.

    A server that asks for a longer wait than `longest` is not asked again.
    """

    attempts: int = 5
    first: float = 0.25
    longest: float = 30.0

    def wait(self, call: Call[Any], attempt: int, outcome: Outcome) -> float | None:
        """Seconds until the next attempt; None where there should be none."""
        if attempt >= self.attempts:
            return None
        if isinstance(outcome, httpx.Response):
            return self._after_answer(call, attempt, outcome)
        unsent = isinstance(outcome, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
        return self.growing(attempt) if unsent or call.repeatable or call.keyed else None

    def _after_answer(self, call: Call[Any], attempt: int, answer: httpx.Response) -> float | None:
        error = error_of(answer)
        safe = call.repeatable or call.keyed
        if answer.status_code == 429:  # refused before anything was done
            again = error.retry_after is not None  # a limit of runs says no time
        else:
            again = safe and (answer.status_code in BUSY or error.code == UNDER_WAY)
        if not again:
            return None
        asked = error.retry_after
        if asked is None:
            return self.growing(attempt)
        return asked if asked <= self.longest else None

    def growing(self, attempt: int) -> float:
        """Seconds that grow from attempt to attempt, some more or less, so that many clients do not come at once."""
        return min(self.longest, self.first * 2.0 ** min(attempt - 1, 30)) * random.uniform(0.75, 1.0)  # noqa: S311
