"""Custom metrics that are async, or classes: what they are given, what they may return, and how they fail."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from promptprop.domain.errors import ConfigError
from promptprop.domain.models import Example, Judgement
from promptprop.metrics.custom import PythonFunction
from promptprop.metrics.scoring import MetricSpec, Scorer, build_scorer

SOURCE = """
import asyncio
import sys
import threading
import time

threads, loops, given_up = set(), set(), []

async def note():
    threads.add(threading.get_ident())
    loops.add(id(asyncio.get_running_loop()))
    await asyncio.sleep(0)

async def by_example(output, example):
    await note()
    return output == example.inputs["text"]

async def by_expected(output, expected, *, low=0.25):
    await note()
    return (1.0, None) if output == expected else (low, "not it")

async def none(output, example):
    await note()

async def breaks(output, example):
    await note()
    raise KeyError("colour")

async def leaves(output, example):
    sys.exit(3)

async def cancels(output, example):
    raise asyncio.CancelledError

async def hangs(output, example):
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        given_up.append(output)
        raise

async def clings(output, example):
    while True:
        try:
            await asyncio.sleep(0.05)
            if output in given_up:
                return 1.0
        except asyncio.CancelledError:
            pass

async def blocks(output, example):
    time.sleep(0.3)
    return 1.0

async def yields(output, example):
    yield 1.0

def generates(output, example):
    yield 1.0

class Tone:
    made = 0

    def __init__(self, limit, *, word="please"):
        Tone.made += 1
        self.limit, self.word = limit, word

    def judge(self, output, expected):
        return min(1.0, output.count(self.word) / self.limit)

class Called:
    def __call__(self, output, example):
        return 0.5, f"called for {example.id}"

class CalledLater:
    async def __call__(self, output, example):
        await note()
        return 0.5, "later"

class Service:
    def __init__(self, address="here"):
        self.session = None

    async def judge(self, output, example):
        self.session = self.session or asyncio.get_running_loop()
        return self.session is asyncio.get_running_loop(), "one loop"

class Silent:
    pass

class Odd:
    judge = 3

class Short:
    def judge(self, output):
        return 1.0

class Broken:
    def __init__(self):
        raise OSError("no model at /models/tone")

class Leaves:
    def __init__(self):
        raise SystemExit(3)

class Raises:
    def judge(self, output, example):
        raise KeyError("colour")

instance = CalledLater()
"""


@pytest.fixture
def scorer_for(tmp_path: Path):
    (tmp_path / "forms.py").write_text(SOURCE)

    def build(name: str, **options: Any) -> Scorer:
        return build_scorer([MetricSpec("m", f"python:./forms.py:{name}", options=options)], tmp_path)

    return build


def metric_of(scorer: Scorer) -> PythonFunction:
    metric = scorer.metrics[0].metric
    assert isinstance(metric, PythonFunction)
    return metric


def module_of(scorer: Scorer) -> Any:
    return sys.modules[metric_of(scorer)._modules[0].__name__]


def judged_by(scorer: Scorer, output: str = "x") -> Judgement:
    return scorer.judge(output, Example("1", {"text": "x"}, "y"))["m"]


async def later(scorer: Scorer, output: str = "x") -> Judgement:
    (metric,) = scorer.awaiting
    return await metric.judge_later(output, Example("1", {"text": "x"}, "y"))


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("by_example", {}, Judgement(1.0)),
        ("by_expected", {}, Judgement(0.25, "not it")),
        ("by_expected", {"arguments": {"low": 0.5}}, Judgement(0.5, "not it")),
        ("none", {}, Judgement(None, "the metric gave no score for this row")),
        ("CalledLater", {}, Judgement(0.5, "later")),
        ("instance", {}, Judgement(0.5, "later")),
        ("Service", {"arguments": {"address": "there"}}, Judgement(1.0, "one loop")),
    ],
)
async def test_an_async_metric_says_the_same_whether_it_is_awaited_or_waited_for(
    scorer_for: Any, name: str, options: dict[str, Any], said: Judgement
) -> None:
    scorer = scorer_for(name, **options)
    assert judged_by(scorer) == await later(scorer) == judged_by(scorer) == said


async def test_all_async_metrics_of_a_process_run_in_one_loop_which_is_not_that_of_the_run(scorer_for: Any) -> None:
    scorer = scorer_for("by_example")
    await asyncio.gather(*(later(scorer) for _ in range(5)))
    await asyncio.to_thread(lambda: asyncio.run(later(scorer)))
    judged_by(scorer)
    module = module_of(scorer)
    assert len(module.threads) == len(module.loops) == 1
    assert threading.get_ident() not in module.threads


def test_plain_metrics_do_not_await_anything(scorer_for: Any) -> None:
    scorer = scorer_for("Called")
    assert (scorer.awaiting, metric_of(scorer).awaits) == ((), False)
    assert asyncio.run(metric_of(scorer).judge_later("x", Example("1", {}))) == Judgement(0.5, "called for 1")


def test_a_class_is_made_once_from_its_arguments_and_judges_through_its_method(scorer_for: Any) -> None:
    scorer = scorer_for("Tone", arguments={"limit": 2, "word": "thanks"})
    assert [judged_by(scorer, output).score for output in ("", "thanks", "thanks, thanks")] == [0, 0.5, 1]
    assert module_of(scorer).Tone.made == 1
    assert judged_by(scorer, "thanks").feedback == 'scored 0.50: expected "y", got "thanks"'


def test_an_instance_without_a_method_judge_is_called(scorer_for: Any) -> None:
    assert judged_by(scorer_for("Called")) == Judgement(0.5, "called for 1")


@pytest.mark.parametrize(
    ("name", "error"),
    [("breaks", "KeyError"), ("leaves", "SystemExit"), ("cancels", "CancelledError"), ("Raises", "KeyError")],
)
async def test_whatever_is_raised_leaves_the_row_unscored_and_goes_to_the_log(
    scorer_for: Any, name: str, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    scorer = scorer_for(name)
    said = Judgement(None, f"the metric raised {error}: see the log")
    with caplog.at_level(logging.WARNING, "promptprop.metrics"):
        assert judged_by(scorer) == said
        if scorer.awaiting:
            assert await later(scorer) == said
    assert f"the metric m raised {error}" in caplog.text
    assert judged_by(scorer_for("by_example")) == Judgement(1.0), "and the loop goes on"


@pytest.mark.parametrize("name", ["hangs", "clings"])
async def test_an_answer_that_takes_too_long_is_unscored_and_given_up(scorer_for: Any, name: str) -> None:
    scorer = scorer_for(name, timeout=0.05, concurrency=1)
    said = Judgement(None, "the metric did not judge within 0.05 s")
    assert await asyncio.gather(*(later(scorer) for _ in range(3))) == [said] * 3
    assert judged_by(scorer) == said
    module_of(scorer).given_up.append("x")
    assert await later(scorer_for("by_example")) == Judgement(1.0), "and the loop goes on"


async def test_the_time_of_an_answer_is_kept_although_the_metric_blocks_its_loop(scorer_for: Any) -> None:
    scorer = scorer_for("blocks", timeout=0.05)
    assert await later(scorer) == Judgement(None, "the metric did not judge within 0.05 s")


async def test_giving_up_the_wait_cancels_the_metric(scorer_for: Any) -> None:
    scorer = scorer_for("hangs")
    waiting = asyncio.create_task(later(scorer, "mine"))
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    module = module_of(scorer)
    for _ in range(200):
        if module.given_up:
            break
        await asyncio.sleep(0.01)
    assert module.given_up == ["mine"]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "Tone",
            {},
            r"metric `m`: the metric \./forms\.py:Tone cannot be made from these arguments: missing .*'limit'",
        ),
        ("Tone", {"arguments": {"limit": 1, "high": 2}}, "unexpected keyword argument 'high'"),
        ("Broken", {}, r"Broken cannot be made: OSError: no model at /models/tone"),
        ("Leaves", {}, "Leaves cannot be made: SystemExit"),
        ("Silent", {}, "is a class without a method `judge`"),
        ("Odd", {}, "is a class without a method `judge`"),
        ("Short", {}, r"Short\(output\) cannot be called"),
        ("by_expected", {"arguments": {"high": 2}}, "unexpected keyword argument 'high'"),
        ("yields", {}, "yields"),
        ("generates", {}, "yields"),
        ("Called", {"timeout": 3}, "`timeout` has a meaning for async metrics only"),
        ("Called", {"concurrency": 3}, "`concurrency` has a meaning for async metrics only"),
        ("hangs", {"timeout": 0}, "greater than 0"),
        ("hangs", {"concurrency": 0}, "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_made_or_called_is_refused_at_load_with_place_and_remedy(
    scorer_for: Any, name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        scorer_for(name, **options)
    (problem,) = refused.value.problems
    assert problem.message.startswith("metric `m`: ")
    assert problem.remedy or "option `" in problem.message


def test_how_many_are_judged_at_once_and_for_how_long_is_not_in_the_fingerprint(scorer_for: Any) -> None:
    prints = {
        scorer_for("by_example", **options).fingerprint
        for options in ({}, {"timeout": 5}, {"concurrency": 2, "timeout": 1.5})
    }
    assert len(prints) == 1


def test_the_text_of_a_class_and_of_those_it_inherits_from_is_in_the_fingerprint(tmp_path: Path) -> None:
    base, own = tmp_path / "base_of_forms.py", tmp_path / "own.py"
    base.write_text("import abc\nclass Base(abc.ABC):\n    def judge(self, output, example):\n        return 1.0\n")
    own.write_text("from base_of_forms import Base\nclass Own(Base):\n    pass\n")

    def scorer() -> Scorer:
        sys.modules.pop("base_of_forms", None)
        return build_scorer([MetricSpec("m", "python:./own.py:Own")], tmp_path)

    first = scorer()
    assert set(metric_of(first).sources) == {"base_of_forms.py", "own.py"}
    base.write_text(base.read_text().replace("1.0", "0.5"))
    second = scorer()
    own.write_text(own.read_text() + "# edited\n")
    assert len({first.fingerprint, second.fingerprint, scorer().fingerprint}) == 3
    del sys.modules["base_of_forms"]
