"""A check in words, and as Markdown that fits into a comment."""

from __future__ import annotations

from typing import Any

import pytest

from promptprop.adapters.files.gate_words import LONGEST, MARKER, gate_markdown, row_words, verdict_words

FIGURES = {"label": {"mean": -0.04, "lower": -0.09, "upper": 0.01}}


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        ("PASS", "PASS: the candidate is not worse by 5 points (label -4.0 points"),
        ("FAIL", "FAIL: the candidate is worse than the baseline"),
        ("INCONCLUSIVE", "the rows do not tell whether the candidate is worse by 5 points"),
    ],
)
def test_each_verdict_is_a_sentence_with_its_figures(verdict: str, said: str) -> None:
    assert said in verdict_words(verdict, 0.05, FIGURES, ())


def test_critical_rows_and_an_unchanged_prompt_have_words_of_their_own() -> None:
    assert verdict_words("FAIL", 0.05, {}, ("r1", "r2")) == "FAIL: 2 critical rows did not pass: r1, r2"
    assert "nothing was asked" in verdict_words("PASS", 0.05, {}, ())


def flip(number: int, length: int = 10) -> dict[str, Any]:
    return {
        "row": f"r|{number}", "before": 1.0, "after": 0.0, "inputs": {"text": "a\n<b>|" + "x" * length},
        "expected": ["yes"], "candidate_answer": "no\n" * length, "said": "label: expected yes",
    }  # fmt: skip


def test_the_markdown_names_its_check_and_keeps_cells_in_their_table() -> None:
    text = gate_markdown("router", "FAIL: <worse>", [("rows", "10")], [flip(n) for n in range(30)], 2, "-a\n+b")
    assert text.startswith(MARKER.format(name="router"))
    table = [line for line in text.splitlines() if line.startswith("| r")]
    assert len(table) == 21, "a head and twenty rows"
    assert all(line.replace("\\|", "").count("|") == 7 for line in table)
    assert "&lt;worse>" in text
    assert "````diff\n-a\n+b\n````" in text
    assert "2 rows better." in text


def test_it_fits_into_a_comment_whatever_the_prompts_and_rows_are() -> None:
    long = gate_markdown("router", "FAIL", [], [flip(n, 5000) for n in range(400)], 0, "x\n" * 60_000)
    assert len(long) <= LONGEST
    assert "| row |" in long
    assert "````" not in long
    assert len(row_words({"text": "y" * 5000})) <= 161
