"""What every registered metric keeps, whatever it is given: bounds, determinism, storable feedback, no exception."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_cases import CASES, Case, write_modules

from promptprop.domain.models import Example, Judgement, storable, text_of
from promptprop.metrics.base import FEEDBACK_LIMIT, CodeMetric
from promptprop.metrics.registry import METRICS, load_metric, option_models
from promptprop.metrics.scoring import MetricSpec, Scorer, build_scorer
from promptprop.ports import AwaitingMetric, Metric

NAMES = [f"{case.type}-{position}" for position, case in enumerate(CASES)]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
surrogates = st.text(st.characters(blacklist_categories=()), max_size=40)
odd_outputs = st.one_of(
    surrogates,
    json_values.map(text_of),
    json_values.map(lambda value: f"```json\n{text_of(value)}\n```"),
    st.sampled_from(
        ["", "\x00", "[" * 100_000, '{"a":' * 50_000, "9" * 30_000, "-1e999", "a " * 60_000, "NaN", "1e400"]
    ),
)


@pytest.fixture(scope="module")
def metric_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("metrics")
    write_modules(folder)
    return folder


def scorer_of(case: Case, folder: Path) -> Scorer:
    return build_scorer([MetricSpec("m", case.type, options=case.options)], folder)


def check(judgement: Judgement) -> None:
    assert judgement.score is None or (0 <= judgement.score <= 1 and not math.isnan(judgement.score))
    assert len(judgement.feedback) <= FEEDBACK_LIMIT
    assert storable(judgement.feedback) == judgement.feedback
    if judgement.score is None or judgement.score < 1:
        assert judgement.feedback


IN_CODE = [name for name in METRICS if issubclass(load_metric(name), CodeMetric)]


def test_every_registered_type_has_a_case() -> None:
    assert {case.type.partition(":")[0] for case in CASES} == set(IN_CODE)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_a_perfect_answer_scores_one(case: Case, metric_folder: Path) -> None:
    judgements, score = scorer_of(case, metric_folder).score(case.perfect, Example("1", {}, case.expected))
    assert (score, judgements["m"].feedback) == (1, "")


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_odd_outputs_are_judged_within_bounds_and_alike_twice(case: Case, metric_folder: Path) -> None:
    scorer = scorer_of(case, metric_folder)
    example = Example("1", {}, case.expected)

    @settings(max_examples=40, deadline=None, database=None, derandomize=True)
    @given(output=odd_outputs)
    def judge(output: str) -> None:
        first = scorer.score(output, example)
        assert first == scorer.score(output, example)
        check(first[0]["m"])

    judge()


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_odd_expected_answers_raise_nothing(case: Case, metric_folder: Path) -> None:
    scorer = scorer_of(case, metric_folder)

    @settings(max_examples=40, deadline=None, database=None, derandomize=True)
    @given(expected=json_values | surrogates, output=st.sampled_from(["", case.perfect]) | surrogates)
    def judge(expected: Any, output: str) -> None:
        judgements, _ = scorer.score(output, Example("1", {}, expected))
        check(judgements["m"])

    judge()


@pytest.mark.parametrize("case", CASES, ids=NAMES)
async def test_it_says_the_same_where_it_is_awaited(case: Case, metric_folder: Path) -> None:
    scorer = scorer_of(case, metric_folder)
    metric: AwaitingMetric = scorer.metrics[0].metric
    for output in (case.perfect, "something else", ""):
        example = Example("1", {}, case.expected)
        awaited = await metric.judge_later(output, example)
        assert awaited == metric.judge(output, example)
        assert scorer.score(output, example, known={"m": awaited}) == scorer.score(output, example)


@pytest.mark.parametrize("name", IN_CODE)
def test_each_metric_fulfils_the_port_and_describes_all_its_options(name: str, metric_folder: Path) -> None:
    kind = load_metric(name)
    sample = yaml.safe_load(kind.sample)
    spec = MetricSpec(
        sample.pop("id"), sample.pop("type"), sample.pop("weight", None), sample.pop("gate", False), sample
    )
    metric: Metric = build_scorer([spec], metric_folder).metrics[0].metric
    assert metric.id == spec.id
    model = option_models()[name]
    assert model.model_config.get("extra") == "forbid"
    assert model.model_config.get("frozen") is True
    assert all(entry.description for entry in model.model_fields.values())
    assert json.dumps(model.model_json_schema())


@settings(max_examples=150, deadline=None, database=None, derandomize=True)
@given(expected=st.text(st.characters(blacklist_categories=("Cs",)), min_size=1).filter(str.strip))
def test_the_expected_text_itself_is_exact_and_contained(expected: str) -> None:
    for name in ("exact", "contains"):
        assert build_scorer([MetricSpec("m", name)], Path()).score(expected, Example("1", {}, expected))[1] == 1


@settings(max_examples=150, deadline=None, database=None, derandomize=True)
@given(expected=st.floats(-1e300, 1e300) | st.integers(-(10**290), 10**290))
def test_the_expected_number_itself_is_right(expected: float) -> None:
    judgements, score = build_scorer([MetricSpec("m", "numeric")], Path()).score(
        text_of(expected), Example("1", {}, expected)
    )
    assert score == 1, judgements


@settings(max_examples=150, deadline=None, database=None, derandomize=True)
@given(expected=st.dictionaries(st.text(), json_values, min_size=1))
def test_the_expected_object_itself_has_all_fields_right(expected: dict[str, Any]) -> None:
    try:
        output = json.dumps(expected, allow_nan=False)
    except ValueError:
        return  # NaN is no JSON, so that no answer can equal it
    assert build_scorer([MetricSpec("m", "json_fields")], Path()).score(output, Example("1", {}, expected))[1] == 1
