"""A check in words: the sentence of a verdict, and a row's inputs on one line."""

from __future__ import annotations

import pytest

from promptprop.adapters.files.gate_words import change_words, got_better, row_head, row_lines, row_words, verdict_words
from tests.fixtures.gate_documents import change, critical, flip, missing

FIGURES = {"label": {"mean": -0.04, "lower": -0.09, "upper": 0.01, "rows": 10}}


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


def test_a_row_that_got_worse_is_told_with_its_answers_reasons_and_line() -> None:
    row = flip(1, candidate_answer="no", inputs={"text": "where"})
    assert row_head(row) == ("r1", "-100.0", "where")
    assert row_lines(row) == [
        'expected ["yes"], was yes, is no',
        "label: expected yes",
        "prompts/router.md:3 removed: - refunds go to returns",
    ]
    assert not got_better(row)


def test_other_rows_are_told_as_far_as_there_is_something_to_tell() -> None:
    better = flip(1, delta=0.5, expected=None, candidate_answer="")
    assert (row_head(better)[1], row_lines(better), got_better(better)) == ("+50.0", ["was yes, is nothing"], True)
    assert (row_head(critical(1)), row_lines(critical(1))[0]) == (("c1", "1 of 3", "must"), "expected yes, is no")
    assert (row_head(missing(1)), row_lines(missing(1))) == (("m1", "candidate", "the model refused"), [])
