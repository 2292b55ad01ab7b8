"""What every optimizer must keep to, whatever its strategy: one suite, run on each of the registry."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from fake_bench import (
    FakeBench,
    FakeWorld,
    FickleWorld,
    fake_brief,
    garbage,
    honest_rewriter,
    idle_rewriter,
    run_fake,
    seed_candidate,
)

from promptprop.domain.errors import BudgetSpent, UnusableReplies
from promptprop.domain.events import (
    CandidateConfirmed,
    CandidateProposed,
    CandidateScored,
    Event,
    SearchEnded,
    WinnerTested,
    body_of,
)
from promptprop.domain.models import Ask, Cell, canonical
from promptprop.optimizers.registry import OPTIMIZERS, build_optimizer
from promptprop.roles.rewriter import Rewrite

NAMES = sorted(OPTIMIZERS)
NOISY = FakeWorld(rules=6, noise=0.1, luck=0.1)
every_optimizer = pytest.mark.parametrize("name", NAMES)
all_that_ask_roles = pytest.mark.parametrize("name", [name for name in NAMES if name != "random"])


class EasyTrain(FakeWorld):
    """Every train row is right, and no other."""

    def score(self, cell: Cell) -> float:
        return float(cell.example_id.startswith("train"))


def claim_of(events: list[Event]) -> WinnerTested:
    (claim,) = [event for event in events if isinstance(event, WinnerTested)]
    return claim


def ended(events: list[Event]) -> SearchEnded:
    (end,) = [event for event in events if isinstance(event, SearchEnded)]
    return end


@every_optimizer
async def test_it_finds_what_there_is_to_gain_and_proves_it(name: str) -> None:
    events = await run_fake(name, fake_brief(), FakeBench())
    assert claim_of(events).verdict == "better"
    assert claim_of(events).winner.mean > 0.9
    assert claim_of(events).seed.mean == 0.25


@every_optimizer
async def test_it_decides_the_same_again_with_the_same_seed_and_answers(name: str) -> None:
    first, second = [await run_fake(name, fake_brief(), FakeBench(NOISY)) for _ in range(2)]
    assert [(one.kind, canonical(body_of(one))) for one in first] == [
        (one.kind, canonical(body_of(one))) for one in second
    ]


@every_optimizer
async def test_confirm_and_test_rows_stay_unseen_until_the_search_has_ended(name: str) -> None:
    bench = FakeBench(NOISY)
    await run_fake(name, fake_brief(), bench)
    assert {cell.example_id.partition("-")[0] for cell in bench.search_cells} <= {"train", "select"}
    if name == "random":
        assert bench.asks == []
        return
    said = "\n".join(str(value) for ask in bench.asks for value in ask.inputs.values())
    shown = re.findall(r"\b(train|select|confirm|test)-\d+", said)
    assert set(shown) == {"train"}, "select rows are for choosing, not for learning"


@every_optimizer
async def test_the_claim_is_made_once_and_last(name: str) -> None:
    events = await run_fake(name, fake_brief(), FakeBench(NOISY))
    assert events[-1] is claim_of(events)
    claims = [event for event in events if isinstance(event, CandidateConfirmed | WinnerTested)]
    assert events.index(ended(events)) < events.index(claims[0])


@every_optimizer
async def test_seed_and_winner_meet_each_test_row_once(name: str) -> None:
    bench = FakeBench()
    events = await run_fake(name, fake_brief(), bench)
    met = Counter((cell.candidate.id, cell.example_id) for cell in bench.asked if cell.example_id.startswith("test"))
    assert set(met.values()) == {1}
    assert {candidate for candidate, _ in met} == {claim_of(events).seed_id, claim_of(events).winner_id}


@every_optimizer
async def test_a_perfect_seed_stops_at_once_and_is_reported_as_unchanged(name: str) -> None:
    bench = FakeBench()
    events = await run_fake(name, fake_brief(seeds=(seed_candidate(0, 1, 2, 3),)), bench)
    assert claim_of(events).verdict == "unchanged"
    assert claim_of(events).winner_id == claim_of(events).seed_id
    assert bench.asks == []
    assert sum(1 for cell in bench.asked if cell.example_id.startswith("test")) == 24
    assert ended(events).round == 0


@all_that_ask_roles
async def test_a_rewriter_that_answers_garbage_is_called_unusable(name: str) -> None:
    bench = FakeBench(rewriter=garbage)
    with pytest.raises(UnusableReplies) as unusable:
        await run_fake(name, fake_brief(), bench)
    assert unusable.value.exit_code == 4
    assert len(bench.asks) <= 40
    assert not any(cell.example_id.startswith(("test", "confirm")) for cell in bench.asked)


@every_optimizer
async def test_a_rewriter_that_goes_silent_after_a_gain_does_not_cost_that_gain(name: str) -> None:
    def tired(ask: Ask) -> Rewrite | None:
        return honest_rewriter(ask) if ask.inputs["prompts"]["main"].text.count("\n") == 0 else None

    events = await run_fake(name, fake_brief(), FakeBench(FakeWorld(rules=12), rewriter=tired))
    assert claim_of(events).winner_id != claim_of(events).seed_id


@every_optimizer
async def test_critics_that_answer_garbage_do_not_end_the_run(name: str) -> None:
    events = await run_fake(name, fake_brief(), FakeBench(critic=garbage))
    assert claim_of(events).verdict in {"unchanged", "no proven gain", "better"}


@pytest.mark.no_cover
@every_optimizer
async def test_where_there_is_nothing_to_gain_a_gain_is_rarely_claimed(name: str) -> None:
    """A sample of the campaign of null claims."""
    verdicts: Counter[str] = Counter()
    for seed in range(30):
        bench = FakeBench(FickleWorld(seed=seed), rewriter=idle_rewriter)
        verdicts[claim_of(await run_fake(name, fake_brief(seed=seed), bench)).verdict] += 1
    assert sum(verdicts.values()) == 30
    assert verdicts["better"] <= 2, verdicts


@pytest.mark.no_cover
@every_optimizer
@pytest.mark.parametrize("search", [0, 3, 20, 45, 60, 80, 100, 130, 170, 220, 300, 420])
async def test_wherever_the_budget_cuts_the_search_finish_is_paid_from_what_was_held(name: str, search: int) -> None:
    brief = fake_brief()
    finish = build_optimizer(name, {}).shape(brief).finish
    bench = FakeBench(NOISY, calls=finish + search)
    events = await run_fake(name, brief, bench)
    assert bench.used <= finish + search
    assert len(bench.asked) - len(bench.search_cells) <= finish, "FINISH is bounded by what `shape` says"
    assert bench.held[0][0] == finish
    assert bench.held[-1] == (0, 0)
    if ended(events).reason == "calls":
        assert claim_of(events).verdict in {"better", "no proven gain", "worse", "unchanged"}


@every_optimizer
async def test_a_finish_that_cannot_be_paid_leaves_the_test_sealed(name: str) -> None:
    bench = FakeBench(calls=20)
    with pytest.raises(BudgetSpent, match="calls"):
        await run_fake(name, fake_brief(), bench)
    assert not any(cell.example_id.startswith("test") for cell in bench.asked)


@every_optimizer
async def test_what_is_held_covers_the_longest_prompt_that_finish_may_pay(name: str) -> None:
    bench = FakeBench(NOISY)
    await run_fake(name, fake_brief(), bench)
    paid = [cell.candidate.length for cell in bench.asked[len(bench.search_cells) :]]
    assert max(paid) <= bench.held[-2][1]


@every_optimizer
async def test_every_candidate_that_an_event_names_is_kept_first(name: str) -> None:
    bench = FakeBench(NOISY)
    kept: set[str] = set()
    async for event in build_optimizer(name, {}).run(fake_brief(), bench):
        kept |= set(bench.kept)
        body = body_of(event)
        ids = {body[name] for name in ("candidate_id", "parent_id", "best_id", "winner_id") if name in body}
        assert ids <= kept


@every_optimizer
@pytest.mark.parametrize(
    "sizes",
    [{"confirm": 0}, {"select": 1}, {"select": 1, "confirm": 0}, {"train": 1}, {"test": 1}, {"train": 3, "select": 2}],
    ids=str,
)
async def test_few_rows_of_a_kind_still_come_to_an_end(name: str, sizes: dict[str, int]) -> None:
    events = await run_fake(name, fake_brief(**sizes), FakeBench(NOISY))
    assert claim_of(events).missing == 0
    assert ended(events).reason


@every_optimizer
async def test_repeated_seeds_count_once(name: str) -> None:
    seeds = (seed_candidate(0), seed_candidate(0), seed_candidate(1, 2), seed_candidate(1, 2))
    bench = FakeBench()
    events = await run_fake(name, fake_brief(seeds=seeds), bench)
    proposed = [event.candidate_id for event in events if isinstance(event, CandidateProposed) and event.round == 0]
    assert proposed == [seeds[0].id, seeds[2].id]
    assert claim_of(events).seed_id == seeds[0].id


@every_optimizer
async def test_rows_without_a_score_are_missing_and_counted(name: str) -> None:
    broken = frozenset({"train-1", "select-2", "select-3", "confirm-1", "test-5", "test-6", "test-7"})
    bench = FakeBench(FakeWorld(broken=broken))
    events = await run_fake(name, fake_brief(), bench)
    scored = [event for event in events if isinstance(event, CandidateScored) and event.split == "select"]
    last = {event.candidate_id: event for event in scored}
    met = {one: {cell.example_id for cell in bench.asked if cell.candidate.id == one} for one in last}
    select = {one: {row for row in rows if row.startswith("select")} for one, rows in met.items()}
    assert claim_of(events).missing == 3
    assert claim_of(events).delta.n == 21
    assert {one: event.missing for one, event in last.items()} == {
        one: len(rows & broken) for one, rows in select.items()
    }
    assert {one: event.score.n for one, event in last.items()} == {
        one: len(rows - broken) for one, rows in select.items()
    }


@every_optimizer
async def test_where_no_row_has_a_score_nothing_is_claimed(name: str) -> None:
    everything = frozenset(f"{split}-{n}" for split in ("train", "select", "confirm", "test") for n in range(60))
    events = await run_fake(name, fake_brief(), FakeBench(FakeWorld(broken=everything)))
    assert claim_of(events).verdict == "unchanged"
    assert claim_of(events).missing == 24
    assert claim_of(events).winner.n == 0


@all_that_ask_roles
async def test_a_seed_that_fails_on_select_alone_teaches_nothing(name: str) -> None:
    bench = FakeBench(EasyTrain())
    events = await run_fake(name, fake_brief(), bench)
    assert bench.asks == []
    assert ended(events).reason == "no failures left"
    assert claim_of(events).verdict == "unchanged"
