"""A check in words: the sentence of a verdict, and a row's inputs on one line."""

from __future__ import annotations

import pytest

from promptprop.adapters.files.gate_words import change_words, row_words, verdict_words
from tests.fixtures.gate_documents import change

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


def test_a_changed_line_is_told_with_its_place_where_that_is_known() -> None:
    assert change_words(change("  Be brief.", "+", 7)) == "prompts/router.md:7 added: Be brief."
    assert change_words(change(line=0)) == "prompts/router.md removed: - refunds go to returns"


def test_the_inputs_of_a_row_take_one_short_line() -> None:
    assert row_words({"a": "one\n two", "b": [1]}) == "one two [1]"
    assert len(row_words({"text": "y" * 5000})) <= 161
