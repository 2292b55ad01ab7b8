"""When a failed call is made again, and after how long.

A loop of our own rather than a library's: each attempt needs a reservation of its own, `Retry-After` outranks the
backoff, and clock, sleep and jitter are injected, none of which the retry libraries at hand allow for together.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from promptprop.domain.errors import ModelError


@dataclass(frozen=True, slots=True)
class Retries:
    """Up to `count` more attempts; waits are drawn from [0, base·2ⁿ] up to `longest`; none starts after `deadline`.

    All in seconds; the deadline counts from the first attempt. "Full jitter" as in M. Brooker, "Exponential Backoff
    And Jitter", AWS Architecture Blog, 2015.
    """

    count: int = 4
    base: float = 0.5
    longest: float = 30.0
    deadline: float = 600.0

    @property
    def attempts(self) -> int:
        """The most attempts of one call."""
        return self.count + 1

    def wait(
        self,
        error: ModelError,
        made: int,
        elapsed: float,
        jitter: Callable[[], float] = random.random,
        longest_asked: float | None = None,
    ) -> float | None:
        """Seconds until the next attempt, or None to give up, after `made` attempts and `elapsed` seconds.

        `jitter` draws from [0, 1). A provider's `Retry-After` is waited for in full, plus up to `base` of jitter, so
        that those who were refused together do not come back together; `longest_asked` bounds it, in seconds.
        """
        if error.policy != "retry" or made > self.count:
            return None
        if error.retry_after is not None:
            asked = error.retry_after if longest_asked is None else min(error.retry_after, longest_asked)
            seconds = asked + self.base * jitter()
        else:
            seconds = min(self.longest, self.base * 2.0 ** min(made - 1, 32)) * jitter()
        return seconds if elapsed + seconds <= self.deadline else None
