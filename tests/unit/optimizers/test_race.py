"""The race: blocks of fresh rows, early ends, and what a screen makes one believe."""

from __future__ import annotations

from fake_bench import FakeBench, FakeWorld, rows_of, seed_candidate

from promptprop.domain.models import Candidate, Prompt
from promptprop.optimizers.options import BackpropOptions
from promptprop.optimizers.propose import Child, Plan
from promptprop.optimizers.race import LEAST_DOUBT, belief_of, race
from promptprop.optimizers.scores import Scores

SEED = seed_candidate(0)
TRACK = [rows_of("select", 48)[start : start + 6] for start in range(0, 48, 6)]


def child(*rules: int, more: str = "", gain: float = 0.0) -> Child:
    return Child(Plan("causes"), Candidate({"main": Prompt.of(seed_candidate(*rules).text + more)}), gain=gain)


async def run_race(bench: FakeBench, *children: Child, parent: Candidate = SEED, **options: float) -> None:
    bench.hold(1, 1)
    await race(bench, Scores(), parent, children, TRACK, BackpropOptions(**options))  # type: ignore[arg-type]


async def test_a_child_is_promoted_or_dropped_as_soon_as_its_chance_says_so() -> None:
    better, worse = child(0, 1, 2, 3), child(more=" nothing")
    await run_race(FakeBench(), better, worse)
    assert (better.outcome, worse.outcome) == ("promoted", "dropped")
    assert better.delta.n <= 12
    assert worse.delta.n <= 12


async def test_a_child_that_changes_nothing_is_undecided_at_the_end_of_the_track() -> None:
    same = child(0, more=" just as good")
    await run_race(FakeBench(), same)
    assert (same.outcome, same.delta.n, same.delta.mean) == ("undecided", 24, 0.0)


async def test_the_track_ends_after_so_many_blocks_and_at_half_of_select() -> None:
    for most, met in ((2, 12), (100, 24)):
        same = child(0, more=" just as good")
        await run_race(FakeBench(), same, race_blocks=most)
        assert (same.outcome, same.delta.n) == ("undecided", met)


async def test_a_shorter_child_of_equal_score_is_promoted() -> None:
    long = Candidate({"main": Prompt.of(SEED.text + " Take your time and mind what the text says." * 4)})
    short = child(0)
    await run_race(FakeBench(), short, parent=long)
    assert short.outcome == "promoted"


async def test_only_missing_cells_are_evaluated_and_runners_that_are_out_meet_no_more_rows() -> None:
    bench = FakeBench(FakeWorld(rules=8))
    better, same = child(0, 1, 2, 3, 4, 5), child(0, more=" just as good")
    await run_race(bench, better, same)
    cells = [(cell.candidate.id, cell.example_id) for cell in bench.asked]
    assert len(set(cells)) == len(cells)
    assert sum(one == better.candidate.id for one, _ in cells) == better.delta.n < 24
    assert sum(one == SEED.id for one, _ in cells) == 24


async def test_a_gain_on_the_screen_helps_and_yet_is_not_taken_at_its_word() -> None:
    hopeful, doubtful = belief_of(0.3), belief_of(0.0)
    assert 0 < hopeful.mean < 0.3
    assert hopeful.chance_above() > doubtful.chance_above() == 0.5
    assert doubtful.error == LEAST_DOUBT
    seen, unseen = child(0, more=" a", gain=0.3), child(0, more=" b")
    await run_race(FakeBench(), seen, unseen, promote=0.66, race_blocks=1)
    assert (seen.outcome, unseen.outcome) == ("promoted", "undecided")
