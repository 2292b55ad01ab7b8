"""`iterate`: one prompt on every train row, one refinement, and again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from fake_bench import FakeBench, FakeWorld, fake_brief, garbage, honest_rewriter, idle_rewriter, of_kind, run_fake
from fake_bench import seed_candidate as seed

from promptprop.domain.errors import BudgetSpent, ConfigError, UnusableReplies
from promptprop.domain.events import (
    CandidateProposed,
    CandidateRaced,
    CandidateScored,
    Event,
    ProposalDropped,
    RoundEnded,
    RoundStarted,
    SearchEnded,
    WinnerTested,
    body_of,
)
from promptprop.domain.models import Ask, Cell, Evaluation, Program, Prompt, Step
from promptprop.optimizers.iterate import converged
from promptprop.optimizers.registry import build_optimizer
from promptprop.roles.rewriter import Rewrite

UNPROVEN = {"prove": False}


async def unproven(bench: FakeBench, **options: Any) -> list[Event]:
    return await run_fake("iterate", fake_brief(), bench, {**UNPROVEN, **options})


async def test_an_iteration_takes_every_train_row_once_and_one_refinement_between_two() -> None:
    bench = FakeBench(FakeWorld(noise=0.3), rewriter=idle_rewriter)
    events = await unproven(bench, iterations=4)
    met = Counter(cell.candidate.id for cell in bench.asked)
    assert list(met.values()) == [40] * 4
    assert [ask.role for ask in bench.asks] == ["refiner"] * 3
    assert [one.kind for one in events if one.kind not in ("round_ended", "candidate_raced")][:5] == [
        "candidate_proposed", "round_started", "candidate_scored", "candidate_proposed", "round_started",
    ]  # fmt: skip
    assert [one.round for one in of_kind(events, CandidateScored)] == [1, 2, 3, 4]
    assert of_kind(events, SearchEnded)[0].reason == "rounds"


async def test_rows_are_taken_in_the_order_of_their_ids() -> None:
    bench = FakeBench()
    await unproven(bench, iterations=1)
    assert [cell.example_id for cell in bench.asked] == sorted(cell.example_id for cell in bench.asked)


@pytest.mark.parametrize(("block", "sizes"), [(0, [40]), (15, [15, 15, 10]), (100, [40])])
async def test_rows_may_be_taken_by_the_block(block: int, sizes: list[int]) -> None:
    class Counting(FakeBench):
        async def evaluate(self, cells: Sequence[Cell]) -> list[Evaluation]:
            blocks.append(len(cells))
            return await super().evaluate(cells)

    blocks: list[int] = []
    whole = await unproven(FakeBench(), iterations=1)
    events = await unproven(Counting(), iterations=1, block=block)
    assert blocks == sizes
    assert [body_of(one) for one in events[:-1]] == [body_of(one) for one in whole[:-1]]


async def test_without_proof_nothing_but_train_is_touched_and_nothing_is_claimed() -> None:
    bench = FakeBench()
    events = await unproven(bench)
    assert {cell.example_id.partition("-")[0] for cell in bench.asked} == {"train"}
    assert not of_kind(events, WinnerTested)
    assert isinstance(events[-1], SearchEnded)
    assert bench.held[-1] == (0, 0)


async def test_train_rows_alone_are_enough_and_claim_nothing() -> None:
    brief = fake_brief(select=0, confirm=0, test=0)
    assert not of_kind(await run_fake("iterate", brief, FakeBench()), WinnerTested)


async def test_the_best_scored_prompt_wins_and_the_earlier_one_where_equal() -> None:
    def spoil(ask: Ask) -> Rewrite:
        if "- (" not in ask.inputs["prompts"]["main"].text:
            return honest_rewriter(ask)
        return Rewrite("forgets all", {"main": Prompt.of(f"Answer {{{{ text }}}}. {ask.replicate}")})

    events = await unproven(FakeBench(FakeWorld(noise=0.1), rewriter=spoil), perfect=1.0)
    good = of_kind(events, CandidateProposed)[1].candidate_id
    assert {one.best_id for one in of_kind(events, RoundEnded)[1:]} == {good}
    assert [one.promoted for one in of_kind(events, RoundEnded)] == [0, 1, 0, 0, 0]
    raced = of_kind(events, CandidateRaced)
    assert [one.outcome for one in raced] == ["promoted", "undecided", "undecided", "undecided"]
    assert [one.delta.mean > 0 for one in raced] == [True, False, False, False]
    assert {one.delta.n for one in raced} == {40}
    assert of_kind(events, RoundStarted)[2].parent_id != good, "each iteration scores the newest prompt"


async def test_a_mean_that_has_settled_ends_the_search() -> None:
    events = await unproven(FakeBench(rewriter=idle_rewriter), settled=0.002)
    assert of_kind(events, SearchEnded)[0].reason == "settled"
    assert len(of_kind(events, CandidateScored)) == 2


async def test_a_good_enough_mean_ends_the_search_though_rows_fail() -> None:
    events = await unproven(FakeBench(), perfect=0.2)
    assert of_kind(events, SearchEnded)[0].reason == "perfect"


async def test_every_seed_is_scored_before_the_best_of_them_is_refined() -> None:
    bench = FakeBench()
    seeds = (seed(0), seed(0, 1, 2), seed(1))
    events = await run_fake("iterate", fake_brief(seeds=seeds), bench, UNPROVEN)
    assert [one.parent_id for one in of_kind(events, RoundStarted)][:3] == [one.id for one in seeds]
    assert of_kind(events, CandidateProposed)[3].parent_ids == (seeds[1].id,)


async def test_the_refinement_is_kept_with_what_was_said_about_it() -> None:
    bench = FakeBench()
    events = await unproven(bench)
    child = of_kind(events, CandidateProposed)[1]
    (critique,) = bench.kept[child.candidate_id].critiques
    assert (critique.cause, critique.fix) == ("so it should help", "adds 3 rules")
    assert child.hypothesis == "refine"
    assert set(critique.examples) <= {cell.example_id for cell in bench.asked}


async def test_a_prompt_that_was_tried_before_ends_the_search() -> None:
    events = await unproven(FakeBench(rewriter=lambda ask: Rewrite("the same", dict(ask.inputs["prompts"]))))
    assert of_kind(events, ProposalDropped)[0].reason == "it repeats a known prompt"
    assert len(of_kind(events, CandidateScored)) == 1


async def test_a_refiner_that_goes_silent_later_keeps_what_was_found() -> None:
    def tired(ask: Ask) -> Rewrite | None:
        return idle_rewriter(ask) if "- take care" not in ask.inputs["prompts"]["main"].text else None

    class Rising(FakeWorld):
        def score(self, cell: Any) -> float:
            return 0.2 + 0.1 * cell.candidate.text.count("take care")

    events = await unproven(FakeBench(Rising(), rewriter=tired))
    assert of_kind(events, SearchEnded)[0].reason == "no usable rewrite"
    with pytest.raises(UnusableReplies):
        await unproven(FakeBench(rewriter=garbage))


async def test_a_budget_that_ends_in_the_middle_keeps_the_best_and_one_that_pays_nothing_is_an_error() -> None:
    events = await unproven(FakeBench(FakeWorld(noise=0.3), rewriter=idle_rewriter, calls=100))
    assert of_kind(events, SearchEnded)[0].reason == "calls"
    assert len(of_kind(events, CandidateScored)) == 2
    with pytest.raises(BudgetSpent):
        await unproven(FakeBench(calls=39))


async def test_missing_rows_are_counted_and_not_learned_from() -> None:
    bench = FakeBench(FakeWorld(broken=frozenset({"train-1", "train-2"})))
    events = await unproven(bench)
    assert of_kind(events, CandidateScored)[0].missing == 2
    assert not {row["id"] for ask in bench.asks for row in ask.inputs["failures"]} & {"train-1", "train-2"}


async def test_where_no_row_has_a_score_it_ends_without_a_question() -> None:
    bench = FakeBench(FakeWorld(broken=frozenset(f"train-{n}" for n in range(40))))
    events = await unproven(bench)
    assert bench.asks == []
    assert of_kind(events, SearchEnded)[0].reason == "no failures left"


def test_a_chain_is_refused_before_anything_runs() -> None:
    brief = fake_brief(program=Program((Step("a", "x"), Step("b", "y"))))
    with pytest.raises(ConfigError, match="no chain"):
        build_optimizer("iterate", {}).shape(brief)


@pytest.mark.parametrize(
    ("means", "expected"),
    [
        ([], False),
        ([0.98], True),
        ([0.5, 0.6], False),
        ([0.5, 0.5019], True),
        ([0.6, 0.5985], True),
        ([0.5, 0.498], False),
    ],
)
def test_it_has_converged_where_the_last_mean_is_good_or_hardly_another(means: list[float], expected: bool) -> None:
    assert converged(means, 0.98, 0.0019999) is expected
