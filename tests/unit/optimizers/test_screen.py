"""The screen: which rows children meet, what they are believed to gain, and who goes on."""

from __future__ import annotations

import pytest
from fake_bench import FakeBench, FakeWorld, rows_of, seed_candidate

from promptprop.domain.models import Candidate, Critique, Hypothesis, Prompt
from promptprop.optimizers.evidence import failed_rows
from promptprop.optimizers.fixes import Fix
from promptprop.optimizers.options import BackpropOptions
from promptprop.optimizers.propose import Child, Plan
from promptprop.optimizers.scores import Scores
from promptprop.optimizers.screen import Screen

ROWS = rows_of("train", 40)
SEED = seed_candidate(0)


async def screen_on(bench: FakeBench, guarded: tuple[tuple[str, ...], ...] = (), **options: int) -> Screen:
    scores = Scores()
    bench.hold(1, 1)
    await scores.fill(bench, [SEED], ROWS)
    evidence = failed_rows(scores, bench, [SEED], ROWS, 0.9)
    train = {row.id: row for row in ROWS}
    return Screen(bench, scores, BackpropOptions(**options), evidence, train, guarded, SEED.length)  # type: ignore[arg-type]


def child(screen: Screen, *rules: int, mends: tuple[int, ...] = (), more: str = "", kind: str = "causes") -> Child:
    fixes = []
    for rule in mends:
        rows = tuple(row for row in screen.evidence.failures if row.expected == f"[{rule}]")
        fixes.append(Fix(Critique("main", "cause", f"mind [{rule}]"), rows, float(len(rows))))
    text = seed_candidate(*rules).text + more
    return Child(Plan(kind, tuple(fixes)), Candidate({"main": Prompt.of(text)}, hypothesis=Hypothesis(kind, "h")))


async def test_a_child_meets_rows_of_each_of_its_fixes_and_rows_that_its_parent_passed() -> None:
    screen = await screen_on(FakeBench(), screen_rows=2, passed_rows=3)
    one = child(screen, 0, 1, 2, mends=(1, 2))
    assert await screen.run([one]) == [one]
    needs = [int(row.id.partition("-")[2]) % 4 for row in one.screened_on]
    assert needs == [1, 1, 2, 2, 0, 0, 0]
    assert [fix.state for fix in one.plan.fixes] == ["works", "works"]


async def test_the_row_that_the_critic_did_not_see_first_is_met_first() -> None:
    screen = await screen_on(FakeBench(), screen_rows=1, passed_rows=0)
    one = child(screen, 0, 1, mends=(1,))
    await screen.run([one])
    assert [row.id for row in one.screened_on] == [one.plan.fixes[0].rows[-1].example_id]


async def test_a_child_that_mends_none_of_its_rows_meets_no_others_and_is_out() -> None:
    bench = FakeBench()
    screen = await screen_on(bench, screen_rows=3)
    one = child(screen, 0, 3, mends=(1, 2))
    before = len(bench.asked)
    assert await screen.run([one]) == []
    assert len(bench.asked) - before == 6 == len(one.screened_on)
    assert [fix.state for fix in one.plan.fixes] == ["failed", "failed"]


async def test_gains_are_weighed_by_how_many_rows_a_fix_stands_for() -> None:
    screen = await screen_on(FakeBench(), screen_rows=3, passed_rows=0)
    one, two = child(screen, 0, 1, mends=(1,)), child(screen, 0, 1, 2, mends=(1, 2), more=" !")
    assert await screen.run([one, two]) == [two, one]
    # ten rows each, of which three of four (one is added unchanged) are mended, out of 40 rows
    assert one.gain == pytest.approx(10 * 3 / 4 / 40)
    assert two.gain == pytest.approx(20 * 3 / 4 / 40)


async def test_a_loss_on_passed_rows_outweighs_a_small_gain() -> None:
    screen = await screen_on(FakeBench(), passed_rows=8)
    one = child(screen, 1, mends=(1,))
    one.plan.fixes[0].rows = one.plan.fixes[0].rows[:4]
    assert await screen.run([one]) == []
    assert one.gain < 0
    assert one.plan.fixes[0].state == "works", "the fix is worth another try"


async def test_rows_that_an_ancestor_mended_are_met_again() -> None:
    screen = await screen_on(FakeBench(), guarded=(("train-8", "train-4"), ("train-1",)), screen_rows=3, passed_rows=1)
    one = child(screen, 0, 1, mends=(1,))
    await screen.run([one])
    met = [row.id for row in one.screened_on]
    assert met[3] == "train-8", "one row of each mended cause, unless the parent fails it again"
    assert len(met) == 5


async def test_a_shorter_child_may_seem_to_lose_a_little_and_a_longer_one_must_gain() -> None:
    screen = await screen_on(FakeBench(FakeWorld()))
    short = Child(Plan("consolidate"), Candidate({"main": Prompt.of("{{ text }} [0]")}))
    same = child(screen, 0, more=" and more words that say nothing")
    assert await screen.run([same, short]) == [short]
    assert (short.gain, same.gain) == (0.0, 0.0)


async def test_a_screen_where_every_row_is_missing_keeps_nobody() -> None:
    bench = FakeBench()
    screen = await screen_on(bench)
    bench.world.broken = frozenset(row.id for row in ROWS)
    one = child(screen, 0, 1, 2, 3, mends=(1,))
    assert await screen.run([one]) == []
    assert (one.delta.n, one.delta.low, one.delta.high) == (0, -1.0, 1.0)
