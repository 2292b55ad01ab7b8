"""Ten thousand odd inputs to each registered metric: nothing is raised, nothing is slow, and the same is said twice."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from metric_cases import write_modules
from metric_trial import SLOW, tried

from promptprop.metrics.registry import METRICS

INPUTS = int(os.environ.get("PROMPTPROP_METRIC_INPUTS", "10000"))
SEED = int(os.environ.get("PROMPTPROP_METRIC_SEED", "20260101"))


@pytest.mark.campaign
@pytest.mark.parametrize("name", METRICS)
def test_thousands_of_odd_inputs_raise_nothing_and_are_judged_swiftly_and_alike_twice(
    name: str, tmp_path: Path
) -> None:
    write_modules(tmp_path)
    trial = tried(name, INPUTS, SEED, tmp_path)
    print(f"\n{trial}")
    assert trial.inputs == INPUTS
    assert trial.slowest < SLOW, trial.worst
