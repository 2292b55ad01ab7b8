"""Merges: who is a partner, and what of both sides stays."""

from __future__ import annotations

from fake_bench import FakeBench, FakeWorld, fake_brief, run_fake, seed_candidate

from promptprop.domain.events import CandidateProposed, CandidateRaced
from promptprop.domain.models import Candidate, Prompt
from promptprop.domain.selection import Belief, FailedRow
from promptprop.optimizers.archive import Archive
from promptprop.optimizers.merge import merge_plan, merged_texts
from promptprop.optimizers.scores import Scores

SEED = seed_candidate(0)
BRIEF = fake_brief()


def line(text: str, parent: Candidate = SEED) -> Candidate:
    return Candidate({"main": Prompt.of(text)}, parents=(parent.id,))


def with_rules(*rules: int, parent: Candidate = SEED) -> Candidate:
    return line("\n".join([SEED.text, *(f"- mind [{rule}]" for rule in rules)]), parent)


def archive_of(*members: Candidate) -> Archive:
    archive = Archive(SEED)
    for one in members:
        archive.know(one)
        archive.add(one, SEED, Belief(0.1, 0.1), one.length)
    archive.know(SEED)
    return archive


async def scored(*candidates: Candidate) -> Scores:
    scores, bench = Scores(), FakeBench(FakeWorld())
    bench.hold(1, 1)
    await scores.fill(bench, candidates, BRIEF.select)
    return scores


async def test_the_partner_that_wins_most_rows_of_its_own_is_merged_into_the_parent() -> None:
    parent, one, two = with_rules(1), with_rules(2), with_rules(2, 3)
    archive, scores = archive_of(parent, one, two), await scored(SEED, parent, one, two)
    plan = merge_plan(archive, scores, parent, BRIEF.select, [])
    assert plan is not None
    assert (plan.kind, plan.partner) == ("merge", two.id)
    assert plan.texts is not None
    text = plan.texts["main"].text
    assert all(f"[{rule}]" in text for rule in (0, 1, 2, 3))
    assert two.id[:8] in plan.said


async def test_nobody_of_the_parents_own_line_and_nobody_who_wins_nothing_is_a_partner() -> None:
    parent = with_rules(1, 2)
    child, worse = with_rules(1, 2, 3, parent=parent), with_rules(1)
    archive, scores = archive_of(parent, child, worse), await scored(SEED, parent, child, worse)
    assert merge_plan(archive, scores, parent, BRIEF.select, []) is None
    assert merge_plan(archive, scores, child, BRIEF.select, []) is None, "its parent is on its line"


async def test_failures_that_the_partner_answers_are_what_the_child_is_screened_on() -> None:
    parent, partner = with_rules(1), with_rules(2)
    archive, scores = archive_of(parent, partner), await scored(SEED, parent, partner)
    bench = FakeBench(FakeWorld())
    bench.hold(1, 1)
    await scores.fill(bench, [partner], BRIEF.train)
    failures = [FailedRow(f"train-{n}", {}, f"[{n % 4}]", "", "", 1.0) for n in range(12) if n % 4 in (2, 3)]
    plan = merge_plan(archive, scores, parent, [*BRIEF.train, *BRIEF.select], failures)
    assert plan is not None
    assert [row.example_id for row in plan.own] == ["train-2", "train-6", "train-10"]


def test_a_step_that_one_side_changed_is_taken_from_there() -> None:
    def chain(one: str, two: str) -> Candidate:
        return Candidate({"one": Prompt.of(f"{one} {{{{ text }}}}"), "two": Prompt.of(f"{two} {{{{ facts }}}}")})

    common, parent, partner = chain("a", "b"), chain("a, with care", "b"), chain("a", "b, and only b")
    merged = merged_texts(common, parent, partner)
    assert merged["one"] == parent.prompts["one"]
    assert merged["two"] == partner.prompts["two"]


def test_what_the_parent_dropped_stays_dropped_and_what_the_partner_added_comes_in() -> None:
    common = line("Sort {{ text }}\n- Old bills always go to archive.\n- Lost cards go to the fraud desk.")
    parent = line("Sort {{ text }}\n- Lost cards go to the fraud desk.\n- Answer with one word.")
    partner = line(
        "Sort {{ text }}\n- Old bills always go to archive.\n- Lost cards go to the fraud desk.\n- Gifts go to care."
    )
    text = merged_texts(common, parent, partner)["main"].text
    assert "Old bills" not in text
    assert "Gifts go to care." in text
    assert "Answer with one word." in text
    assert text.count("Lost cards") == 1


def test_without_a_common_ancestor_the_partners_lines_are_added() -> None:
    parent, partner = line("Sort {{ text }}\n- Be brief, please."), line("Sort {{ text }}\n- Gifts go to care.")
    assert merged_texts(None, parent, partner)["main"].text.count("- ") == 2


async def test_a_merge_names_both_of_its_parents() -> None:
    world = FakeWorld(rules=8, noise=0.25, luck=0.25)
    for seed in range(12):
        events = await run_fake(
            "backprop", fake_brief(seed=seed), FakeBench(world), {"widen": 6, "patience": 20, "rounds": 40, "bundle": 1}
        )
        merges = [one for one in events if isinstance(one, CandidateProposed) and one.hypothesis == "merge"]
        if merges:
            assert len(set(merges[0].parent_ids)) == 2
            raced = {one.candidate_id for one in events if isinstance(one, CandidateRaced)}
            assert set(merges[0].parent_ids) - {SEED.id} <= raced
            return
    raise AssertionError("no run of twelve came to a merge")
