"""How alike two texts are: bounds, symmetry, and the figures of the libraries that count."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.domain.models import Example, Judgement
from promptprop.metrics.scoring import MetricSpec, build_scorer

TEXTS = st.text(st.characters(blacklist_categories=("Cs",)), max_size=60)


def judge(kind: str, output: str, expected: Any, **options: Any) -> Judgement:
    return build_scorer([MetricSpec("m", kind, options=options)], Path()).judge(output, Example("1", {}, expected))["m"]


def score(kind: str, output: str, expected: Any, **options: Any) -> float:
    found = judge(kind, output, expected, **options).score
    assert found is not None
    return found


def test_edits_are_counted_against_the_nearest_answer() -> None:
    assert score("edit", "kitten", "sitting") == pytest.approx(1 - 3 / 7)
    assert score("edit", "kitten", ["nothing alike", "kittens"]) == pytest.approx(1 - 1 / 7)
    assert score("edit", "two one", "one two", by="token_set") == 1
    assert score("edit", "Martha", "Marhta", by="jaro_winkler") == pytest.approx(0.961, abs=0.001)
    assert score("edit", "ab", "ba", by="indel") == pytest.approx(0.5)


def test_rouge_counts_the_longest_common_subsequence_of_words() -> None:
    # Lin (2004), section 3.1: "police killed the gunman" against two candidates
    reference = "police killed the gunman"
    assert score("rouge_l", "police kill the gunman", reference) == pytest.approx(3 / 4)
    assert score("rouge_l", "the gunman kill police", reference) == pytest.approx(2 / 4)
    assert score("rouge_l", "police", reference, measure="precision") == 1
    assert score("rouge_l", "police", reference, measure="recall") == pytest.approx(1 / 4)


def test_bleu_and_chrf_are_those_of_sacrebleu() -> None:
    import sacrebleu

    output, expected = "The cat sat on the mat today.", "The cat is sitting on the mat."
    assert score("bleu", output, expected) == pytest.approx(sacrebleu.sentence_bleu(output, [expected]).score / 100)
    assert score("chrf", output, expected) == pytest.approx(sacrebleu.sentence_chrf(output, [expected]).score / 100)
    plus = sacrebleu.sentence_chrf(output, [expected], word_order=2).score / 100
    assert score("chrf", output, expected, words=2) == pytest.approx(plus)


def test_feedback_quotes_both_sides_and_an_empty_answer_is_judged() -> None:
    said = judge("edit", "kitten", "sitting")
    assert said.feedback == '0.57 alike: expected "sitting", got "kitten"'
    for kind in ("edit", "rouge_l", "bleu", "chrf"):
        assert score(kind, "", "something") == 0
        assert judge(kind, "x", None).score is None


@pytest.mark.parametrize("by", ["levenshtein", "indel", "jaro_winkler", "token_set"])
@given(one=TEXTS, other=TEXTS)
def test_edit_similarity_is_bounded_and_symmetric(by: str, one: str, other: str) -> None:
    there, back = score("edit", one, other, by=by), score("edit", other, one, by=by)
    assert 0 <= there <= 1
    assert there == pytest.approx(back)
    assert score("edit", one, one, by=by) == 1


@given(one=TEXTS, other=TEXTS)
def test_rouge_precision_is_recall_turned_round(one: str, other: str) -> None:
    assert score("rouge_l", one, other, measure="precision") == pytest.approx(
        score("rouge_l", other, one, measure="recall")
    )
    assert score("rouge_l", one, other) == pytest.approx(score("rouge_l", other, one))


@given(one=TEXTS, other=TEXTS)
def test_ngram_scores_are_bounded(one: str, other: str) -> None:
    for kind in ("bleu", "chrf"):
        assert 0 <= score(kind, one, other) <= 1


def test_texts_of_any_length_are_compared_in_reasonable_time() -> None:
    long = "word " * 50_000
    for kind in ("edit", "rouge_l", "chrf"):
        assert 0 <= score(kind, long, long[::-1]) <= 1


@pytest.mark.parametrize("kind", ["edit", "rouge_l", "chrf"])
def test_of_very_many_acceptable_answers_those_nearest_in_length_are_compared(kind: str) -> None:
    many = [f"answer {number} " * (1 + number % 40) for number in range(20_000)]
    output = "an answer of which there is none " * 600
    began = time.thread_time()
    judgement = judge(kind, output, many)
    assert time.thread_time() - began < 20, "a minute before"
    assert judgement.score is not None
    assert "nearest in length of 20,000 acceptable answers were compared" in judgement.feedback
    assert judge(kind, many[17], many).score == 1, "what equals one of them is found among all"
    assert "nearest in length" not in judge(kind, "answer", many[:50]).feedback
