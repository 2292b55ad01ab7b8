"""What every registered metric keeps, whatever it is given: bounds, determinism, storable feedback, no exception."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from promptprop.domain.models import Example, Judgement, storable, text_of
from promptprop.metrics.base import FEEDBACK_LIMIT, CodeMetric
from promptprop.metrics.registry import METRICS, load_metric, option_models
from promptprop.metrics.scoring import MetricSpec, Scorer, build_scorer
from promptprop.ports import AwaitingMetric, Metric


@dataclass(frozen=True)
class Case:
    """A metric with options, an expected answer, and an answer that deserves 1."""

    type: str
    expected: Any
    perfect: str
    options: dict[str, Any] = field(default_factory=dict)


FIELDS = {"a": "numeric", "b": "set", "c": {"compare": "date", "weight": 2}, "d.0.e": "casefold"}
SCHEMA = {"type": "object", "required": ["desk"], "properties": {"desk": {"enum": ["billing", "sales"]}}}
CASES = [
    Case("exact", "billing", " billing\n"),
    Case(
        "exact",
        ["x", "billing"],
        "Sure.\nAnswer: “Billing”!",
        {"extract": "Answer: (.*)", "strip_quotes": True, "strip_punctuation": True, "casefold": True},
    ),
    Case(
        "exact",
        "one two",
        "\n ONE  two\nmore",
        {"first_line": True, "collapse_whitespace": True, "casefold": True, "unicode": "NFKC"},
    ),
    Case("contains", ["a", "b"], "b"),
    Case(
        "contains",
        None,
        "Please, thank you",
        {"values": ["thank", "please"], "match": "all", "casefold": True, "words": True, "partial": True},
    ),
    Case("regex", r"^T-\d+", "T-12 is it"),
    Case("regex", None, "T-12", {"pattern": r"t-\d+", "mode": "fullmatch", "ignore_case": True, "dotall": True}),
    Case("numeric", 1234.5, "That makes $1,234.50"),
    Case("numeric", "12 %", "0,12", {"decimal": ",", "percent": True, "take": "only", "linear": 0.5, "relative": 0.1}),
    Case("json_schema", None, '{"desk": "sales"}', {"schema": SCHEMA}),
    Case(
        "json_schema",
        None,
        'So:\n```json\n{"desk": "sales"}\n```',
        {"schema": SCHEMA, "lenient": True, "partial": True},
    ),
    Case("json_fields", {"a": 1, "b": {"c": [1]}}, '{"b": {"c": [1.0]}, "a": 1}'),
    Case(
        "json_fields",
        {"a": "1", "b": [1, 2], "c": "2024-01-02", "d": [{"e": "X"}]},
        'x {"a": 1, "b": [2, 1], "c": "2024/1/2", "d": [{"e": " x"}]} y',
        {"fields": FIELDS, "extra": 0.5, "lenient": True},
    ),
    Case("set", ["billing", "sales"], "- Sales\n- “billing”"),
    Case("set", "a, b", '["B", "a", "b"]', {"measure": "jaccard", "casefold": True}),
    Case("set", [], "", {"measure": "recall"}),
    Case("edit", ["x", "billing"], " billing"),
    Case("edit", "one two", "two one", {"by": "token_set"}),
    Case("edit", "Jon", "jon", {"by": "jaro_winkler", "casefold": True}),
    Case("rouge_l", "It is on its way.", "it is on its way"),
    Case("rouge_l", "on its way", "It is on its way today.", {"measure": "recall"}),
    Case("bleu", ["a", "It is on its way."], "It is on its way."),
    Case("chrf", "It is on its way.", "It is on its way.", {"words": 2}),
    Case("list", ["first", "second"], "1. First\n2. second"),
    Case("list", "b\na", '["a", "b"]', {"order": False}),
    Case("table", [{"a": 1, "b": 2}], "| b | a |\n|---|---|\n| 2 | 1 |"),
    Case("table", "x,y\n1,2\n3,4", "x;y\n1;2\n3;4", {"order": True, "header": "ignore"}),
    Case("length", None, "one two three", {"least": 2, "most": 3}),
    Case("length", None, "One. Two!", {"unit": "sentences", "most": 2, "tolerance": 0}),
    Case(
        "form",
        None,
        "Dear Ann, yes.",
        {
            "one_line": True,
            "no_markdown": True,
            "starts_with": "Dear",
            "ends_with": "yes.",
            "matches": "Dear.*",
            "forbids": ["sorry"],
            "partial": True,
        },
    ),
    Case("form", None, '{"a": 1}', {"json_only": True}),
    Case("form", None, "yes", {"one_of": ["yes", "no"]}),
    Case("form", None, "- a\n- b", {"list_items": True}),
    Case("directness", None, "Billing."),
    Case("python:./mine.py:equal", "x", "x"),
    Case("python", None, "four", {"function": "mine.long_enough", "arguments": {"limit": 3}}),
    Case("python:./mine.py:later", "x", "x", {"concurrency": 2, "timeout": 5}),
    Case("python:./mine.py:Long", None, "four", {"arguments": {"limit": 3}}),
    Case("python:./mine.py:LongLater", None, "four", {"arguments": {"limit": 3}}),
]
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
    (folder / "mine.py").write_text(
        "def equal(output, expected):\n    return output == expected\n"
        "def long_enough(output, example, *, limit):\n    return min(1.0, len(output) / limit)\n"
        "async def later(output, expected):\n    return output == expected\n"
        "class Long:\n"
        "    def __init__(self, limit):\n        self.limit = limit\n"
        "    def judge(self, output, example):\n        return long_enough(output, example, limit=self.limit)\n"
        "class LongLater(Long):\n"
        "    async def judge(self, output, example):\n        return super().judge(output, example)\n"
    )
    (folder / "metrics.py").write_text("def tone(output, expected, limit):\n    return len(output) > limit\n")
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
