"""Alike in meaning: what is embedded, and what a cosine comes to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from promptprop.domain.errors import ConfigError
from promptprop.domain.models import Example, Judgement
from promptprop.domain.vectors import vector_text
from promptprop.metrics.base import Setting
from promptprop.metrics.embedding import Embedding, EmbeddingOptions
from promptprop.ports import Question, Told

VECTORS = {"north": [0.0, 1.0], "south": [0.0, -1.0], "east": [1.0, 0.0], "north-east": [1.0, 1.0]}


def metric(**options: Any) -> Embedding:
    return Embedding("m", EmbeddingOptions(**options), Path(), Setting(embeds=True))


def judge(output: str, expected: Any, **options: Any) -> tuple[Judgement, list[str]]:
    """The judgement, and the texts that were embedded."""
    one, row = metric(**options), Example("1", {}, expected)
    said = one.consider(output, row, {}, [])
    if isinstance(said, dict):
        return said["m"], []
    told = [Told(question, vector_text(VECTORS[_text(question)])) for question in said]
    judged = one.consider(output, row, {}, told)
    assert isinstance(judged, dict)
    return judged["m"], [_text(question) for question in said]


def _text(question: Question) -> str:
    return question.messages[-1].content


def test_the_nearest_acceptable_answer_counts() -> None:
    said, asked = judge("north", ["east", "north-east"])
    assert asked == ["north", "east", "north-east"]
    assert said.score == pytest.approx(0.7071, abs=1e-4)
    assert said.feedback == 'cosine 0.71: expected something like "north-east", got "north"'


@pytest.mark.parametrize(("expected", "score"), [("south", 0.0), ("east", 0.0), ("north-east", (0.7071 - 0.5) / 0.4)])
def test_the_range_of_cosines_is_stretched(expected: str, score: float) -> None:
    assert judge("north", expected, low=0.5, high=0.9)[0].score == pytest.approx(score, abs=1e-3)


def test_equal_empty_and_unexpected_answers_are_not_embedded() -> None:
    assert judge("north", ["east", "north"]) == (Judgement(1.0), [])
    assert judge("  ", "north")[0].score == 0
    assert judge("north", None)[0].score is None
    assert judge("north", "")[0].score is None


def test_a_vector_that_fails_or_does_not_fit_leaves_the_answer_without_a_score() -> None:
    one, row = metric(), Example("1", {}, "east")
    questions = one.consider("north", row, {}, [])
    assert isinstance(questions, tuple)
    for texts in ((None, vector_text([1.0])), (vector_text([1.0]), vector_text([1.0, 0.0])), ("nothing", "either")):
        told = [Told(question, text, "HTTP 500") for question, text in zip(questions, texts, strict=True)]
        said = one.consider("north", row, {}, told)
        assert isinstance(said, dict)
        assert said["m"].score is None
        assert said["m"].feedback


def test_it_needs_a_model_that_embeds_and_a_range() -> None:
    with pytest.raises(ConfigError, match=r"models\.embed is not configured"):
        Embedding("m", EmbeddingOptions(), Path(), Setting())
    with pytest.raises(ValueError, match="low must be less than high"):
        EmbeddingOptions(low=0.5, high=0.5)
