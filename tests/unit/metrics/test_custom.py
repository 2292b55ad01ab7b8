from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from promptprop.domain.errors import ConfigError
from promptprop.domain.models import Example, Judgement
from promptprop.metrics.custom import as_judgement
from promptprop.metrics.scoring import MetricSpec, Scorer, build_scorer

SOURCE = """
import dataclasses
from promptprop.domain.models import Judgement

@dataclasses.dataclass
class Thing:
    x: int

def by_example(output, example):
    return output == example.inputs["text"]

def by_expected(output, expected):
    return output == expected

def pair(output, expected, *, low=0.25):
    return low, "too dull"

def breaks(output, example):
    raise KeyError("colour")

def three(output, example):
    return (1, 2, 3)

async def later(output, example):
    return 1.0

def returns_coroutine(output, example):
    return later(output, example)

def alone(output):
    return 1.0

class Holder:
    @staticmethod
    def inner(output, expected):
        return Judgement(0.5, "half")

value = 3
"""


@pytest.fixture
def scorer_for(tmp_path: Path):
    def build(kind: str, **options: Any) -> Scorer:
        (tmp_path / "scores.py").write_text(SOURCE)
        return build_scorer([MetricSpec("m", kind, options=options)], tmp_path)

    return build


def judged_by(scorer: Scorer, output: str = "x") -> Judgement:
    return scorer.judge(output, Example("1", {"text": "x"}, "y"))["m"]


def test_the_second_parameter_is_the_example_or_what_is_expected(scorer_for) -> None:
    assert judged_by(scorer_for("python:./scores.py:by_example")).score == 1
    assert judged_by(scorer_for("python:./scores.py:by_expected")).score == 0
    assert judged_by(scorer_for("python:./scores.py:by_expected"), "y").score == 1


def test_a_pair_is_score_and_feedback_and_arguments_go_by_name(scorer_for) -> None:
    assert judged_by(scorer_for("python:./scores.py:pair", arguments={"low": 0.5})) == Judgement(0.5, "too dull")


def test_a_bare_score_gets_feedback_that_a_critic_can_use(scorer_for) -> None:
    assert judged_by(scorer_for("python:./scores.py:by_expected")).feedback == 'scored 0.00: expected "y", got "x"'


def test_a_function_can_stand_in_a_class_or_in_an_installed_module(scorer_for) -> None:
    assert judged_by(scorer_for("python:./scores.py:Holder.inner")) == Judgement(0.5, "half")
    assert judged_by(scorer_for("python:operator.contains")).feedback.startswith("the metric raised TypeError")


def test_modules_beside_the_configuration_can_be_imported_and_the_path_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "beside_the_config.py").write_text("def one(output, example):\n    return 1\n")
    before = list(sys.path)
    scorer = build_scorer([MetricSpec("m", "python:beside_the_config.one")], tmp_path)
    assert scorer.judge("x", Example("1", {}))["m"].score == 1
    assert sys.path == before
    del sys.modules["beside_the_config"]


def test_what_the_function_raises_leaves_the_row_unscored(scorer_for) -> None:
    assert judged_by(scorer_for("python:./scores.py:breaks")) == Judgement(
        None, "the metric raised KeyError: see the log"
    )


@pytest.mark.parametrize("name", ["three", "returns_coroutine"])
def test_results_that_are_no_score_leave_the_row_unscored(scorer_for, name: str) -> None:
    judgement = judged_by(scorer_for(f"python:./scores.py:{name}"))
    assert judgement.score is None
    assert judgement.feedback.startswith("the metric returned a")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("python:./nowhere.py:f", "FileNotFoundError"),
        ("python:no_such_module_here.f", "ModuleNotFoundError"),
        ("python:./scores.py:missing", "no function `missing`"),
        ("python:./scores.py:value", "no function `value`"),
        ("python:./scores.py:alone", "cannot be called"),
        ("python:f", "names no function"),
        ("python:", "names no function"),
    ],
)
def test_a_function_that_cannot_be_used_is_refused_at_load(scorer_for, kind: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        scorer_for(kind)


def test_wrong_or_odd_arguments_are_refused_at_load(scorer_for) -> None:
    with pytest.raises(ConfigError, match="unexpected keyword argument 'high'"):
        scorer_for("python:./scores.py:pair", arguments={"high": 1})
    with pytest.raises(ConfigError, match="plain JSON"):
        scorer_for("python:./scores.py:pair", arguments={"low": float("nan")})
    with pytest.raises(ConfigError, match="both name a function"):
        scorer_for("python:./scores.py:pair", function="other.f")


@pytest.mark.parametrize("body", ["syntax error here", "raise RuntimeError('no')", "import sys; sys.exit(3)"])
def test_a_module_that_fails_on_import_is_a_configuration_error(tmp_path: Path, body: str) -> None:
    (tmp_path / "bad.py").write_text(body)
    with pytest.raises(ConfigError, match="cannot be imported"):
        build_scorer([MetricSpec("m", "python:./bad.py:f")], tmp_path)


def test_a_file_is_read_afresh_and_its_text_is_in_the_fingerprint(tmp_path: Path) -> None:
    seen = []
    for score in (0.25, 0.75):
        (tmp_path / "mine.py").write_text(f"def f(output, example):\n    return {score}\n")
        scorer = build_scorer([MetricSpec("m", "python:./mine.py:f")], tmp_path)
        seen.append((scorer.judge("x", Example("1", {}))["m"].score, scorer.fingerprint))
    assert [score for score, _ in seen] == [0.25, 0.75]
    assert seen[0][1] != seen[1][1]


@pytest.mark.parametrize("result", [True, 1, 1.0, 1 + 1e-12, (1.0, None), Judgement(1.0)])
def test_what_counts_as_one(result: object) -> None:
    assert as_judgement(result) == Judgement(1.0)


@pytest.mark.parametrize(
    "result", [None, 1.2, -0.1, float("nan"), float("inf"), "0.5", [1], (2, "x"), Judgement(7.0), {}]
)
def test_what_is_no_score_in_bounds_is_unscored_and_says_so(result: object) -> None:
    judgement = as_judgement(result)
    assert judgement.score is None
    assert "score" in judgement.feedback
