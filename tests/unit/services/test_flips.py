"""Flips: rows that differ, the worst first, with the answers that show why."""

from __future__ import annotations

from promptprop.domain.models import Evaluation, Example, Failure, Judgement
from promptprop.services.flips import flips_of

ROWS = {name: Example(name, {"text": f"row {name}"}, "yes") for name in ("a", "b", "c", "d")}


def one(candidate: str, row: str, score: float | None, replicate: int = 0, output: str = "") -> Evaluation:
    said = {} if score is None else {"label": Judgement(score, "" if score == 1 else "expected yes")}
    failure = Failure("refused", "no") if score is None else None
    return Evaluation(candidate, row, replicate, output or f"{score}", judgements=said, score=score, error=failure)


def test_rows_that_differ_come_with_the_worst_first_and_the_answers_that_tell() -> None:
    evaluations = [
        one("old", "a", 1.0, 0, "good"), one("old", "a", 0.0, 1, "slip"), one("new", "a", 1.0), one("new", "a", 1.0, 1),
        one("old", "b", 1.0, 0, "right"), one("new", "b", 0.0, 0, "wrong"), one("new", "b", 0.4, 1, "nearly"),
        one("old", "c", 1.0), one("new", "c", 1.0),
        one("old", "d", 1.0), one("new", "d", None),
    ]  # fmt: skip
    worse, better = flips_of(evaluations, ROWS, "old", "new")
    assert (worse.row, worse.before, worse.after, worse.delta) == ("b", 1.0, 0.2, -0.8)
    assert (worse.baseline_answer, worse.candidate_answer, worse.said) == ("right", "wrong", "label: expected yes")
    assert (better.row, better.delta, better.baseline_answer) == ("a", 0.5, "good")
    assert worse.as_json()["inputs"] == {"text": "row b"}
    assert [flip.row for flip in flips_of(evaluations, ROWS, "old", "new", "label")] == ["b", "a"]
    assert flips_of(evaluations, ROWS, "old", "new", "other") == []
