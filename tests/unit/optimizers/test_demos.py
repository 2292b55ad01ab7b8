"""Demos: which right answers are shown, in which order, and where none are."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from fake_bench import FakeBench, fake_brief, run_fake, seed_candidate

from promptprop.domain.events import CandidateProposed, CandidateScreened
from promptprop.domain.models import Candidate, Prompt, demo_block
from promptprop.domain.selection import FailedRow
from promptprop.optimizers.demos import LONGEST_ANSWER, SIZES, demo_plan

PARENT, SEED = seed_candidate(0, 1), seed_candidate(0)


def row(number: int, label: str, text: str = "row") -> FailedRow:
    return FailedRow(f"train-{number}", {"text": f"{text} {number}"}, label, label, "", 0.0)


PASSED = [row(number, "abc"[number % 3]) for number in range(30)]


def test_no_answer_is_shown_much_oftener_than_another_and_what_failures_lack_comes_first() -> None:
    failures = [row(100, "c"), row(101, "c")]
    for seed in range(30):
        plan = demo_plan(random.Random(seed), PARENT, SEED, failures, PASSED, 5000)
        assert plan is not None
        assert plan.demos is not None
        shown = Counter(demo.output for demo in plan.demos)
        assert len(plan.demos) in SIZES
        assert shown["c"] >= 1
        assert max(shown.values()) - min(shown.values()) <= 1


def test_subsets_orders_and_the_words_around_them_differ() -> None:
    plans = [demo_plan(random.Random(seed), PARENT, SEED, [], PASSED, 5000) for seed in range(60)]
    found = [plan for plan in plans if plan is not None]
    assert len({tuple(demo.example_id for demo in plan.demos or ()) for plan in found}) > 50
    assert {len(plan.demos or ()) for plan in found} == set(SIZES)
    assert {plan.texts == SEED.prompts for plan in found} == {True, False}


@pytest.mark.parametrize(
    ("successes", "longest"),
    [([], 5000), (PASSED[:1], 5000), (PASSED, 40), ([row(n, "a" * (LONGEST_ANSWER + 1)) for n in range(9)], 5000),
     ([row(n, "a", "{{ sneaky }}") for n in range(9)], 5000)],
)  # fmt: skip
def test_where_nothing_fits_there_is_no_plan(successes: list[FailedRow], longest: int) -> None:
    assert demo_plan(random.Random(1), PARENT, SEED, [], successes, longest) is None


def test_a_chain_shows_no_demos() -> None:
    chain = Candidate({"one": Prompt.of("{{ text }}"), "two": Prompt.of("{{ facts }}")})
    assert demo_plan(random.Random(1), chain, chain, [], PASSED, 5000) is None


async def test_a_child_with_demos_is_not_screened_on_the_rows_that_it_shows() -> None:
    bench = FakeBench()
    events = await run_fake("backprop", fake_brief(), bench, {"children": 8, "rounds": 6, "passes": 1})
    proposed = {
        event.candidate_id for event in events if isinstance(event, CandidateProposed) and event.hypothesis == "demos"
    }
    screened = {event.candidate_id for event in events if isinstance(event, CandidateScreened)}
    assert proposed & screened
    for cell in bench.search_cells:
        assert cell.example_id not in {demo.example_id for demo in cell.candidate.demos}
    shown = next(cell.candidate for cell in bench.search_cells if cell.candidate.demos)
    assert shown.text.startswith(demo_block(shown.demos))
    assert shown.length == len(shown.text)
