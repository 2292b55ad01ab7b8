"""Proposals: which hypotheses are tested, what the rewriter is asked, and which rewrites are refused."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from fake_bench import UNREADABLE, fake_brief, seed_candidate

from promptprop.domain.events import Estimate
from promptprop.domain.models import Answer, Candidate, Critique, Demo, Prompt
from promptprop.domain.selection import FailedRow
from promptprop.optimizers.fixes import Fix
from promptprop.optimizers.propose import (
    QUOTED,
    REMEMBERED,
    Child,
    Draft,
    Plan,
    Request,
    plan_children,
    read_children,
    rewriter_ask,
    tried_lines,
)
from promptprop.roles.rewriter import INSTRUCTIONS, Rewrite

PARENT = seed_candidate(0)


def failed(number: int) -> FailedRow:
    return FailedRow(f"train-{number}", {"text": f"row {number}"}, "a", "b", "wrong")


def fix(number: int) -> Fix:
    return Fix(
        Critique("main", f"cause {number}", f"fix {number}"), (failed(10 * number), failed(10 * number + 1)), 2.0
    )


def kinds_of(
    bundles: int, count: int, seed: int = 0, odds: dict[str, tuple[int, int]] | None = None, *, grown: bool = False
) -> list[str]:
    parts = [[fix(2 * n), fix(2 * n + 1)] for n in range(bundles)]
    failures = [failed(n) for n in range(9)]
    plans = plan_children(random.Random(seed), parts, odds or {}, count, failures, grown=grown)
    return [plan.kind for plan in plans]


def test_each_bundle_of_fixes_has_its_child_and_other_kinds_fill_the_round() -> None:
    assert kinds_of(2, 4)[:2] == ["causes", "causes"]
    assert len(kinds_of(2, 4)) == 4
    assert kinds_of(3, 1) == ["causes"]
    drawn = {kind for seed in range(60) for kind in kinds_of(1, 6, seed)[1:]}
    assert drawn == {"causes", "format", "restart"}


def test_consolidation_waits_until_the_prompt_has_grown() -> None:
    drawn = {kind for seed in range(60) for kind in kinds_of(2, 6, seed)}
    later = {kind for seed in range(60) for kind in kinds_of(2, 6, seed, grown=True)}
    assert "consolidate" not in drawn
    assert "consolidate" in later
    assert later <= set(INSTRUCTIONS)


def test_kinds_that_were_promoted_are_drawn_more_often() -> None:
    odds = {"restart": (18, 20), "format": (0, 20)}
    drawn = Counter(kind for seed in range(200) for kind in kinds_of(2, 6, seed, odds)[2:])
    assert drawn["restart"] > 4 * drawn["format"] > 0


def test_without_critiques_the_children_rest_on_the_failures_alone() -> None:
    plans = plan_children(random.Random(0), [], {}, 3, [failed(n) for n in range(9)], grown=False)
    assert len(plans) == 3
    assert all(plan.critiques == () and len(plan.quoted) == min(9, QUOTED[plan.kind]) for plan in plans)


def test_a_restart_carries_all_fixes_and_a_child_of_causes_its_own() -> None:
    bundles, failures = [[fix(0)], [fix(1)]], [failed(n) for n in range(9)]
    plans = [
        plan for seed in range(30) for plan in plan_children(random.Random(seed), bundles, {}, 4, failures, grown=False)
    ]
    restarts = [plan for plan in plans if plan.kind == "restart"]
    assert restarts
    assert all([one.fix for one in plan.critiques] == ["fix 0", "fix 1"] for plan in restarts)
    assert {plan.critiques[0].fix for plan in plans if plan.kind == "causes"} == {"fix 0", "fix 1"}


def test_what_one_rewrite_cannot_digest_is_left_to_the_next_one() -> None:
    plan = Plan("causes", tuple(fix(n) for n in range(5)))
    parts = [plan.part(turn, 2, last=turn == 1) for turn in range(2)]
    assert [[one.fix for one in part.critiques] for part in parts] == [["fix 0", "fix 1"], ["fix 2", "fix 3", "fix 4"]]
    assert [row.example_id for row in parts[0].quoted] == ["train-0", "train-10", "train-1", "train-11"]
    restart = Plan("restart", plan.fixes, (failed(7),))
    assert [restart.part(turn, 2, last=turn == 1).kind for turn in range(2)] == ["restart", "causes"]
    assert restart.part(0, 2, last=False).quoted == (failed(7),)


def test_the_rewriter_is_told_what_was_tried_and_what_may_be_written() -> None:
    tried = [{"kind": "causes", "hypothesis": f"h{n}", "delta": 0.1, "se": 0.2, "kept": False} for n in range(30)]
    plan = Plan("causes", (fix(0), fix(1)), (failed(0), failed(10)))
    ask = rewriter_ask(
        fake_brief(), PARENT.prompts, Request(plan.kind, plan.critiques, plan.quoted), tried, 900, (), 401
    )
    assert (ask.role, ask.replicate, ask.inputs["longest"], ask.inputs["kind"]) == ("rewriter", 401, 900, "causes")
    assert ask.inputs["tried"] == tried[-REMEMBERED:]
    assert [line["id"] for line in ask.inputs["failures"]] == ["train-0", "train-10"]
    assert [line["fix"] for line in ask.inputs["critiques"]] == ["fix 0", "fix 1"]


def read(
    *texts: str | None, known: set[str] | None = None, inputs: tuple[str, ...] = ()
) -> tuple[list[str], list[str]]:
    plan = Plan("causes", (fix(0),))
    answers = [
        Answer(None, failure=UNREADABLE) if text is None else Answer(Rewrite("", {"main": Prompt.of(text)}))
        for text in texts
    ]
    drafts = [Draft(plan, PARENT.prompts, answer) for answer in answers]
    children, refused = read_children(PARENT, drafts, {PARENT.id}, inputs)
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
    plan = Plan("causes", (fix(3),))
    answers = [Answer(Rewrite("h" * 500, {"main": Prompt.of("one")})), Answer(Rewrite("", {"main": Prompt.of("two")}))]
    said = [("h" * 500,), ()]
    drafts = [Draft(plan, parent.prompts, answer, 77, text) for answer, text in zip(answers, said, strict=True)]
    children, _ = read_children(parent, drafts, set(), [])
    assert [child.candidate.hypothesis.text for child in children] == ["h" * 300, "fix 3"]
    assert {child.candidate.hypothesis.kind for child in children} == {"causes"}
    assert {child.candidate.parents for child in children} == {(parent.id,)}
    assert all(child.candidate.demos == parent.demos and child.tidied == 77 for child in children)


def test_a_child_is_remembered_by_each_of_its_fixes_and_one_without_as_a_whole() -> None:
    good, bad, unmet = fix(0), fix(1), fix(2)
    good.judge({"train-0": 1.0, "train-1": 1.0})
    bad.judge({"train-10": 0.0, "train-11": 0.0})
    of_causes = Child(Plan("causes", (good, bad, unmet)), PARENT)
    lines = tried_lines(of_causes, kept=False)
    assert [(line["hypothesis"], line["delta"], line["kept"]) for line in lines] == [
        ("fix 0", 1.0, True), ("fix 1", 0.0, False),
    ]  # fmt: skip
    whole = Child(Plan("format"), PARENT, delta=Estimate(0.25, 0.05, 0.45, 9))
    (line,) = tried_lines(whole, kept=True)
    assert (line["kind"], line["delta"], line["se"], line["kept"]) == ("format", 0.25, 0.1, True)
