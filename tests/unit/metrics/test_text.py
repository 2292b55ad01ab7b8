from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptprop.domain.errors import ConfigError
from promptprop.domain.models import Example
from promptprop.metrics.scoring import MetricSpec, build_scorer


def test_by_default_only_outer_white_space_is_ignored(judge) -> None:
    assert judge("exact", " billing\n", "billing").score == 1
    for output in ("Billing", "billing.", "'billing'", "bil  ling"):
        assert judge("exact", output, "billing").score == 0


@pytest.mark.parametrize(
    ("output", "option"),
    [
        ("BILLING", "casefold"),
        ("billing.", "strip_punctuation"),
        ("“billing”", "strip_quotes"),
        ("billing\nbecause of the invoice", "first_line"),
    ],
)
def test_each_option_forgives_its_own_difference(judge, output: str, option: str) -> None:
    assert judge("exact", output, "billing").score == 0
    assert judge("exact", output, "billing", **{option: True}).score == 1


def test_quotes_within_punctuation_are_both_peeled_off(judge) -> None:
    assert judge("exact", '**"billing".**', "billing", strip_punctuation=True, strip_quotes=True).score == 1


def test_unmatched_quotes_stay(judge) -> None:
    assert judge("exact", '"billing', "billing", strip_quotes=True).score == 0


def test_white_space_inside_is_collapsed_but_outer_space_can_be_kept(judge) -> None:
    assert judge("exact", "a \n b", "a b", collapse_whitespace=True).score == 1
    assert judge("exact", " a  b", "a b", collapse_whitespace=True, strip=False).score == 0
    assert judge("exact", "\ta  b", " a b", collapse_whitespace=True, strip=False).score == 1


def test_full_width_letters_are_equal_under_nfkc_only(judge) -> None:
    assert judge("exact", "ｂilling", "billing").score == 0
    assert judge("exact", "ｂilling", "billing", unicode="NFKC").score == 1


def test_any_of_a_list_is_right_and_numbers_compare_as_they_are_written(judge) -> None:
    assert judge("exact", "b", ["a", "b"]).score == 1
    assert judge("exact", "3", 3).score == 1
    assert judge("exact", "true", True).score == 1


def test_a_row_without_expected_answer_is_unscored(judge) -> None:
    assert judge("exact", "x", None).score is None
    assert judge("exact", "x", []).score is None


def test_an_answer_is_extracted_by_group_or_whole_match(judge) -> None:
    assert judge("exact", "think\nAnswer: billing", "billing", extract=r"Answer:\s*(\w+)").score == 1
    assert judge("exact", "the code is T-12.", "T-12", extract=r"T-\d+").score == 1
    missing = judge("exact", "billing", "billing", extract="Answer: (.*)")
    assert missing.score == 0
    assert "no part like" in missing.feedback


def test_the_feedback_says_that_only_the_format_differs(judge) -> None:
    assert judge("exact", "**Billing.**", "billing").feedback == (
        'only the format differs: expected "billing", got "**Billing.**"'
    )


def test_the_feedback_says_that_the_right_answer_is_buried(judge) -> None:
    feedback = judge("exact", "I would send this to Billing, since…", "billing").feedback
    assert feedback.startswith('the right answer "billing" stands inside a longer text')
    assert "stands inside" not in judge("exact", "rebillings", "billing").feedback


def test_the_feedback_names_what_was_expected_and_got(judge) -> None:
    assert judge("exact", "sales", ["billing", "tech"]).feedback == 'expected one of "billing", "tech", got "sales"'
    assert judge("exact", "  ", "billing").feedback == 'expected "billing", but the answer is empty'


def test_feedback_stays_short_for_huge_answers(judge) -> None:
    feedback = judge("exact", "x" * 10_000, ["y" * 1000] * 50).feedback
    assert len(feedback) <= 400
    assert "(10,000 characters)" in feedback


def test_a_bad_extract_pattern_is_refused_at_load(judge) -> None:
    with pytest.raises(ConfigError, match="not a regular expression"):
        judge("exact", "x", "x", extract="(")


def test_contains_looks_for_any_or_all(judge) -> None:
    assert judge("contains", "send to billing", ["sales", "billing"]).score == 1
    assert judge("contains", "send to billing", ["sales", "billing"], match="all").score == 0
    assert judge("contains", "send to billing", ["sales", "billing"], match="all", partial=True).score == 0.5


def test_contains_names_what_is_missing(judge) -> None:
    judgement = judge("contains", "to billing", None, values=["sales", "billing", "tech"], match="all")
    assert judgement.feedback.startswith('expected texts are missing: "sales", "tech"; got')


def test_contains_minds_case_and_word_boundaries_as_told(judge) -> None:
    assert judge("contains", "START", "art").score == 0
    assert judge("contains", "START", "art", casefold=True).score == 1
    assert judge("contains", "START", "art", casefold=True, words=True).score == 0
    assert judge("contains", "an ART!", "art", casefold=True, words=True).score == 1


def test_an_empty_text_is_never_looked_for(judge) -> None:
    assert judge("contains", "x", "").score is None
    with pytest.raises(ConfigError, match="empty text"):
        judge("contains", "x", values=["a", ""])


@pytest.mark.parametrize(("value", "text"), [("a " * 20_000 + "b", "a " * 50_000), ("ab ab c", "ab " * 33_000)])
def test_texts_that_repeat_themselves_are_looked_through_in_no_time(judge: Any, value: str, text: str) -> None:
    began = time.thread_time()
    assert judge("contains", text, value, words=True).score == 0
    assert judge("exact", text, value).score == 0
    assert judge("exact", text, [value[:length] + "c" for length in range(1, 400)]).score == 0
    assert time.thread_time() - began < 20, "many seconds before"


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(value=st.text("ab. é", min_size=1, max_size=4), text=st.text("ab. é", max_size=12))
def test_whole_words_are_those_that_no_letter_goes_on_from(value: str, text: str) -> None:
    scorer = build_scorer([MetricSpec("m", "contains", options={"words": True})], Path())
    found = scorer.score(text, Example("1", {}, value))[1]
    assert found == float(re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text) is not None)
