"""What a run's stored evaluations tell of its judges."""

from __future__ import annotations

from dataclasses import replace

import pytest

from promptprop.domain.models import Evaluation, Failure, Judgement
from promptprop.domain.rubric import Rubric, RubricFeature
from promptprop.services.judging import classes_of, features_of, jury_of, newest

RUBRIC = Rubric("", (RubricFeature("tone", "Is kind.", 2.0), RubricFeature("facts", "Is true.")))


def judged(
    row: str, output: str, votes: dict[str, float | None], candidate: str = "seed", replicate: int = 0
) -> Evaluation:
    words = {"panel": Judgement(0.5), **{f"panel/{name}": Judgement(vote) for name, vote in votes.items()}}
    return Evaluation(candidate, row, replicate, output, (), words, 0.5)


def test_a_cell_that_was_retried_counts_as_it_was_last() -> None:
    one, other = judged("r1", "old", {}), judged("r1", "new", {})
    assert newest([one, judged("r2", "x", {}), other]) == [other, judged("r2", "x", {})]


def test_an_answer_that_two_candidates_gave_counts_once() -> None:
    votes: dict[str, float | None] = {"a": 0.5, "b": 0.7}
    records = jury_of(
        [judged("r1", "same", votes), judged("r1", "same", votes, "other"), judged("r1", "else", {"a": None})], {}
    )
    assert [(one.name, one.asked, one.missing) for one in records] == [("a", 2, 1), ("b", 1, 0)]
    assert records[0].bias == pytest.approx(-0.2)
    assert jury_of([Evaluation("seed", "r1", 0, "x", (), {"label": Judgement(1.0)}, 1.0)], {}) == ()


def featured(row: str, tone: float, panel: float, candidate: str) -> Evaluation:
    words = {"panel": Judgement(panel), "panel/a": Judgement(panel), "panel/b": Judgement(None)}
    words |= {"panel/a/tone": Judgement(tone), "panel/a/facts": Judgement(0.5), "panel/a/other": Judgement(0.1)}
    return Evaluation(candidate, row, 0, "x", (), words, panel)


def test_features_are_followed_to_the_score() -> None:
    evaluations = [featured(f"r{n}", n / 10, n / 20, "seed") for n in range(5)]
    evaluations += [featured(f"r{n}", 0.9, 0.5 + n / 20, "winner") for n in range(5)]
    tone, facts = features_of(RUBRIC, evaluations, "seed", "winner")
    assert (tone.seed, tone.winner) == (pytest.approx(0.2), pytest.approx(0.9))
    assert tone.correlation is not None
    assert tone.correlation > 0.8
    assert (facts.seed, facts.winner, facts.correlation) == (0.5, 0.5, None), "what never changes explains nothing"
    nothing = features_of(RUBRIC, [], "seed", "winner")
    assert [(one.seed, one.winner, one.correlation) for one in nothing] == [(None, None, None)] * 2


def answered(row: str, output: str) -> Evaluation:
    return Evaluation("seed", row, 0, output, (), {}, 1.0)


def test_labels_are_tabled_where_the_expected_answers_are_labels() -> None:
    expected = {"r1": "billing", "r2": ["sales", "returns"], "r3": "sales", "r4": None, "r5": "sales"}
    evaluations = [answered("r1", " Billing\n"), answered("r2", "returns"), answered("r3", "well " * 40)]
    evaluations += [answered("r4", "x"), replace(answered("r5", ""), error=Failure("refused", "no"))]
    table = classes_of(evaluations, expected)
    assert table is not None
    assert [(row.label, row.expected, row.right) for row in table.rows if row.expected] == [
        ("billing", 1, 1), ("returns", 1, 1), ("sales", 1, 0),
    ]  # fmt: skip
    assert table.confusions == (("sales", "(no label)", 1),)


def test_texts_and_a_different_answer_for_each_row_are_no_labels() -> None:
    assert classes_of([answered("r1", "x")], {"r1": "long " * 30}) is None
    assert classes_of([], {}) is None
    many = [answered(f"r{n}", f"l{n}") for n in range(100)]
    assert classes_of(many, {f"r{n}": f"l{n}" for n in range(100)}) is None
