"""Scoring one prompt: repeats, means and metrics."""

from __future__ import annotations

from promptprop.domain.models import Evaluation, Judgement
from promptprop.services.evaluate import metric_means, row_means


def evaluation(row: str, replicate: int, score: float | None, **metrics: float | None) -> Evaluation:
    judged = {name: Judgement(value) for name, value in metrics.items()}
    return Evaluation("c", row, replicate, "x", judgements=judged, score=score)


def test_a_row_is_the_mean_of_its_repeats() -> None:
    cells = [evaluation("a", 0, 1.0), evaluation("a", 1, 0.0), evaluation("b", 0, 1.0), evaluation("b", 1, 1.0)]
    assert row_means(cells, 2) == [0.5, 1.0]


def test_a_missing_repeat_is_left_out_and_never_counts_as_zero() -> None:
    cells = [evaluation("a", 0, None), evaluation("a", 1, 1.0), evaluation("b", 0, None), evaluation("b", 1, None)]
    assert row_means(cells, 2) == [1.0, None]


def test_the_mean_of_a_metric_leaves_out_what_it_could_not_judge() -> None:
    cells = [evaluation("a", 0, 1.0, exact=1.0, jury=None), evaluation("b", 0, 0.0, exact=0.0, jury=None)]
    assert metric_means(cells) == {"exact": 0.5}
