"""Metrics that await something, in the workbench: many at once, in order, and never in the way of the loop."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from fake_clients import FakeClient
from laboratory import Lab
from workbench_kit import Kit

from promptprop.domain.budget import Budget
from promptprop.domain.errors import BudgetSpent
from promptprop.domain.models import Candidate, Cell, Example, ModelRequest, Program, Prompt, Reply, Step, Usage
from promptprop.metrics.base import Seat, Setting
from promptprop.metrics.scoring import MetricSpec, build_scorer
from promptprop.ports import RunRow
from promptprop.services import scores

NOON = datetime(2026, 1, 2, tzinfo=timezone.utc)
ECHO = Candidate({"main": Prompt.of("say {{ text }}")})
SETTING = Setting("Say it.", (Seat("a"), Seat("b")))
SERVICE = """
import asyncio

class Service:
    now, most, calls = 0, 0, []

    async def judge(self, output, example):
        kind = type(self)
        kind.calls.append(example.id)
        kind.now += 1
        kind.most = max(kind.most, kind.now)
        # the later a row, the sooner it is judged: what comes first must not be scored first for that
        await asyncio.sleep(0.05 + 0.0002 * (200 - int(example.id[1:])))
        kind.now -= 1
        if example.id == "r7":
            raise RuntimeError("the service is down")
        return int(example.id[1:]) / 1000, f"for {output}"
"""


def echo(request: ModelRequest, _nth: int) -> Reply:
    if request.role == "juror":
        return Reply('{"score": 50, "reason": "so so"}', Usage(5, 2), 90, "stop", "m")
    return Reply(f"<{request.messages[-1].content}>", Usage(5, 2), 90, "stop", "m")


@pytest.fixture
def new_kit(lab: Lab, tmp_path: Path) -> Callable[..., Any]:
    """Makes a kit whose answers a service of the user's judges, and metrics beside it."""
    (tmp_path / "service.py").write_text(SERVICE)

    async def make(*more: MetricSpec, rows: int = 200, concurrency: int = 16, **settings: Any) -> Kit:
        examples = [Example(f"r{n}", {"text": f"t{n}"}, f"<say t{n}>") for n in range(rows)]
        dataset = await lab.store.put_dataset("rows", examples)
        await lab.store.create_run(RunRow("run", "rows", "optimize", "created", 1, NOON, NOON, {}, dataset))
        kit = Kit(lab, FakeClient(echo), Program((Step("main", "answer"),)), settings)
        service = MetricSpec("service", "python:./service.py:Service", options={"concurrency": concurrency})
        kit.scorer = build_scorer([service, *more], tmp_path, SETTING)
        return kit

    return make


def service_of(kit: Kit) -> Any:
    return sys.modules[kit.scorer.metrics[0].metric._modules[0].__name__].Service


def cells(count: int) -> list[Cell]:
    return [Cell(ECHO, f"r{n}") for n in range(count)]


async def test_many_answers_are_judged_at_once_within_bounds_and_scored_in_order(new_kit: Any) -> None:
    kit = await new_kit(MetricSpec("label", "exact"))
    ticking, beats = True, 0

    async def beat() -> None:
        nonlocal beats
        while ticking:
            beats += 1
            await asyncio.sleep(0.005)

    heart = asyncio.create_task(beat())
    results = await kit.bench().evaluate(cells(200))
    ticking = False
    await heart
    service = service_of(kit)
    assert 1 < service.most <= 16
    assert service.calls == [f"r{n}" for n in range(200)], "and they begin in the order of the answers"
    assert [one.example_id for one in results] == [f"r{n}" for n in range(200)]
    assert [one.judgements["service"].score for one in results] == [n / 1000 if n != 7 else None for n in range(200)]
    assert results[7].judgements["service"].feedback == "the metric raised RuntimeError: see the log"
    assert results[7].score == 1.0, "what cannot be judged is left out of the mean"
    assert [list(one.judgements) for one in results] == [["service", "label"]] * 200
    assert [one.example_id for one in kit.lab.store.evaluations("run")] == [f"r{n}" for n in range(200)]
    assert beats > 10, "the loop of the run goes on meanwhile"


async def test_waiting_for_metrics_is_shown_as_progress(new_kit: Any) -> None:
    kit = await new_kit(rows=20)
    await kit.bench().evaluate(cells(20))
    phases = list(dict.fromkeys(phase for phase, _, _ in kit.ticks))
    assert phases == ["evaluating", "scoring"]
    assert kit.ticks[-1] == ("scoring", kit.ticks[-1][2], kit.ticks[-1][2])


async def test_stored_scores_are_not_judged_again(new_kit: Any) -> None:
    kit = await new_kit(rows=20)
    first = await kit.bench().evaluate(cells(20))
    service_of(kit).calls.clear()
    again = await kit.bench().evaluate(cells(20))
    assert [one.judgements for one in again] == [one.judgements for one in first]
    assert service_of(kit).calls == []


async def test_metrics_that_are_awaited_judge_beside_a_jury_too(new_kit: Any) -> None:
    kit = await new_kit(MetricSpec("panel", "jury"), rows=40, concurrency=8)
    results = await kit.bench().evaluate(cells(40))
    assert 1 < service_of(kit).most <= 8
    assert [one.judgements["service"].score for one in results[:3]] == [0.0, 0.001, 0.002]
    assert [one.score for one in results[:2]] == [0.25, 0.2505]
    service_of(kit).calls.clear()
    again = await kit.bench().evaluate(cells(40))
    assert ([one.score for one in again], service_of(kit).calls) == ([one.score for one in results], [])


async def test_what_was_answered_before_a_cap_is_judged_and_stored(new_kit: Any) -> None:
    kit = await new_kit(rows=40, budget=Budget(calls=10))
    with pytest.raises(BudgetSpent):
        await kit.bench().evaluate(cells(40))
    stored = {one.example_id: one.judgements["service"].score for one in kit.lab.store.evaluations("run")}
    assert stored == {f"r{n}": n / 1000 if n != 7 else None for n in range(10)}


async def test_a_run_that_is_given_up_leaves_no_metric_behind(new_kit: Any) -> None:
    kit = await new_kit(rows=60, concurrency=4)
    running = asyncio.create_task(kit.bench().evaluate(cells(60)))
    while not service_of(kit).calls:  # noqa: ASYNC110 - an event belongs to one loop, and the service runs in another
        await asyncio.sleep(0.005)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.sleep(0.1)  # what was handed over to the other loop just before may still begin
    begun = len(service_of(kit).calls)
    await asyncio.sleep(0.2)
    assert len(service_of(kit).calls) == begun <= 2 * 4


async def test_a_metric_that_is_not_swift_judges_when_no_request_is_under_way(
    new_kit: Any, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit = await new_kit(rows=20)
    kit.scorer = build_scorer([MetricSpec("label", "exact")], Path())
    monkeypatch.setattr(scores, "SWIFT_SECONDS", -1.0)  # so that nothing is swift
    results = await kit.bench().evaluate(cells(20))
    assert [one.score for one in results] == [1.0] * 20
    assert [phase for phase, _, _ in kit.ticks] == ["evaluating"] * 20 + ["scoring"] * 19
