"""Rows of a check that are no flips: left out with a reason, or critical and not passed."""

from __future__ import annotations

from promptprop.domain.models import Evaluation, Example, Failure, Judgement
from promptprop.services.gate_rows import NO_SCORE, critical_of, missing_of

SIDES = {"old": "baseline", "new": "candidate"}


def one(candidate: str, row: str, score: float | None = 1.0, replicate: int = 0, error: str = "") -> Evaluation:
    said = {"label": Judgement(score, "expected yes" if score == 0 else "")}
    failure = Failure("refused", error) if error else None
    return Evaluation(candidate, row, replicate, f"said {score}", (), said, None if error else score, error=failure)


def test_a_row_without_a_value_is_missing_on_that_side_with_its_reason() -> None:
    evaluations = [
        one("old", "a"), one("new", "a"), one("old", "b"), one("new", "b", error="refused it"),
        one("old", "c", None), one("new", "c", None),
        one("old", "d"), one("new", "d", None, 0), one("new", "d", 1.0, 1),
    ]  # fmt: skip
    found = missing_of(evaluations, ["a", "b", "c", "d"], SIDES)
    assert [(each.row, each.side, each.why) for each in found] == [
        ("b", "candidate", "refused it"),
        ("c", "both", NO_SCORE),
    ]
    assert found[0].as_json() == {"row": "b", "side": "candidate", "why": "refused it"}


def test_each_gating_metric_needs_a_value_and_a_side_that_was_not_asked_lacks_none() -> None:
    assert [each.row for each in missing_of([one("new", "a")], ["a"], SIDES, ["label", "other"])] == ["a"]
    assert missing_of([one("new", "a")], ["a"], SIDES, ["label"]) == []


def test_a_critical_row_that_failed_shows_its_worst_answer() -> None:
    examples = {"a": Example("a", {"text": "x"}, "yes"), "b": Example("b", {"text": "y"}), "c": Example("c", {})}
    evaluations = [one("new", "a", 1.0, 0), one("new", "a", 0.0, 1), one("old", "a", 0.0), one("new", "b", error="no")]
    first, second = critical_of(evaluations, ["a", "b", "c"], examples, "new")
    assert (first.passed, first.answers, first.answer, first.said) == (1, 2, "said 0.0", "label: expected yes")
    assert (second.passed, second.answer) == (0, "nothing: no")
    assert first.as_json()["expected"] == "yes"


def test_what_a_metric_says_of_a_row_that_it_could_not_judge_is_the_reason() -> None:
    silent = Evaluation("new", "a", 0, "x", (), {"odd": Judgement(None, "no such label")})
    assert [each.why for each in missing_of([silent], ["a"], SIDES)] == ["odd: no such label"]
