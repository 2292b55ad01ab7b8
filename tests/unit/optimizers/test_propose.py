"""Proposals: which hypotheses are tested, what the rewriter is asked, and which rewrites are refused."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from fake_bench import UNREADABLE, fake_brief, seed_candidate

from promptprop.domain.models import Answer, Candidate, Critique, Demo, Prompt
from promptprop.domain.selection import FailedRow
from promptprop.optimizers.evidence import Evidence
from promptprop.optimizers.propose import (
    QUOTED,
    REMEMBERED,
    Plan,
    plan_children,
    read_children,
    rewriter_asks,
)
from promptprop.optimizers.search import Round
from promptprop.roles.rewriter import INSTRUCTIONS, Rewrite

PARENT = seed_candidate(0)


def failed(number: int) -> FailedRow:
    return FailedRow(f"train-{number}", {"text": f"row {number}"}, "a", "b", "wrong")


def round_of(clusters: int, parent: Candidate = PARENT, critics: bool = True) -> Round:
    groups = [[failed(10 * n), failed(10 * n + 1)] for n in range(clusters)]
    now = Round(parent, Evidence([row for group in groups for row in group]))
    if critics:
        now.clusters = groups
        now.critiques = [(Critique("main", f"cause {n}", f"fix {n}"),) for n in range(clusters)]
    return now


def kinds_of(now: Round, count: int, seed: int = 0, odds: dict[str, tuple[int, int]] | None = None) -> list[str]:
    return [plan.kind for plan in plan_children(random.Random(seed), now, odds or {}, count, PARENT.length)]


def test_the_top_cause_and_all_causes_come_first() -> None:
    assert kinds_of(round_of(3), 4)[:2] == ["cause", "causes"]
    assert len(kinds_of(round_of(3), 4)) == 4
    assert kinds_of(round_of(3), 1) == ["cause"]
    assert kinds_of(round_of(1), 3)[0] == "cause"


def test_each_further_child_of_one_cause_takes_the_next_cluster() -> None:
    plans = plan_children(random.Random(0), round_of(2), {"cause": (50, 50)}, 12, PARENT.length)
    causes = [plan for plan in plans if plan.kind == "cause"]
    assert [plan.critiques[0].cause for plan in causes[:3]] == ["cause 0", "cause 1", "cause 0"]
    assert [row.example_id for row in causes[1].cluster] == ["train-10", "train-11"]


def test_consolidation_waits_until_the_prompt_has_grown() -> None:
    grown = Candidate({"main": Prompt.of(PARENT.text + "\n- more" * 20)})
    drawn = {kind for seed in range(60) for kind in kinds_of(round_of(2), 6, seed)}
    later = {kind for seed in range(60) for kind in kinds_of(round_of(2, grown), 6, seed)}
    assert "consolidate" not in drawn
    assert "consolidate" in later
    assert later <= set(QUOTED) == set(INSTRUCTIONS)


def test_kinds_that_were_promoted_are_drawn_more_often() -> None:
    odds = {"restart": (18, 20), "format": (0, 20)}
    drawn = Counter(kind for seed in range(200) for kind in kinds_of(round_of(2), 6, seed, odds)[2:])
    assert drawn["restart"] > 4 * drawn["format"] > 0


def test_without_critiques_the_children_rest_on_the_failures_alone() -> None:
    plans = plan_children(random.Random(0), round_of(2, critics=False), {}, 3, PARENT.length)
    assert all(plan.critiques == () and plan.cluster == () for plan in plans)
    (ask, *_) = rewriter_asks(fake_brief(), round_of(2, critics=False), plans, [], 900, 1)
    assert ask.inputs["failures"]


def test_the_rewriter_is_told_what_was_tried_and_equal_plans_are_told_apart() -> None:
    now = round_of(3)
    tried = [{"kind": "cause", "hypothesis": f"h{n}", "delta": 0.1, "se": 0.2, "kept": False} for n in range(30)]
    plans = [Plan("causes", (), ()), Plan("causes", (), ()), Plan("cause", now.critiques[1], tuple(now.clusters[1]))]
    asks = rewriter_asks(fake_brief(), now, plans, tried, 900, 4)
    assert [ask.replicate for ask in asks] == [400, 401, 402]
    assert asks[0].inputs["tried"] == tried[-REMEMBERED:]
    assert asks[0].inputs["longest"] == 900
    assert [line["id"] for line in asks[0].inputs["failures"]][:4] == ["train-0", "train-10", "train-20", "train-1"]
    assert [line["id"] for line in asks[2].inputs["failures"]] == ["train-10", "train-11"]


def read(
    *texts: str | None, known: set[str] | None = None, inputs: tuple[str, ...] = ()
) -> tuple[list[str], list[str]]:
    plans = [Plan("cause", (Critique("main", "c", "the fix"),), ()) for _ in texts]
    answers = [
        Answer(None, failure=UNREADABLE) if text is None else Answer(Rewrite("", {"main": Prompt.of(text)}))
        for text in texts
    ]
    children, refused = read_children(PARENT, plans, answers, {PARENT.id}, inputs)
    return [child.candidate.text for child in children], [reason for _, reason in refused]


def test_a_reply_that_cannot_be_read_is_refused_with_its_reason() -> None:
    assert read(None) == ([], [UNREADABLE.message])


def test_a_known_prompt_and_a_repeated_one_are_refused() -> None:
    assert read(PARENT.text, "new", "new") == (["new"], ["it repeats a known prompt"] * 2)


@pytest.mark.parametrize("lead", ["", "A rule. "])
def test_a_prompt_that_carries_a_row_verbatim_is_refused(lead: str) -> None:
    row = " ".join(f"word{n}" for n in range(40))
    texts, reasons = read(f"{lead}For example: {row}", "clean", inputs=(row,))
    assert texts == ["clean"]
    assert "copies a row verbatim: “word0 word1" in reasons[0]


def test_what_the_parent_says_already_and_short_inputs_are_no_copy() -> None:
    assert read(f"{PARENT.text} and more", inputs=("Answer", PARENT.text + " " * 60))[1] == []


def test_a_child_knows_its_parent_and_the_hypothesis_that_made_it() -> None:
    parent = Candidate(PARENT.prompts, demos=(Demo("d", {"text": "x"}, "y"),))
    plan = Plan("cause", (Critique("main", "c", "the fix"),), ())
    answers = [Answer(Rewrite("h" * 500, {"main": Prompt.of("one")})), Answer(Rewrite("", {"main": Prompt.of("two")}))]
    children, _ = read_children(parent, [plan, plan], answers, set(), [])
    assert [child.candidate.hypothesis.text for child in children] == ["h" * 300, "the fix"]
    assert {child.candidate.hypothesis.kind for child in children} == {"cause"}
    assert {child.candidate.parents for child in children} == {(parent.id,)}
    assert all(child.candidate.demos == parent.demos for child in children)
