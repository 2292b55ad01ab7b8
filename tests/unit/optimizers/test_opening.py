"""The opening: drafts, the race of the seeds, and how much of the budget headroom takes."""

from __future__ import annotations

import pytest
from fake_bench import FakeBench, FakeWorld, fake_brief, rows_of, run_fake, seed_candidate

from promptprop.domain.events import CandidateProposed, CandidateRaced, RoundStarted, WinnerTested
from promptprop.domain.models import Ask, Prompt
from promptprop.optimizers.opening import draft_seeds, measure_headroom, race_seeds
from promptprop.optimizers.options import BackpropOptions
from promptprop.optimizers.scores import Scores
from promptprop.roles.rewriter import Rewrite

TRACK = [rows_of("select", 40)[start : start + 10] for start in range(0, 40, 10)]


@pytest.mark.parametrize(
    ("calls", "once", "again"), [(None, 20, 10), (1000, 20, 10), (400, 20, 10), (200, 10, 5), (20, 6, 3)]
)
async def test_headroom_takes_few_rows_where_few_calls_may_be_spent(calls: int | None, once: int, again: int) -> None:
    bench = FakeBench(calls=calls)
    bench.hold(0, 1)
    headroom = await measure_headroom(bench, Scores(), TRACK, BackpropOptions(), seed_candidate(0))
    assert headroom.score.n == once
    assert sum(cell.replicate for cell in bench.asked) == again


async def test_the_best_seed_wins_and_those_behind_it_meet_few_rows() -> None:
    bench = FakeBench()
    bench.hold(0, 1)
    seeds = [seed_candidate(0), seed_candidate(1, 2), seed_candidate(0, 1, 2, 3), seed_candidate()]
    best, raced = await race_seeds(bench, Scores(), seeds, TRACK, BackpropOptions())
    assert best is seeds[2]
    assert [(one.round, one.against_id, one.outcome) for one in raced] == [
        (0, seeds[0].id, "dropped"), (0, seeds[0].id, "promoted"), (0, seeds[0].id, "dropped"),
    ]  # fmt: skip
    met = [sum(cell.candidate is seed for cell in bench.asked) for seed in seeds]
    assert met == [10, 10, 10, 10], "nobody is left to race against after the first block"


async def test_equal_seeds_stay_in_the_race_and_the_shorter_one_leads() -> None:
    bench = FakeBench(FakeWorld(rules=4))
    bench.hold(0, 1)
    seeds = [type(seed_candidate())({"main": Prompt.of("Please answer {{ text }}. [0]")}), seed_candidate(0)]
    best, raced = await race_seeds(bench, Scores(), seeds, TRACK, BackpropOptions(race_blocks=2))
    assert (best, [one.outcome for one in raced]) == (seeds[1], ["promoted"])
    assert len(bench.asked) == 40


async def test_a_search_goes_on_from_the_seed_that_won_and_is_measured_against_the_first() -> None:
    seeds = (seed_candidate(0), seed_candidate(1, 2))
    events = await run_fake("backprop", fake_brief(seeds=seeds), FakeBench())
    assert next(event for event in events if isinstance(event, RoundStarted)).parent_id == seeds[1].id
    (claim,) = [event for event in events if isinstance(event, WinnerTested)]
    assert (claim.seed_id, claim.verdict) == (seeds[0].id, "better")


async def test_drafts_are_written_from_labelled_rows_of_every_stratum_and_compete() -> None:
    def drafting(ask: Ask) -> Rewrite | None:
        rules = sorted({line["expected"] for line in ask.inputs["failures"]})
        return None if ask.replicate == 1 else Rewrite("", {"main": Prompt.of(f"{{{{ text }}}}: {' '.join(rules)}")})

    bench = FakeBench(rewriter=drafting)
    (proposal,) = await draft_seeds(bench, fake_brief(drafts=3), 900)
    assert [ask.replicate for ask in bench.asks] == [0, 1, 2]
    assert all(ask.inputs["kind"] == "draft" and len(ask.inputs["failures"]) == 12 for ask in bench.asks)
    assert bench.asks[0].inputs["failures"] != bench.asks[2].inputs["failures"]
    assert all("answer" not in line for line in bench.asks[0].inputs["failures"])
    assert proposal.candidate.text == "{{ text }}: [0] [1] [2] [3]", "equal drafts count once"
    assert proposal.candidate.hypothesis.kind == "draft"
    events = await run_fake("backprop", fake_brief(drafts=3), FakeBench(rewriter=drafting))
    raced = [event for event in events if isinstance(event, CandidateRaced) and event.round == 0]
    assert [event.outcome for event in raced] == ["promoted"]
    assert sum(isinstance(event, CandidateProposed) and event.round == 0 for event in events) == 2
