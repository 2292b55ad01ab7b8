"""The steps of a round, one at a time."""

from __future__ import annotations

from typing import Any

import pytest
from fake_bench import FakeBench, FakeWorld, fake_brief, idle_rewriter, seed_candidate

from promptprop.domain.events import RoundStarted
from promptprop.domain.models import Candidate, Hypothesis, Prompt
from promptprop.optimizers.propose import Child, Plan
from promptprop.optimizers.search import BackpropOptions, Search

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
    return Child(Plan(kind, (), ()), Candidate({"main": Prompt.of(text)}, hypothesis=Hypothesis(kind, "h")))


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
    assert len(bench.asked) - before == 24, "three rows in four fail: one block is enough"
    assert len(search.now.evidence.failures) >= 12
    await search.gather_evidence()
    assert len(bench.asked) - before == 24, "what is known is not asked again"


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


async def test_every_cluster_gets_its_critique_and_lost_replies_are_counted() -> None:
    bench = FakeBench(critic=lambda ask: None if "[1]" in str(ask.inputs["failures"]) else ())
    search = await begun(bench, children=4, critique_rows=3)
    await search.gather_evidence()
    search.told()
    await search.criticise()
    (written,) = search.told()
    assert (written.clusters, written.dropped) == (4, sum("[1]" in str(ask.inputs["failures"]) for ask in bench.asks))  # type: ignore[attr-defined]
    assert len(search.now.clusters) == len(search.now.critiques) == 4 - written.dropped  # type: ignore[attr-defined]


async def test_only_children_that_gain_or_shorten_pass_the_screen() -> None:
    bench = FakeBench()
    search = await begun(bench, survivors=2)
    await search.gather_evidence()
    better, best, same = child(0, 1), child(0, 1, 2, 3), child(0, more=" !")
    worse = child(more=" and more words that say nothing at all")
    search.now.children = [same, better, worse, best]
    await search.screen()
    assert search.now.survivors == [best, better]
    assert best.gain > better.gain > 0
    assert same.gain == 0
    assert worse.gain < 0


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


async def test_a_race_drops_the_worse_early_and_promotes_the_better_at_its_end() -> None:
    bench = FakeBench()
    better, worse, same = child(0, 1, 2), child(more=" nothing"), child(0, more=" just as good")
    search = await raced(bench, better, worse, same, race_block=6)
    assert [one.outcome for one in (better, worse, same)] == ["promoted", "dropped", "undecided"]
    met = {one.candidate.id: one.delta.n for one in (better, worse, same)}
    assert met[better.candidate.id] == met[same.candidate.id] == 24
    assert met[worse.candidate.id] < 24
    assert set(search.archive) == {SEED.id, better.candidate.id, same.candidate.id}
    assert search.now.promoted == [better]


async def test_the_shortlist_is_ordered_by_lower_bound_and_leaves_the_seed_out() -> None:
    better, best, same = child(0, 1), child(0, 1, 2), child(0, more=" just as good")
    search = await raced(FakeBench(), better, best, same, shortlist=2)
    assert [one.id for one in search.shortlist()] == [best.candidate.id, better.candidate.id]


async def test_children_of_an_unfinished_race_stand_behind_and_losing_ones_not_at_all() -> None:
    done, running, losing = child(0, 1), child(0, 1, 2, 3), child(more=" nothing")
    search = await raced(FakeBench(), done, shortlist=3)
    search.now.survivors += [running, losing]
    search.now.survivors[1].delta = done.delta
    losing.delta = type(done.delta)(-0.2, -0.4, 0.0, 6)
    assert [one.id for one in search.shortlist()] == [done.candidate.id, running.candidate.id]


async def test_the_odds_of_a_kind_follow_what_became_of_its_children() -> None:
    bench = FakeBench(rewriter=idle_rewriter)
    search = await begun(bench)
    won, lost = child(0, 1, kind="cause"), child(0, more=" !", kind="format")
    search.now.children, search.now.promoted = [won, lost], [won]
    search.now.survivors = []
    await search.learn()
    assert search.odds == {"cause": (1, 1), "format": (0, 1)}
    assert [line["kept"] for line in search.tried] == [True, False]


async def test_refused_proposals_lower_the_odds_of_their_kind() -> None:
    search = await begun(FakeBench(rewriter=lambda ask: None), children=3)
    await search.gather_evidence()
    await search.criticise()
    await search.propose()
    assert sum(tried for _, tried in search.odds.values()) == 3
    assert all(won == 0 for won, _ in search.odds.values())


async def test_patience_counts_rounds_without_a_promotion_or_a_new_best() -> None:
    search = await begun(FakeBench(), patience=2)
    await search.learn()
    assert (search.idle, search.reason_to_stop()) == (1, "")
    undecided = child(0, 1)
    await search.scores.fill(search.bench, [undecided.candidate], search.brief.select)
    search.archive[undecided.candidate.id] = undecided.candidate
    await search.learn()
    assert search.idle == 0, "a new best is progress, though it was not promoted"
    await search.learn()
    await search.learn()
    assert search.reason_to_stop() == "no promotion"


@pytest.mark.parametrize("explore", [0.0, 1.0])
async def test_exploring_takes_a_parent_that_wins_rows_which_the_best_loses(explore: float) -> None:
    search = await begun(FakeBench(), explore=explore)
    best, other = seed_candidate(0, 1, 2), seed_candidate(3)
    await search.scores.fill(search.bench, [best, other], search.brief.select)
    search.archive |= {best.id: best, other.id: other}
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
