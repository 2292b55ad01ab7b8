from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.adapters.models.retry import Retries
from promptprop.domain.errors import ContextTooLong, ModelError, ProviderUnavailable, QuotaExhausted, RateLimited


@pytest.mark.parametrize("error", [ContextTooLong("long"), QuotaExhausted("no credit")])
def test_errors_that_waiting_cannot_cure_are_not_retried(error: ModelError) -> None:
    assert Retries().wait(error, 1, 0.0) is None


def test_so_many_retries_and_no_more() -> None:
    error = ProviderUnavailable("down")
    assert Retries(count=2).wait(error, 2, 0.0) is not None
    assert Retries(count=2).wait(error, 3, 0.0) is None
    assert Retries(count=0).wait(error, 1, 0.0) is None


def test_the_wait_doubles_up_to_the_longest() -> None:
    retries = Retries(count=99, base=1.0, longest=5.0)
    waits = [retries.wait(ProviderUnavailable("down"), made, 0.0, lambda: 1.0) for made in (1, 2, 3, 4, 90)]
    assert waits == [1.0, 2.0, 4.0, 5.0, 5.0]


@given(st.integers(1, 4), st.floats(0, 1, exclude_max=True))
def test_the_jitter_is_full(made: int, draw: float) -> None:
    retries = Retries(base=1.0)
    assert retries.wait(ProviderUnavailable("down"), made, 0.0, lambda: draw) == 2.0 ** (made - 1) * draw


def test_retry_after_is_waited_for_in_full() -> None:
    wait = Retries(base=1.0).wait(RateLimited("slow down", retry_after=20.0), 1, 0.0, lambda: 0.5)
    assert wait == 20.5


def test_no_attempt_starts_after_the_deadline() -> None:
    retries = Retries(deadline=60.0)
    error = RateLimited("slow down", retry_after=20.0)
    assert retries.wait(error, 1, 40.0, lambda: 0.0) == 20.0
    assert retries.wait(error, 1, 40.1, lambda: 0.0) is None
