"""The steps of a round, one at a time."""

from __future__ import annotations

from typing import Any

import pytest
from fake_bench import FakeBench, FakeWorld, fake_brief, honest_critic, idle_rewriter, seed_candidate

from promptprop.domain.events import CritiquesWritten, RoundStarted
from promptprop.domain.models import Candidate, Hypothesis, Prompt
from promptprop.domain.selection import Belief
from promptprop.optimizers.options import BackpropOptions
from promptprop.optimizers.propose import Child, Plan
from promptprop.optimizers.search import Search

SEED = seed_candidate(0)


def search_on(bench: FakeBench, brief: Any = None, **options: Any) -> Search:
    return Search(brief or fake_brief(), bench, BackpropOptions(**options))


async def begun(bench: FakeBench, brief: Any = None, **options: Any) -> Search:
    search = search_on(bench, brief, **options)
    await search.set_up()
    search.begin_round()
    return search


def child(*rules: int, more: str = "", kind: str = "causes") -> Child:
    text = seed_candidate(*rules).text + more
    candidate = Candidate({"main": Prompt.of(text)}, parents=(SEED.id,), hypothesis=Hypothesis(kind, "h"))
    return Child(Plan(kind), candidate)


async def raced(bench: FakeBench, *children: Child, **options: Any) -> Search:
    search = await begun(bench, **options)
    search.now.survivors = list(children)
    await search.race()
    return search


async def test_fresh_rollouts_stop_once_there_are_failures_enough() -> None:
    bench = FakeBench()
    search = await begun(bench, fake_brief(train=200), evidence_rows=12)
    before = len(bench.asked)
    await search.gather_evidence()
    assert len(bench.asked) - before == 20, "three rows in four fail: one block is enough"
    assert len(search.now.evidence.failures) >= 12
    await search.gather_evidence()
    assert len(bench.asked) - before == 20, "what is known is not asked again"


async def test_rows_that_stay_missing_neither_repeat_nor_stop_the_search_for_evidence() -> None:
    broken = frozenset(f"train-{number}" for number in range(100) if number % 4 != 1)
    bench = FakeBench(FakeWorld(broken=broken))
    search = await begun(bench, fake_brief(train=100), evidence_rows=100)
    await search.gather_evidence()
    rows = [cell.example_id for cell in bench.asked if cell.example_id.startswith("train")]
    assert len(rows) == len(set(rows)) == 100
    assert len(search.now.evidence.failures) == 25


async def test_where_every_train_row_is_missing_the_search_ends() -> None:
    bench = FakeBench(FakeWorld(broken=frozenset(f"train-{number}" for number in range(40))))
    search = await begun(bench)
    await search.gather_evidence()
    assert search.reason_to_stop() == "no failures left"


async def test_every_cause_gets_its_critique_and_lost_replies_are_counted() -> None:
    bench = FakeBench(critic=lambda ask: None if "[1]" in str(ask.inputs["failures"]) else honest_critic(ask))
    search = await begun(bench, causes_a_critique=1, critique_rows=3)
    await search.gather_evidence()
    search.told()
    await search.criticise()
    (written,) = search.told()
    assert isinstance(written, CritiquesWritten)
    assert written.dropped == sum("[1]" in str(ask.inputs["failures"]) for ask in bench.asks) > 0
    assert written.clusters == len(bench.asks)
    fixes = [fix.critique.fix for bundle in search.now.bundles for fix in bundle]
    assert set(fixes) == {"mind [2]", "mind [3]"}


async def test_failures_that_a_waiting_fix_explains_need_no_new_critique() -> None:
    bench = FakeBench()
    search = await begun(bench)
    await search.gather_evidence()
    await search.criticise()
    waiting = [fix for bundle in search.now.bundles for fix in bundle]
    for fix in waiting:
        fix.state = "works"
    search.pool.fixes = waiting
    asked = len(bench.asks)
    await search.criticise()
    assert len(bench.asks) == asked
    assert search.now.bundles == [waiting]


async def test_what_works_and_is_not_adopted_waits_and_what_is_adopted_is_guarded() -> None:
    search = await begun(FakeBench())
    await search.gather_evidence()
    await search.criticise()
    await search.propose()
    await search.screen()
    await search.race()
    (won,) = search.now.promoted
    await search.learn()
    assert search.archive.best is won.candidate
    assert search.pool.fixes == []
    assert len(search.archive.mended_by(won.candidate)) == len(won.plan.fixes) == 3
    search.begin_round()
    lost = Child(Plan("causes", won.plan.fixes), child(0, 1, 2, 3, more=" !").candidate)
    search.now.children, search.now.bundles = [lost], [list(won.plan.fixes)]
    await search.learn()
    assert search.pool.proven == list(won.plan.fixes)


async def test_a_screen_where_every_row_is_missing_keeps_nobody() -> None:
    bench = FakeBench()
    search = await begun(bench)
    await search.gather_evidence()
    bench.world.broken = frozenset(f"train-{number}" for number in range(40))
    one = child(0, 1, 2, 3)
    search.now.children = [one]
    await search.screen()
    assert search.now.survivors == []
    assert (one.delta.n, one.delta.low, one.delta.high) == (0, -1.0, 1.0)


async def test_what_is_not_worse_in_a_race_is_archived() -> None:
    better, worse, same = child(0, 1, 2), child(more=" nothing"), child(0, more=" just as good")
    search = await raced(FakeBench(), better, worse, same, race_block=6)
    assert [one.outcome for one in (better, worse, same)] == ["promoted", "dropped", "undecided"]
    assert set(search.archive.members) == {SEED.id, better.candidate.id, same.candidate.id}
    assert search.now.promoted == [better]


async def test_the_shortlist_is_ordered_by_worth_and_leaves_the_seed_out() -> None:
    better, best, same = child(0, 1), child(0, 1, 2), child(0, more=" just as good")
    search = await raced(FakeBench(), better, best, same, shortlist=2)
    assert [one.id for one in search.shortlist()] == [best.candidate.id, better.candidate.id]


async def test_children_of_an_unfinished_race_stand_behind_and_losing_ones_not_at_all() -> None:
    done, running, losing = child(0, 1), child(0, 1, 2, 3), child(more=" nothing")
    search = await raced(FakeBench(), done, shortlist=3)
    search.now.survivors += [running, losing]
    running.gain, losing.gain = 0.1, -0.2
    assert [one.id for one in search.shortlist()] == [done.candidate.id, running.candidate.id]


async def test_the_odds_of_a_kind_follow_what_became_of_its_children() -> None:
    bench = FakeBench(rewriter=idle_rewriter)
    search = await begun(bench)
    won, lost = child(0, 1, kind="cause"), child(0, more=" !", kind="format")
    search.archive.add(won.candidate, SEED, Belief(0.1, 0.1), 10)
    search.now.children, search.now.promoted = [won, lost], [won]
    await search.learn()
    assert search.odds == {"cause": (1, 1), "format": (0, 1)}


async def test_refused_proposals_lower_the_odds_of_their_kind() -> None:
    search = await begun(FakeBench(rewriter=lambda ask: None), children=3, demos=False)
    await search.gather_evidence()
    await search.criticise()
    await search.propose()
    assert sum(tried for _, tried in search.odds.values()) == 3
    assert all(won == 0 for won, _ in search.odds.values())


async def test_patience_counts_rounds_without_a_new_best() -> None:
    search = await begun(FakeBench(), patience=2)
    await search.learn()
    assert (search.idle, search.reason_to_stop()) == (1, "")
    won = child(0, 1)
    search.archive.know(won.candidate)
    search.archive.add(won.candidate, SEED, Belief(0.2, 0.1), 10)
    search.now.promoted = [won]
    await search.learn()
    assert (search.idle, search.archive.best) == (0, won.candidate)
    await search.learn()
    await search.learn()
    assert search.reason_to_stop() == "no promotion"


async def test_a_search_that_has_stalled_tries_other_kinds_besides() -> None:
    bench = FakeBench()
    search = await begun(bench, widen=2)
    await search.gather_evidence()
    for idle, children in ((0, 1), (1, 1), (2, 2), (3, 3), (9, 3)):
        search.idle, search.round = idle, search.round + 1
        search.pool.fixes = []
        await search.criticise()
        await search.propose()
        assert len(search.now.children) == children


@pytest.mark.parametrize("explore", [0.0, 1.0])
async def test_exploring_takes_a_parent_that_wins_rows_which_the_best_loses(explore: float) -> None:
    search = await begun(FakeBench(), explore=explore)
    best, other = seed_candidate(0, 1, 2), seed_candidate(3)
    await search.scores.fill(search.bench, [best, other], search.brief.select)
    search.archive.members |= {best.id: best, other.id: other}
    search.archive.tidied |= {best.id: 1, other.id: 1}
    search.archive.best = best
    search.told()
    search.begin_round()
    (started,) = search.told()
    assert isinstance(started, RoundStarted)
    assert started.parent_id == (other.id if explore else best.id)


async def test_what_finish_may_cost_is_held_before_children_are_evaluated() -> None:
    bench = FakeBench()
    search = await begun(bench)
    await search.gather_evidence()
    assert bench.held == [(96, SEED.length)]
    long = child(0, 1, more=" word" * 50)
    search.now.children = [long]
    await search.screen()
    assert bench.held[-1] == (96, long.candidate.length)
