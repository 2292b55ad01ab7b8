"""A sample of what the campaign gives to every registered metric; how long it takes is the campaign's to hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from metric_cases import write_modules
from metric_trial import OPTIONS, tried

from promptprop.metrics.registry import METRICS


@pytest.mark.parametrize("name", METRICS)
def test_odd_inputs_raise_nothing_and_are_judged_alike_twice(name: str, tmp_path: Path) -> None:
    write_modules(tmp_path)
    trial = tried(name, 120, 1, tmp_path)
    assert trial.inputs == 120
    assert len(trial.scores) >= 3, "the inputs are told apart"


def test_every_metric_but_ones_own_is_tried_with_options_of_several_kinds() -> None:
    assert set(OPTIONS) == set(METRICS) - {"python"}
