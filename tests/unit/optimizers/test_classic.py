"""`classic`: one chain of rewrites, everything scored each time."""

from __future__ import annotations

from collections import Counter

from fake_bench import (
    FakeBench,
    FakeWorld,
    fake_brief,
    honest_rewriter,
    idle_rewriter,
    of_kind,
    run_fake,
    seed_candidate,
)

from promptprop.domain.events import (
    CandidateRaced,
    CritiquesWritten,
    ProposalDropped,
    RoundEnded,
    RoundStarted,
    SearchEnded,
    WinnerTested,
)
from promptprop.domain.models import Ask, Prompt
from promptprop.roles.rewriter import Rewrite


async def test_every_candidate_meets_all_train_and_select_rows_once() -> None:
    bench = FakeBench(FakeWorld(rules=4, noise=0.2), rewriter=idle_rewriter)
    await run_fake("classic", fake_brief(), bench, {"iterations": 3})
    met = Counter(cell.candidate.id for cell in bench.search_cells)
    assert list(met.values()) == [64] * 4
    assert len({(cell.candidate.id, cell.example_id) for cell in bench.search_cells}) == 4 * 64


async def test_the_chain_goes_on_from_the_newest_prompt_and_keeps_the_best() -> None:
    def spoil(ask: Ask) -> Rewrite:
        if "- (" not in ask.inputs["prompts"]["main"].text:
            return honest_rewriter(ask)
        return Rewrite("forgets all", {"main": Prompt.of(f"Answer {{{{ text }}}}. {ask.replicate}")})

    events = await run_fake("classic", fake_brief(), FakeBench(FakeWorld(rules=4, noise=0.1), rewriter=spoil))
    started = of_kind(events, RoundStarted)
    raced = of_kind(events, CandidateRaced)
    assert [one.outcome for one in raced[:2]] == ["promoted", "undecided"]
    assert started[1].parent_id == raced[0].candidate_id
    assert started[2].parent_id == raced[1].candidate_id, "the newest, though it is worse"
    assert {one.best_id for one in of_kind(events, RoundEnded)} == {raced[0].candidate_id}
    assert of_kind(events, WinnerTested)[0].winner_id == raced[0].candidate_id
    assert of_kind(events, SearchEnded)[0].reason == "rounds"


async def test_the_critic_sees_a_sample_of_the_failures_at_once() -> None:
    bench = FakeBench()
    events = await run_fake("classic", fake_brief(), bench, {"failures": 5})
    assert [ask.role for ask in bench.asks] == ["critic", "rewriter"]
    assert len(bench.asks[0].inputs["failures"]) == 5
    assert of_kind(events, CritiquesWritten)[0].failures == 30


async def test_a_repeated_prompt_ends_the_chain() -> None:
    same = Rewrite("the same", {"main": Prompt.of("Answer {{ text }}. [1]")})
    events = await run_fake("classic", fake_brief(), FakeBench(rewriter=lambda _: same))
    assert of_kind(events, SearchEnded)[0].reason == "the rewrite repeats a known prompt"
    assert of_kind(events, ProposalDropped)[0].round == 2


async def test_the_best_of_several_seeds_is_the_first_parent() -> None:
    seeds = (seed_candidate(0), seed_candidate(1, 2))
    events = await run_fake("classic", fake_brief(seeds=seeds), FakeBench())
    assert of_kind(events, RoundStarted)[0].parent_id == seeds[1].id


async def test_it_stops_where_nothing_fails_any_more() -> None:
    events = await run_fake("classic", fake_brief(), FakeBench(), {"failures": 40})
    assert of_kind(events, SearchEnded)[0].reason == "no failures left"
    assert len(of_kind(events, RoundEnded)) == 1
