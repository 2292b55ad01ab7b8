"""What every metric that asks models keeps, whatever it is told: an end, bounds, determinism, storable feedback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_cases import ASKING_CASES, SETTING, Case, led

from promptprop.domain.models import Example, storable
from promptprop.domain.vectors import vector_text
from promptprop.metrics.base import FEEDBACK_LIMIT, AskingMetric
from promptprop.metrics.registry import METRICS, load_metric, option_models
from promptprop.metrics.scoring import MetricSpec, build_scorer
from promptprop.ports import ModelMetric

NAMES = [f"{case.type}-{position}" for position, case in enumerate(ASKING_CASES)]
ASKING = [name for name in METRICS if issubclass(load_metric(name), AskingMetric)]
surrogates = st.text(st.characters(blacklist_categories=()), max_size=40)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | surrogates,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["score", "scores", "a", "hard", "reason"]), inner, max_size=4)
    ),
    max_leaves=8,
)
vectors = st.lists(st.floats(-(2.0**99), 2.0**99, width=32), max_size=4).map(vector_text)
replies = st.none() | surrogates | vectors | json_values.map(lambda value: json.dumps(value, ensure_ascii=True))


def metric_of(case: Case) -> ModelMetric:
    return build_scorer([MetricSpec("m", case.type, options=case.options)], Path(), SETTING).asking[0]


def test_every_registered_type_has_a_case() -> None:
    assert {case.type for case in ASKING_CASES} == set(ASKING)


@pytest.mark.parametrize("case", ASKING_CASES, ids=NAMES)
def test_replies_that_deserve_it_give_one(case: Case) -> None:
    said, _ = led(metric_of(case), "an answer", Example("1", {"x": "y"}, "an answer"), [case.perfect])
    assert said["m"].score == pytest.approx(1.0)


@pytest.mark.parametrize("case", ASKING_CASES, ids=NAMES)
def test_calls_that_fail_leave_the_answer_without_a_score(case: Case) -> None:
    said, _ = led(metric_of(case), "an answer", Example("1", {"x": "y"}, "expected"), [None])
    assert said["m"].score is None
    assert said["m"].feedback


@pytest.mark.parametrize("case", ASKING_CASES, ids=NAMES)
def test_whatever_it_is_told_it_ends_within_bounds_and_alike_twice(case: Case) -> None:
    metric = metric_of(case)

    @settings(max_examples=150, deadline=None, database=None, derandomize=True)
    @given(output=surrogates, expected=json_values, told=st.lists(replies, min_size=1, max_size=8))
    def judge(output: str, expected: Any, told: list[str | None]) -> None:
        example = Example("1", {"x": output}, expected, (expected,), (expected,))
        first, asked = led(metric, output, example, told)
        assert led(metric, output, example, told) == (first, asked)
        assert "m" in first
        for word in first.values():
            assert word.score is None or 0 <= word.score <= 1
            assert len(word.feedback) <= FEEDBACK_LIMIT
            assert storable(word.feedback) == word.feedback
            assert word.feedback or word.score == 1.0 or word is not first["m"]

    judge()


@pytest.mark.parametrize("name", ASKING)
def test_each_describes_all_its_options(name: str) -> None:
    kind = load_metric(name)
    sample = yaml.safe_load(kind.sample)
    spec = MetricSpec(sample.pop("id"), sample.pop("type"), options=sample)
    assert build_scorer([spec], Path(), SETTING).asking[0].id == spec.id
    model = option_models()[name]
    assert model.model_config.get("extra") == "forbid"
    assert model.model_config.get("frozen") is True
    assert all(entry.description for entry in model.model_fields.values())
    assert json.dumps(model.model_json_schema())
