"""`gepa`: the public library behind our ports."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from fake_bench import FakeBench, FakeWorld, fake_brief, of_kind, run_fake, seed_candidate

from promptprop.domain.events import (
    CandidateProposed,
    CandidateRaced,
    CandidateScreened,
    ProposalDropped,
    RoundStarted,
    SearchEnded,
    WinnerTested,
)
from promptprop.domain.models import Ask, Candidate, Cell, Evaluation, Program, Prompt, Step, StepTrace
from promptprop.roles.rewriter import Rewrite

NOISY = FakeWorld(rules=6, noise=0.1, luck=0.1)


async def test_train_feeds_the_reflection_and_select_is_the_valset() -> None:
    bench = FakeBench(NOISY)
    events = await run_fake("gepa", fake_brief(), bench, {"iterations": 6})
    screened = of_kind(events, CandidateScreened)
    refused = {event.candidate_id for event in screened if not event.kept}
    met = {cell.candidate.id for cell in bench.search_cells if cell.example_id.startswith("select")}
    assert not refused & met, "what is no better on its minibatch meets no row of the valset"
    assert {event.candidate_id for event in screened if event.kept} == met - {seed_candidate(0).id}
    assert {event.candidate_id for event in of_kind(events, CandidateRaced)} == met - {seed_candidate(0).id}
    assert len(of_kind(events, RoundStarted)) == 6


async def test_no_cell_is_evaluated_twice() -> None:
    bench = FakeBench(NOISY)
    await run_fake("gepa", fake_brief(), bench)
    cells = [(cell.candidate.id, cell.example_id) for cell in bench.asked]
    assert len(set(cells)) == len(cells)


async def test_a_small_valset_is_drawn_and_kept_to() -> None:
    bench = FakeBench(NOISY)
    await run_fake("gepa", fake_brief(), bench, {"valset": 7, "iterations": 8})
    rows = {cell.example_id for cell in bench.search_cells if cell.example_id.startswith("select")}
    assert len(rows) == 7


async def test_several_parents_and_children_and_merges_are_the_librarys_own_options() -> None:
    bench = FakeBench(NOISY)
    options = {"parents": 2, "children": 3, "merge": True, "iterations": 3, "minibatch": 5}
    events = await run_fake("gepa", fake_brief(), bench, options)
    assert len(of_kind(events, SearchEnded)) == 1
    assert max(event.round for event in of_kind(events, CandidateProposed)) <= 3
    assert sum(ask.role == "reflector" for ask in bench.asks) > 3


async def test_a_rewrite_that_breaks_a_placeholder_is_dropped_without_a_call() -> None:
    def breaks(ask: Ask) -> Rewrite:
        return Rewrite(
            "", {"main": Prompt.of("No placeholder here." if ask.replicate % 2 else "Answer {{ text }}. [1]")}
        )

    bench = FakeBench(NOISY, rewriter=breaks)
    events = await run_fake("gepa", fake_brief(), bench, {"iterations": 5})
    assert "placeholders of step main" in of_kind(events, ProposalDropped)[0].reason
    assert all("{{ text }}" in cell.candidate.text for cell in bench.asked)


async def test_the_best_of_several_seeds_is_where_the_library_begins() -> None:
    seeds = (seed_candidate(0), seed_candidate(1, 2, 3))
    events = await run_fake("gepa", fake_brief(seeds=seeds), FakeBench(), {"iterations": 2})
    assert of_kind(events, RoundStarted)[0].parent_id == seeds[1].id
    assert of_kind(events, WinnerTested)[0].seed_id == seeds[0].id


async def test_rows_without_a_score_count_half_and_end_nothing() -> None:
    world = FakeWorld(broken=frozenset({"train-1", "train-2", "select-1"}))
    events = await run_fake("gepa", fake_brief(), FakeBench(world))
    assert of_kind(events, WinnerTested)[0].verdict == "better"


@dataclass
class TwoSteps(FakeBench):
    """Each answer comes with what the first step wrote."""

    def _evaluation(self, cell: Cell) -> Evaluation:
        one = super()._evaluation(cell)
        trace = (StepTrace("facts", f"noted {cell.example_id}", "k1"), StepTrace("desk", one.output, "k2"))
        return replace(one, trace=trace)

    def _reply(self, ask: Ask) -> Any:
        """Nothing new: what was asked is looked at."""
        return f"```\nSort {{{{ facts }}}} once more. ({ask.replicate})\n```"


async def test_each_step_of_a_chain_is_shown_what_it_was_given_and_what_it_wrote() -> None:
    seed = Candidate({"facts": Prompt.of("Note {{ text }}. [0]"), "desk": Prompt.of("Sort {{ facts }}.")})
    program = Program((Step("facts", "facts"), Step("desk", "answer")))
    bench = TwoSteps()
    await run_fake("gepa", fake_brief(seeds=(seed,), program=program), bench, {"iterations": 4, "minibatch": 6})
    asked = [str(ask.inputs["prompt"]) for ask in bench.asks]
    of_facts = [text for text in asked if "Note {{ text }}" in text]
    of_desk = [text for text in asked if "Note {{ text }}" not in text]
    assert of_facts
    assert of_desk
    for text in of_facts:
        assert "## text" in text
        assert "The final answer was: none" in text
        assert "## facts" not in text
    for text in of_desk:
        assert "## facts" in text
        assert "noted train-" in text
        assert "## text" not in text
        assert "The final answer was" not in text
