"""Jurors held against labels: what counts, what is missing, and who is under the floor."""

from __future__ import annotations

import pytest

from promptprop.domain.models import Evaluation, Example, Judgement
from promptprop.services.calibrate import Labelled, held_against


def labelled(*labels: float) -> list[Labelled]:
    return [Labelled(Example(f"r{n}", {"text": "x"}), "answer", label) for n, label in enumerate(labels)]


def evaluation(row: int, votes: dict[str, float | None], panel: float | None, replicate: int = 0) -> Evaluation:
    words = {"panel": Judgement(panel), **{f"panel/{name}": Judgement(vote) for name, vote in votes.items()}}
    return Evaluation("given", f"r{row}", replicate, "answer", (), {**words, "panel/a/tone": Judgement(0.1)}, panel)


def test_each_juror_and_the_panel_are_held_against_the_labels() -> None:
    rows = labelled(1.0, 1.0, 0.0, 0.0)
    good, bad = {"a": 0.9, "b": 0.2}, {"a": 0.1, "b": 0.8}
    evaluations = [evaluation(n, good if n < 2 else bad, 0.9 if n < 2 else 0.1) for n in range(4)]
    report = held_against("panel", rows, evaluations, 0.5)
    assert report.panel is not None
    assert (report.panel.kappa, report.panel.n) == (1.0, 4)
    assert {one.name: one.kappa for one in report.jurors} == {"a": 1.0, "b": -1.0}
    assert report.under(0.4) == ("b",)
    assert report.under(-1) == ()
    assert report.unjudged == 0


def test_further_replicates_tell_of_flips_alone() -> None:
    rows = labelled(1.0, 0.0)
    evaluations = [evaluation(0, {"a": 0.9}, 0.9), evaluation(1, {"a": 0.1}, 0.1)]
    evaluations += [evaluation(0, {"a": 0.1}, 0.1, 1), evaluation(1, {"a": 0.2}, 0.2, 1)]
    report = held_against("panel", rows, evaluations, 0.5)
    assert report.jurors[0].kappa == 1.0
    (record,) = report.records
    assert record.flips == pytest.approx(0.5)


def test_votes_that_are_missing_are_left_out_and_counted() -> None:
    rows = labelled(1.0, 0.0)
    report = held_against("panel", rows, [evaluation(0, {"a": None}, None), evaluation(1, {"a": 0.1}, 0.1)], 0.5)
    assert report.unjudged == 1
    assert report.jurors[0].n == 1
    nobody = held_against("panel", rows, [evaluation(0, {"a": None}, None)], 0.5)
    assert (nobody.panel, nobody.jurors) == (None, ())
