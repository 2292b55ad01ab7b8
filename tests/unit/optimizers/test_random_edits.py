"""`random`: blind edits that keep a prompt usable, and a climb that keeps the better one."""

from __future__ import annotations

import random

from fake_bench import FakeBench, FakeWorld, fake_brief, of_kind, run_fake, seed_candidate
from hypothesis import given
from hypothesis import strategies as st

from promptprop.domain.events import CandidateRaced, RoundEnded
from promptprop.domain.models import Candidate, Prompt
from promptprop.optimizers.random_edits import ADVICE, RandomOptions, edited
from promptprop.roles.template import prompt_variables

LINES = [
    "You route letters.",
    "- Lost cards go to fraud.",
    "",
    "Letter: {{ text }}",
    "### user",
    "{% if text %}x{% endif %}",
]


@given(st.lists(st.sampled_from(LINES[:3]), max_size=5), st.integers())
def test_an_edit_makes_a_new_prompt_with_the_same_placeholders(lines: list[str], seed: int) -> None:
    parent = Candidate({"main": Prompt.of("\n".join([*lines, "Letter: {{ text }}"]))})
    child = edited(random.Random(seed), parent, fake_brief(), FakeBench(), {parent.id}, RandomOptions())
    assert child is not None
    assert child.id != parent.id
    assert prompt_variables(child.prompts["main"]) == {"text"}
    assert child.parents == (parent.id,)


def test_each_edit_is_drawn_and_does_what_it_says() -> None:
    parent = Candidate({"main": Prompt.of("\n".join(LINES[:4]))})
    kinds: dict[str, str] = {}
    for seed in range(200):
        child = edited(random.Random(seed), parent, fake_brief(), FakeBench(), {parent.id}, RandomOptions())
        assert child is not None
        kinds[child.hypothesis.kind] = child.text
    assert set(kinds) == {"remove", "repeat", "move", "advice", "example"}
    assert len(kinds["remove"].splitlines()) < len(LINES[:4])
    assert any(advice in kinds["advice"] for advice in ADVICE)
    assert "Example: train-" in kinds["example"]


async def test_what_scores_no_better_on_the_same_rows_is_dropped() -> None:
    bench = FakeBench(FakeWorld(rules=6))
    events = await run_fake("random", fake_brief(), bench, {"edits": 25, "rows": 9})
    for raced in of_kind(events, CandidateRaced):
        assert (raced.outcome == "promoted") is (raced.delta.mean > 0)
        assert raced.delta.n == 9
    assert of_kind(events, RoundEnded)[-1].score.mean > 0.2
    assert bench.asks == []


async def test_a_prompt_that_cannot_be_edited_anew_ends_the_climb() -> None:
    events = await run_fake("random", fake_brief(train=1), FakeBench(), {"edits": 300, "longest": 200})
    assert seed_candidate(0).length < 200
    assert any(getattr(event, "reason", "") == "no edit is left" for event in events)
