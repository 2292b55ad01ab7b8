"""Weights and gates of configured metrics reach the scorer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from promptprop.bootstrap.metrics import build_run_scorer
from promptprop.domain.errors import ConfigError
from promptprop.domain.models import Example


@pytest.mark.parametrize(
    ("keys", "weight"),
    [
        ({}, 1.0),
        ({"weight": 0}, 0.0),
        ({"weight": 2.5}, 2.5),
        ({"gate": True}, 0.0),
        ({"gate": True, "weight": 0.5}, 0.5),
        ({"gate": True, "weight": 1}, 1.0),
    ],
)
def test_a_weight_is_one_unless_given_and_nothing_for_a_gate(
    load_changed: Any, project: Path, keys: dict[str, Any], weight: float
) -> None:
    metrics = [{"id": "label", "type": "exact"}, {"id": "other", "type": "exact", **keys}]
    scorer = build_run_scorer(load_changed(metrics=metrics).config, project)
    assert scorer.shares["other"].weight == weight
    assert scorer.shares["other"].gate == keys.get("gate", False)
    assert scorer.shares["label"].weight == 1.0


def test_options_and_files_beside_the_configuration_reach_their_metric(load_changed: Any, project: Path) -> None:
    (project / "mine.py").write_text("def polite(output, example):\n    return 1.0 if 'please' in output else 0.0\n")
    metrics = [{"id": "label", "type": "exact", "casefold": True, "gate": True}, "python:./mine.py:polite"]
    scorer = build_run_scorer(load_changed(metrics=metrics).config, project)
    example = Example("r", {}, expected="PLEASE")
    assert scorer.score("please", example)[1] == 1.0
    assert scorer.score("thanks", example)[1] == 0.0


def test_metrics_that_weigh_nothing_are_refused(load_changed: Any, project: Path) -> None:
    config = load_changed(metrics=[{"type": "exact", "weight": 0}]).config
    with pytest.raises(ConfigError, match="weight above 0"):
        build_run_scorer(config, project)
