"""FINISH: the shortlist meets the confirm rows, seed and winner meet the test, and only that is a claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from fake_bench import FakeBench, FakeWorld, fake_brief, of_kind, rows_of, seed_candidate

from promptprop.domain.events import CandidateConfirmed, CandidateScored, Event, WinnerTested
from promptprop.domain.models import Candidate, Prompt
from promptprop.optimizers.finish import finish, finish_size, hold_finish, longest_allowed
from promptprop.optimizers.scores import Scores
from promptprop.ports import Brief

SEED, BETTER, BEST = seed_candidate(0), seed_candidate(0, 1), seed_candidate(0, 1, 2, 3)
WORSE = Candidate({"main": Prompt.of("Answer {{ text }}.")})


async def finished(brief: Brief, shortlist: Sequence[Candidate], world: FakeWorld | None = None) -> list[Event]:
    bench, scores = FakeBench(world or FakeWorld()), Scores()
    bench.hold(0, 0)
    await scores.fill(bench, [SEED, *shortlist], brief.select)
    return [event async for event in finish(brief, bench, scores, shortlist)]


async def test_the_best_on_unseen_rows_wins_and_is_tested() -> None:
    events = await finished(fake_brief(), [BETTER, BEST, WORSE])
    confirmed = {event.candidate_id: event for event in of_kind(events, CandidateConfirmed)}
    assert [confirmed[one.id].delta.mean for one in (BETTER, BEST, WORSE)] == [0.25, 0.75, -0.25]
    assert [one for one, event in confirmed.items() if event.chosen] == [BEST.id]
    (claim,) = of_kind(events, WinnerTested)
    assert (claim.winner_id, claim.delta.mean, claim.verdict) == (BEST.id, 0.75, "better")
    assert {event.candidate_id for event in of_kind(events, CandidateScored)} == {SEED.id, BEST.id}


async def test_equal_confirmations_are_decided_by_select_and_then_by_length() -> None:
    wordy = Candidate({"main": Prompt.of(BEST.text + " And take your time.")})
    events = await finished(fake_brief(), [wordy, BEST])
    assert of_kind(events, WinnerTested)[0].winner_id == BEST.id


async def test_where_all_are_below_the_seed_it_stays() -> None:
    events = await finished(fake_brief(), [WORSE])
    (claim,) = of_kind(events, WinnerTested)
    assert (claim.winner_id, claim.verdict, claim.delta.mean) == (SEED.id, "unchanged", 0.0)
    assert not of_kind(events, CandidateConfirmed)[0].chosen


async def test_without_a_shortlist_no_confirm_row_is_met() -> None:
    bench = FakeBench()
    bench.hold(0, 0)
    events = [event async for event in finish(fake_brief(), bench, Scores(), [])]
    assert {cell.example_id.partition("-")[0] for cell in bench.asked} == {"test"}
    assert of_kind(events, WinnerTested)[0].verdict == "unchanged"
    assert of_kind(events, CandidateScored)[0].score.n == 0


@pytest.mark.parametrize(("shortlist", "winner"), [([BEST, WORSE], BEST), ([WORSE], SEED)])
async def test_without_confirm_rows_select_decides_and_nothing_counts_as_confirmed(
    shortlist: list[Candidate], winner: Candidate
) -> None:
    events = await finished(fake_brief(confirm=0), shortlist)
    assert of_kind(events, CandidateConfirmed) == []
    assert of_kind(events, WinnerTested)[0].winner_id == winner.id


async def test_a_candidate_without_a_single_confirm_score_is_not_chosen() -> None:
    class Refusing(FakeWorld):
        def score(self, cell: Any) -> Any:
            return None if cell.example_id.startswith("confirm") else super().score(cell)

    events = await finished(fake_brief(), [BEST], Refusing())
    assert of_kind(events, WinnerTested)[0].verdict == "unchanged"


async def test_rows_of_one_cluster_do_not_count_as_independent() -> None:
    alone = await finished(fake_brief(), [BETTER])
    together = tuple(replace(row, cluster=f"c{number % 3}") for number, row in enumerate(rows_of("test", 24)))
    clustered = await finished(replace(fake_brief(), test=together), [BETTER])
    assert of_kind(clustered, WinnerTested)[0].p_value > of_kind(alone, WinnerTested)[0].p_value


def test_sizes_and_lengths() -> None:
    brief = fake_brief()
    assert finish_size(brief, 3) == 12 * 4 + 24 * 2
    assert longest_allowed(6000, brief) == 6000
    assert longest_allowed(10, brief) == 3 * SEED.length
    bench = FakeBench()
    hold_finish(bench, brief, 1, [BEST, WORSE])
    assert bench.held == [(12 * 2 + 48, BEST.length)]
