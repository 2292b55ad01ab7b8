"""`backprop` as a whole: what it evaluates, what it never evaluates, and how it ends."""

from __future__ import annotations

from typing import Any

import pytest
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

from promptprop.domain.errors import UnusableReplies
from promptprop.domain.events import (
    CandidateRaced,
    CandidateScreened,
    HeadroomMeasured,
    LabelsSuspected,
    ProposalDropped,
    RoundEnded,
    RoundStarted,
    SearchEnded,
    WinnerTested,
)
from promptprop.domain.models import Ask, Prompt
from promptprop.roles.rewriter import Rewrite

NOISY = FakeWorld(rules=6, noise=0.1, luck=0.1)


@pytest.mark.parametrize("seed", range(5))
async def test_no_cell_is_evaluated_twice(seed: int) -> None:
    bench = FakeBench(FakeWorld(rules=6, noise=0.1, luck=0.1, seed=seed))
    await run_fake("backprop", fake_brief(seed=seed), bench)
    cells = [(cell.candidate.id, cell.example_id, cell.replicate) for cell in bench.asked]
    assert len(set(cells)) == len(cells)
    assert {cell.candidate.id for cell in bench.asked if cell.replicate} == {seed_candidate(0).id}, "headroom alone"


async def test_a_child_that_fails_the_screen_costs_no_select_row() -> None:
    bench = FakeBench(NOISY, rewriter=idle_rewriter)
    events = await run_fake("backprop", fake_brief(), bench, {"children": 3})
    refused = {event.candidate_id for event in of_kind(events, CandidateScreened) if not event.kept}
    met = {cell.candidate.id for cell in bench.search_cells if cell.example_id.startswith("select")}
    assert refused
    assert not refused & met


async def test_a_proposal_that_is_dropped_costs_no_evaluation_at_all() -> None:
    def repeats(ask: Ask) -> Rewrite:
        return Rewrite("the same", {"main": ask.inputs["prompts"]["main"]}) if ask.replicate % 2 else idle_rewriter(ask)

    bench = FakeBench(NOISY, rewriter=repeats)
    events = await run_fake("backprop", fake_brief(), bench, {"rounds": 2, "children": 4, "passes": 1})
    assert {event.reason for event in of_kind(events, ProposalDropped)} == {"it repeats a known prompt"}
    assert len(of_kind(events, ProposalDropped)) == 4
    assert {cell.candidate.id for cell in bench.search_cells} <= set(bench.kept)


async def test_a_rewriter_that_only_repeats_itself_is_no_unusable_one() -> None:
    bench = FakeBench(rewriter=lambda ask: Rewrite("the same", {"main": ask.inputs["prompts"]["main"]}))
    events = await run_fake("backprop", fake_brief(), bench)
    assert of_kind(events, SearchEnded)[0].reason == "no promotion"
    assert of_kind(events, WinnerTested)[0].verdict == "unchanged"


async def test_unreadable_rounds_after_a_gain_end_the_search_and_the_gain_is_proven() -> None:
    def tired(ask: Ask) -> Rewrite | None:
        return honest_rewriter(ask) if ask.replicate < 200 else None

    events = await run_fake(
        "backprop", fake_brief(), FakeBench(FakeWorld(rules=8), rewriter=tired), {"critique_rows": 2}
    )
    assert of_kind(events, SearchEnded)[0].reason == "unusable replies"
    assert of_kind(events, WinnerTested)[0].verdict == "better"


async def test_the_last_problem_is_part_of_the_error_where_no_rewrite_was_ever_readable() -> None:
    bench = FakeBench(rewriter=lambda _: None)
    with pytest.raises(UnusableReplies, match="no JSON object was found in the reply"):
        await run_fake("backprop", fake_brief(), bench)
    replies = [ask for ask in bench.asks if ask.role == "rewriter" and ask.replicate % 100 < 20]
    assert len(replies) == 4, "three rounds; the third has one child more, since the search has stalled"


async def test_a_perfect_seed_is_found_out_by_its_headroom() -> None:
    bench = FakeBench()
    events = await run_fake("backprop", fake_brief(seeds=(seed_candidate(0, 1, 2, 3),)), bench)
    (headroom,) = of_kind(events, HeadroomMeasured)
    assert (headroom.finding, headroom.failing, headroom.flipped, headroom.noise) == ("perfect", 0, 0, 0.0)
    assert of_kind(events, SearchEnded)[0].reason == "perfect"
    assert len(bench.search_cells) == 20 + 10


async def test_a_model_that_says_nothing_is_hopeless() -> None:
    class Silent(FakeBench):
        def _evaluation(self, cell: Any) -> Any:
            from dataclasses import replace

            return replace(super()._evaluation(cell), output="  ", score=0.0)

    events = await run_fake("backprop", fake_brief(), Silent())
    assert of_kind(events, HeadroomMeasured)[0].finding == "hopeless"
    assert of_kind(events, SearchEnded)[0].reason == "hopeless"


async def test_rows_that_flip_are_counted_as_noise() -> None:
    events = await run_fake("backprop", fake_brief(), FakeBench(FakeWorld(rules=1, noise=0.5)), {"rounds": 1})
    (headroom,) = of_kind(events, HeadroomMeasured)
    assert headroom.flipped > 3
    assert headroom.noise == pytest.approx((headroom.flipped / 10 / 2) ** 0.5)


async def test_rows_that_every_candidate_fails_are_reported_and_left_out() -> None:
    impossible = frozenset({"train-4", "train-5"})
    bench = FakeBench(FakeWorld(rules=2, noise=0.0, impossible=impossible))
    events = await run_fake(
        "backprop", fake_brief(), bench, {"rounds": 12, "patience": 12, "children": 2, "evidence_rows": 3}
    )
    suspected = [row for event in of_kind(events, LabelsSuspected) for row in event.example_ids]
    assert sorted(suspected) == sorted(impossible)
    for event in of_kind(events, LabelsSuspected):
        later = [ask for ask in bench.asks if ask.role == "critic" and ask.replicate >= event.round]
        assert not {failure["id"] for ask in later for failure in ask.inputs["failures"]} & set(event.example_ids)
    assert of_kind(events, SearchEnded)[0].reason == "no failures left"


async def test_the_rewriter_is_told_what_was_tried_with_its_effect() -> None:
    bench = FakeBench(NOISY, rewriter=idle_rewriter)
    await run_fake("backprop", fake_brief(), bench, {"rounds": 2, "demos": False})
    late = [ask for ask in bench.asks if ask.role == "rewriter" and ask.replicate >= 200]
    carried = {one["fix"] for ask in bench.asks if 100 <= ask.replicate < 200 for one in ask.inputs["critiques"]}
    tried = late[0].inputs["tried"]
    assert {line["hypothesis"] for line in tried} == carried
    assert all(set(line) == {"kind", "hypothesis", "delta", "se", "kept"} for line in tried)
    assert not any(line["kept"] for line in tried), "idle words mend nothing"


async def test_the_parent_of_a_round_is_mostly_the_best_so_far() -> None:
    events = await run_fake("backprop", fake_brief(), FakeBench(NOISY), {"explore": 0.0})
    best = seed_candidate(0).id
    for event in events:
        if isinstance(event, RoundStarted):
            assert event.parent_id == best
        if isinstance(event, RoundEnded):
            best = event.best_id


async def test_race_outcomes_agree_with_what_the_round_says() -> None:
    events = await run_fake("backprop", fake_brief(), FakeBench(NOISY))
    for ended in of_kind(events, RoundEnded):
        raced = [event for event in of_kind(events, CandidateRaced) if event.round == ended.round]
        assert ended.promoted == sum(event.outcome == "promoted" for event in raced)
        assert all(event.delta.mean > 0 for event in raced if event.outcome == "promoted" and event.delta.n == 24)
    kept = {event.candidate_id for event in of_kind(events, CandidateScreened) if event.kept}
    assert {event.candidate_id for event in of_kind(events, CandidateRaced)} == kept


async def test_a_race_that_the_budget_cuts_short_still_offers_its_children_to_finish() -> None:
    options = {"race_block": 4, "headroom_rows": 4, "evidence_rows": 6}
    whole = FakeBench()
    events = await run_fake("backprop", fake_brief(), whole, options)
    first_race = next(
        place
        for place, cell in enumerate(whole.asked)
        if cell.example_id.startswith("select") and cell.candidate.id != seed_candidate(0).id
    )
    asked_before = first_race + sum(1 for ask in whole.asks if ask.replicate == 1 or 100 <= ask.replicate < 200)
    finish = 12 * 4 + 48
    cut = FakeBench(calls=asked_before + finish + 3)
    events = await run_fake("backprop", fake_brief(), cut, options)
    assert of_kind(events, SearchEnded)[0].reason == "calls"
    assert of_kind(events, CandidateRaced) == []
    assert of_kind(events, WinnerTested)[0].verdict == "better"


async def test_a_shorter_prompt_of_equal_score_is_promoted() -> None:
    def shorten(ask: Ask) -> Rewrite:
        return Rewrite("less", {"main": Prompt.of("Answer {{ text }}. [0]" + "." * (ask.replicate % 3))})

    long = seed_candidate(0).text + " Take your time and mind what the text says." * 4
    seeds = (type(seed_candidate(0))({"main": Prompt.of(long)}),)
    events = await run_fake("backprop", fake_brief(seeds=seeds), FakeBench(rewriter=shorten), {"rounds": 1})
    assert "promoted" in {event.outcome for event in of_kind(events, CandidateRaced)}
    assert of_kind(events, WinnerTested)[0].winner_id != seeds[0].id
