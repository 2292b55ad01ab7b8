"""Runs cancelled and killed at every few events, and wishes at random moments with deaths in between.

Each goes on to the end of the run that nothing disturbed, without repeating a committed call. The suite holds a sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from interruptions import OPTIONS, cancelled_anywhere, cut_anywhere, killed_anywhere, laboratories, wished_at_any_moment
from laboratory import Lab

NewLab = Callable[[str], Lab]


@pytest.fixture
def new_lab(tmp_path: Path) -> Iterator[NewLab]:
    """Makes laboratories, each with a database of its own."""
    with laboratories(tmp_path) as make:
        yield make


@pytest.mark.campaign
@pytest.mark.parametrize("optimizer", OPTIONS)
async def test_wherever_a_run_is_cancelled_it_goes_on_to_the_same_end(new_lab: NewLab, optimizer: str) -> None:
    await cancelled_anywhere(new_lab, optimizer, 15)


@pytest.mark.campaign
@pytest.mark.parametrize("optimizer", OPTIONS)
async def test_wherever_a_run_is_killed_no_committed_call_is_repeated(new_lab: NewLab, optimizer: str) -> None:
    await killed_anywhere(new_lab, optimizer, 15)


@pytest.mark.campaign
async def test_wherever_a_cap_cuts_a_search_finish_is_paid_and_the_cap_holds(new_lab: NewLab) -> None:
    await cut_anywhere(new_lab, 12)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(20))
async def test_wishes_of_any_moment_are_met_once_and_where_they_took_effect(
    new_lab: NewLab, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptprop.services.mail.EVERY", 0.0)  # or where a wish is taken would depend on the time
    await wished_at_any_moment(new_lab, seed, deaths=3)
