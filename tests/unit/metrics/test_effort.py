"""What an answer takes: seconds and money."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.domain.errors import ConfigError
from promptprop.domain.models import PICO, Example, Judgement
from promptprop.metrics.scoring import MetricSpec, build_scorer
from promptprop.ports import Effort


def judge(kind: str, effort: Effort | None, **options: Any) -> Judgement:
    scorer = build_scorer([MetricSpec("m", kind, options=options)], Path())
    return scorer.score("any answer", Example("1", {}), effort)[0]["m"]


@pytest.mark.parametrize(("seconds", "score"), [(0, 1.0), (1, 1.0), (3, 0.5), (5, 0.0), (60, 0.0)])
def test_time_costs_score_between_good_and_bad(seconds: float, score: float) -> None:
    said = judge("latency", Effort(seconds, 0, 10), good=1, bad=5)
    assert said.score == pytest.approx(score)
    assert bool(said.feedback) == (score < 1)


def test_money_is_that_of_a_thousand_answers() -> None:
    said = judge("cost", Effort(1.0, PICO // 1000, 250), good=0.5, bad=1.5)
    assert said.score == pytest.approx(0.5)
    assert said.feedback == "$1 for a thousand answers of 250 tokens, where $0.5 are good"


def test_an_unknown_price_and_an_unknown_effort_cannot_be_judged() -> None:
    assert judge("cost", Effort(1.0, None, 250), good=0.5, bad=1.5).score is None
    assert judge("latency", None).score is None


def test_it_has_its_share_in_the_score() -> None:
    specs = [MetricSpec("label", "exact"), MetricSpec("swift", "latency", 0.25, options={"good": 1, "bad": 2})]
    scorer = build_scorer(specs, Path())
    row = Example("1", {}, "yes")
    assert scorer.score("yes", row, Effort(9, 0, 1))[1] == pytest.approx(0.8)
    assert scorer.score("yes", row, Effort(0.1, 0, 1))[1] == 1
    assert scorer.score("yes", row)[1] == 1, "what is not known does not count"


@pytest.mark.parametrize(("kind", "options"), [("latency", {"good": 5, "bad": 5}), ("cost", {"good": 2, "bad": 1})])
def test_bounds_that_cross_are_refused(kind: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="good must be less than bad"):
        judge(kind, None, **options)


@given(st.floats(0, 1e6), st.none() | st.integers(0, 10**18), st.integers(0, 10**9))
def test_any_effort_is_judged_within_bounds(seconds: float, picousd: int | None, tokens: int) -> None:
    effort = Effort(seconds, picousd, tokens)
    for kind, options in (("latency", {}), ("cost", {"good": 0.1, "bad": 1})):
        score = judge(kind, effort, **options).score
        assert score is None or 0 <= score <= 1
