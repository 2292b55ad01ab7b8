"""Rewrites that follow each other, consolidation of what has grown, and what is put back."""

from __future__ import annotations

import pytest
from fake_bench import FakeBench, fake_brief, honest_rewriter, seed_candidate
from hypothesis import given
from hypothesis import strategies as st

from promptprop.domain.models import Ask, Critique, Prompt
from promptprop.optimizers.fixes import Fix
from promptprop.optimizers.options import BackpropOptions
from promptprop.optimizers.propose import Draft, Plan
from promptprop.optimizers.rewriting import Rewriting, with_lost_lines
from promptprop.roles.rewriter import Rewrite

SEED = seed_candidate(0)
PARENT = """You route letters.
- Lost cards always go to the fraud desk.
- Old invoices go to the archive, whoever asks.

Letter: {{ text }}"""


def fixes(count: int) -> tuple[Fix, ...]:
    return tuple(Fix(Critique("main", "c", f"mind [{n}]"), (), 1.0) for n in range(1, count + 1))


async def drafts_of(bench: FakeBench, *plans: Plan, size: int = 2, tidied: int = 0, **options: object) -> list[Draft]:
    bench.hold(1, 1)
    known = BackpropOptions(**{"grown": 100.0, **options})  # type: ignore[arg-type]
    rewriting = Rewriting(bench, fake_brief(), known, [], 5000, 3, size)
    return await rewriting.write(SEED, plans, tidied or SEED.length)


async def test_what_one_rewrite_cannot_digest_is_added_by_the_next_and_the_last_takes_the_rest() -> None:
    bench = FakeBench()
    (draft,) = await drafts_of(bench, Plan("causes", fixes(5)), size=2, passes=2)
    assert [[one["fix"] for one in ask.inputs["critiques"]] for ask in bench.asks] == [
        ["mind [1]", "mind [2]"],
        ["mind [3]", "mind [4]", "mind [5]"],
    ]
    assert all(f"mind [{n}]" in draft.prompts["main"].text for n in range(1, 6))
    assert bench.asks[1].inputs["prompts"]["main"].text != SEED.text, "the second builds on the first"


async def test_equal_questions_are_told_apart() -> None:
    bench = FakeBench()
    await drafts_of(bench, Plan("format"), Plan("format"), Plan("causes", fixes(3)))
    assert [ask.replicate for ask in bench.asks] == [300, 301, 302, 322]


async def test_a_later_rewrite_that_fails_leaves_what_was_written_before() -> None:
    bench = FakeBench(rewriter=lambda ask: honest_rewriter(ask) if ask.replicate < 320 else None)
    (draft,) = await drafts_of(bench, Plan("causes", fixes(4)))
    assert draft.answer.value is not None
    assert "mind [2]" in draft.prompts["main"].text
    (failed,) = await drafts_of(FakeBench(rewriter=lambda _: None), Plan("causes", fixes(4)))
    assert failed.answer.value is None
    assert failed.answer.failure is not None


async def test_a_draft_that_has_grown_is_consolidated_before_it_meets_a_row() -> None:
    def rewriter(ask: Ask) -> Rewrite:
        if ask.inputs["kind"] == "consolidate":
            return Rewrite("shorter", {"main": Prompt.of("Answer {{ text }}. [1]")})
        return honest_rewriter(ask)

    bench = FakeBench(rewriter=rewriter)
    (draft,) = await drafts_of(bench, Plan("causes", fixes(2)), grown=1.2)
    assert [ask.inputs["kind"] for ask in bench.asks] == ["causes", "consolidate"]
    assert draft.prompts["main"].text == "Answer {{ text }}. [1]"
    assert draft.tidied == len("Answer {{ text }}. [1]")
    assert draft.said == ("adds 2 rules", "Then shortened.")
    (longer,) = await drafts_of(bench, Plan("causes", fixes(2)), grown=1.2, tidied=500)
    assert longer.tidied == 500


async def test_lost_lines_are_put_back_in_rewrites_that_add_and_only_there() -> None:
    forgetful = Rewrite("h", {"main": Prompt.of("Answer {{ text }}.")})
    parent = seed_candidate(0)
    long = parent.text + "\n- Lost cards always go to the fraud desk."
    bench = FakeBench(rewriter=lambda _: forgetful)
    bench.hold(1, 1)
    start = type(parent)({"main": Prompt.of(long)})
    for restore, kind, kept in ((True, "causes", True), (True, "restart", False), (False, "causes", False)):
        rewriting = Rewriting(bench, fake_brief(), BackpropOptions(restore=restore, grown=100), [], 5000, 3, 2)
        (draft,) = await rewriting.write(start, [Plan(kind)], 1000)
        assert ("fraud desk" in draft.prompts["main"].text) is kept
    (short,) = await Rewriting(bench, fake_brief(), BackpropOptions(), [], 40, 3, 2).write(start, [Plan("causes")], 99)
    assert "fraud desk" not in short.prompts["main"].text, "never beyond the longest that is allowed"


def test_a_line_that_was_dropped_without_a_word_stands_where_it_stood() -> None:
    text = PARENT.replace("- Lost cards always go to the fraud desk.\n", "").replace(
        "- Old", "- New rule first.\n- Old"
    )
    lines = with_lost_lines(PARENT, text, []).split("\n")
    assert lines[:3] == ["You route letters.", "- Lost cards always go to the fraud desk.", "- New rule first."]


@pytest.mark.parametrize(
    ("line", "critique"),
    [
        ("- A lost card goes to fraud always: lost cards, fraud desk.", ""),
        ("", "The rule that lost cards always go to the fraud desk is wrong."),
    ],
)
def test_what_was_reworded_or_dropped_on_purpose_stays_out(line: str, critique: str) -> None:
    text = PARENT.replace("- Lost cards always go to the fraud desk.", line)
    critiques = [Critique("main", critique, "")] if critique else []
    assert with_lost_lines(PARENT, text, critiques) == text


def test_a_line_with_another_number_or_code_says_something_else() -> None:
    parent = "Sort {{ text }}\n- A pallet with matter k17 goes to customs."
    rewrite = "Sort {{ text }}\n- A pallet with matter k24 goes to customs."
    assert with_lost_lines(parent, rewrite, []).count("- A pallet") == 2


@given(st.lists(st.sampled_from(PARENT.split("\n")), max_size=6).map("\n".join))
def test_putting_back_repeats_nothing_and_is_done_once(text: str) -> None:
    whole = with_lost_lines(PARENT, text, [])
    assert with_lost_lines(PARENT, whole, []) == whole
    assert [line for line in whole.split("\n") if line in text.split("\n")] == text.split("\n")
    assert "Old invoices go to the archive" in whole
