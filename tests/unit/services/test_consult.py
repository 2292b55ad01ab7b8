"""Metrics that ask models, in the workbench: who is asked, what is stored, and what a replay does not ask again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from fake_clients import FakeClient
from laboratory import Lab
from workbench_kit import Kit

from promptprop.domain.budget import Budget
from promptprop.domain.errors import BudgetSpent, RequestRefused, TooManyErrors
from promptprop.domain.models import Candidate, Cell, Example, ModelRequest, Program, Prompt, Reply, Step, Usage
from promptprop.metrics.base import Seat, Setting
from promptprop.metrics.scoring import MetricSpec, build_scorer
from promptprop.ports import RunRow

NOON = datetime(2026, 1, 2, tzinfo=timezone.utc)
ONE = Program((Step("main", "answer"),))
TWO = Program((Step("facts", "facts"), Step("desk", "answer", "desk")))
ECHO = Candidate({"main": Prompt.of("say {{ text }}")})
CHAIN = Candidate({"facts": Prompt.of("facts of {{ text }}"), "desk": Prompt.of("decide on {{ facts }}")})
SETTING = Setting("Say it.", (Seat("a"), Seat("b"), Seat("c")))


def replying(text: str) -> Reply:
    return Reply(text, Usage(5, 2), 90, "stop", "m")


def scored(score: int) -> Reply:
    return replying(json.dumps({"score": score, "reason": f"{score} it is"}))


def world(request: ModelRequest, _nth: int) -> Reply | Exception:
    """Tasks echo; juror a says 80, b says 60, and c says 20."""
    if request.role == "task":
        return replying(f"<{request.messages[-1].content}>")
    return scored({"juror.a": 80, "juror.b": 60, "juror.c": 20}[request.endpoint])


@pytest.fixture
def new_kit(lab: Lab) -> Callable[..., Any]:
    """Makes a kit with so many rows, whose answers a jury with these options judges."""

    async def make(
        script: Any = world, rows: int = 6, program: Program = ONE, options: dict[str, Any] | None = None, **more: Any
    ) -> Kit:
        examples = [Example(f"r{n}", {"text": f"t{n}"}, f"<say t{n}>") for n in range(rows)]
        dataset = await lab.store.put_dataset("rows", examples)
        await lab.store.create_run(RunRow("run", "rows", "optimize", "created", 1, NOON, NOON, {}, dataset))
        kit = Kit(lab, FakeClient(script), program, more)
        specs = [MetricSpec("panel", "jury", options=options or {}), *more.get("metrics", ())]
        kit.scorer = build_scorer(specs, Path(), SETTING)
        return kit

    return make


def cells(count: int, candidate: Candidate = ECHO, replicate: int = 0) -> list[Cell]:
    return [Cell(candidate, f"r{n}", replicate) for n in range(count)]


def asked(kit: Kit) -> Counter[str]:
    return Counter(request.endpoint for request in kit.client.requests)


async def test_every_answer_is_shown_to_the_panel_and_votes_are_stored(new_kit: Any) -> None:
    kit = await new_kit()
    results = await kit.bench().evaluate(cells(6))
    assert asked(kit) == {"task": 6, "juror.a": 6, "juror.b": 6, "juror.c": 6}
    assert [one.score for one in results] == [0.6] * 6
    assert {name: word.score for name, word in results[0].judgements.items()} == {
        "panel": 0.6, "panel/a": 0.8, "panel/b": 0.6, "panel/c": 0.2,
    }  # fmt: skip
    assert results[0].usage == Usage(5, 2), "what the answer costs in production, and not what its judges cost"
    assert kit.ledger.spend.of("juror").calls == 18
    again = await kit.bench().evaluate(cells(6))
    assert again == results
    assert len(kit.client.requests) == 24


async def test_the_last_step_of_a_chain_is_what_is_judged(new_kit: Any) -> None:
    kit = await new_kit(program=TWO)
    results = await kit.bench().evaluate(cells(2, CHAIN))
    assert [one.score for one in results] == [0.6, 0.6]
    shown = next(request for request in kit.client.requests if request.endpoint == "juror.a")
    assert '"answer":"\\u003cdecide on' in shown.messages[0].content.replace(" ", " ")


async def test_equal_answers_to_a_row_are_judged_once_a_replicate(new_kit: Any) -> None:
    def same(request: ModelRequest, nth: int) -> Reply | Exception:
        return replying("it is on its way") if request.role == "task" else world(request, nth)

    kit = await new_kit(same)
    other = Candidate({"main": Prompt.of("do say {{ text }}")})
    await kit.bench().evaluate([*cells(6), *cells(6, other)])
    assert asked(kit) == {"task": 12, "juror.a": 6, "juror.b": 6, "juror.c": 6}
    await kit.bench().evaluate(cells(6, replicate=1))
    assert asked(kit)["juror.a"] == 12


async def test_half_of_ten_thousand_judged_rows_that_repeat_take_half_of_the_calls(new_kit: Any) -> None:
    """In small: 200 rows here; the campaign and docs/evidence.md have 10,000."""
    kit = await new_kit(
        lambda request, nth: replying("yes") if request.role == "task" else world(request, nth), rows=100
    )
    one, two = ECHO, Candidate({"main": Prompt.of("please say {{ text }}")})
    results = await kit.bench().evaluate([*cells(100, one), *cells(100, two)])
    assert len(results) == 200
    assert asked(kit)["juror.a"] == 100


async def test_a_row_that_failed_is_shown_to_nobody(new_kit: Any) -> None:
    def script(request: ModelRequest, nth: int) -> Reply | Exception:
        if request.messages[-1].content == "say t2":
            return RequestRefused("no")
        return world(request, nth)

    kit = await new_kit(script, max_error_rate=0.5)
    results = await kit.bench().evaluate(cells(6))
    assert [one.missing for one in results] == [False, False, True, False, False, False]
    assert asked(kit)["juror.a"] == 5


async def test_a_juror_that_fails_on_a_row_is_missing_there_and_the_others_count(new_kit: Any) -> None:
    def script(request: ModelRequest, nth: int) -> Reply | Exception:
        if request.endpoint == "juror.a" and "t3" in request.messages[0].content:
            return RequestRefused("content policy")
        return world(request, nth)

    results = await (await new_kit(script)).bench().evaluate(cells(6))
    assert [one.score for one in results] == pytest.approx([0.6, 0.6, 0.6, 0.4, 0.6, 0.6])
    assert results[3].judgements["panel/a"].score is None
    assert "content policy" in results[3].judgements["panel/a"].feedback


async def test_an_answer_that_nobody_could_judge_is_missing_and_too_many_stop_the_run(new_kit: Any) -> None:
    def silent(numbers: set[str]) -> Any:
        def script(request: ModelRequest, nth: int) -> Reply | Exception:
            unread = request.role == "juror" and any(f"say {name}" in request.messages[0].content for name in numbers)
            return replying("I would rather not.") if unread else world(request, nth)

        return script

    kit = await new_kit(silent({"t1"}), max_error_rate=0.5)
    results = await kit.bench().evaluate(cells(6))
    assert [one.score for one in results] == [0.6, None, 0.6, 0.6, 0.6, 0.6]
    assert results[1].error is not None
    assert results[1].error.code == "unjudged"
    assert results[1].output == "<say t1>", "what was answered is kept"
    assert asked(kit)["juror.a"] == 7, "asked once more, and no oftener"
    assert await kit.bench().evaluate(cells(6)) == results
    assert asked(kit)["juror.a"] == 7, "a replay does not ask again"


async def test_a_jury_that_says_nothing_usable_stops_the_run_with_the_reason(new_kit: Any) -> None:
    kit = await new_kit(lambda request, nth: world(request, nth) if request.role == "task" else replying("Nice!"))
    with pytest.raises(TooManyErrors, match="no metric could judge the answer") as stopped:
        await kit.bench().evaluate(cells(6))
    assert stopped.value.exit_code == 4


async def test_a_cascade_spares_calls_and_a_metric_in_code_spares_more(new_kit: Any) -> None:
    kit = await new_kit(options={"cascade": {"first": "a", "line": 0.5, "near": 0.2}})
    results = await kit.bench().evaluate(cells(6))
    assert asked(kit) == {"task": 6, "juror.a": 6}
    assert {one.score for one in results} == {0.8}


async def test_where_a_metric_in_code_is_satisfied_nobody_is_asked(new_kit: Any) -> None:
    metrics = [MetricSpec("label", "exact", weight=0)]
    kit = await new_kit(options={"cascade": {"after": "label"}}, metrics=metrics)
    assert {one.score for one in await kit.bench().evaluate(cells(6))} == {1.0}
    assert asked(kit) == {"task": 6}


async def test_a_refusing_budget_keeps_what_was_judged_and_says_so(new_kit: Any) -> None:
    kit = await new_kit(budget=Budget(calls=15))
    with pytest.raises(BudgetSpent, match="calls"):
        await kit.bench().evaluate(cells(6))
    assert kit.ledger.spend.total.calls == 15
    assert asked(kit)["task"] == 6
    roomy = Kit(kit.lab, kit.client, kit.program, {})
    roomy.scorer = kit.scorer
    assert [one.score for one in await roomy.bench().evaluate(cells(6))] == [0.6] * 6
    assert asked(kit) == {"task": 6, "juror.a": 6, "juror.b": 6, "juror.c": 6}


async def test_finish_holds_back_what_the_jury_may_cost(new_kit: Any) -> None:
    kit = await new_kit()
    held = []
    for scorer in (build_scorer([MetricSpec("label", "exact")], Path()), kit.scorer):
        kit.scorer = scorer
        bench = kit.bench()
        taken: list[Any] = []
        kit.ledger.hold = taken.append  # type: ignore[method-assign]
        bench.hold(10, 100)
        held.append(taken[0].calls)
    assert held == [11, 11 + 3 * (10 + 2)]
