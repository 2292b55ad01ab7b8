"""What the tests of metrics share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from promptprop.domain.models import Example, Judgement
from promptprop.metrics.scoring import MetricSpec, build_scorer

Judge = Callable[..., Judgement]


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    """Judge one output with one metric: `judge(type, output, expected, **options)`."""

    def judge_one(kind: str, output: str, expected: Any = None, **options: Any) -> Judgement:
        scorer = build_scorer([MetricSpec("m", kind, options=options)], tmp_path)
        return scorer.judge(output, Example("1", {}, expected))["m"]

    return judge_one
