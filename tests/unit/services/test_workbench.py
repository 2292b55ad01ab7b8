"""The workbench: cells and questions become requests, replies become values; failures stay failures."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any

import pytest
from fake_clients import FakeClient
from laboratory import Lab
from workbench_kit import Kit

from promptprop.domain.budget import Budget
from promptprop.domain.errors import BudgetSpent, ModelError, RequestRefused, TooManyErrors, UnknownModel
from promptprop.domain.events import RoundStarted, SearchEnded, StoredEvent
from promptprop.domain.models import (
    Ask,
    Candidate,
    Cell,
    Example,
    ModelRequest,
    Program,
    Prompt,
    Proposal,
    Reply,
    Step,
    Usage,
)
from promptprop.ports import RunRow
from promptprop.services.replay import Replay

NOON = datetime(2026, 1, 2, tzinfo=timezone.utc)
ONE = Program((Step("main", "answer"),))
TWO = Program((Step("facts", "facts"), Step("desk", "answer", "desk")))
ECHO = Candidate({"main": Prompt.of("say {{ text }}")})
CHAIN = Candidate({"facts": Prompt.of("facts of {{ text }}"), "desk": Prompt.of("decide on {{ facts }} ({{ text }})")})


def replying(text: str) -> Reply:
    return Reply(text, Usage(5, 2), 90, "stop", "m")


def echo(request: ModelRequest, _nth: int) -> Reply:
    return replying(f"<{request.messages[-1].content}>")


@pytest.fixture
def new_kit(lab: Lab) -> Callable[..., Any]:
    """Makes a kit with so many rows; row 3 has the text t3 and expects `<say t3>`."""

    async def make(script: Any = echo, rows: int = 12, program: Program = ONE, **settings: Any) -> Kit:
        examples = [Example(f"r{n}", {"text": f"t{n}"}, f"<say t{n}>") for n in range(rows)]
        dataset = await lab.store.put_dataset("rows", examples)
        await lab.store.create_run(RunRow("run", "rows", "optimize", "created", 1, NOON, NOON, {}, dataset))
        return Kit(lab, FakeClient(script), program, settings)

    return make


def cells(count: int, candidate: Candidate = ECHO) -> list[Cell]:
    return [Cell(candidate, f"r{n}") for n in range(count)]


def refusing(numbers: Sequence[int], error: ModelError | None = None) -> Any:
    texts = {f"say t{n}" for n in numbers}

    def script(request: ModelRequest, nth: int) -> Reply | Exception:
        refused = request.messages[-1].content in texts
        return (error or RequestRefused("not this one")) if refused else echo(request, nth)

    return script


async def test_results_come_in_the_order_asked_whatever_the_latency(new_kit: Any) -> None:
    class Slow(FakeClient):
        async def complete(self, request: ModelRequest, timeout: float) -> Reply:
            await asyncio.sleep(random.Random(request.key).random() * 0.01)
            return await super().complete(request, timeout)

    kit = await new_kit()
    kit.client = Slow(echo)
    asked = [cells(12)[n] for n in (7, 1, 11, 0, 5)] + [Cell(ECHO, "r1", 2)]
    results = await kit.bench().evaluate(asked)
    assert [(one.example_id, one.replicate) for one in results] == [(cell.example_id, cell.replicate) for cell in asked]
    assert [one.output for one in results[:2]] == ["<say t7>", "<say t1>"]
    assert {one.score for one in results} == {1.0}
    assert results[0].usage == Usage(5, 2)
    assert results[0].picousd == 90
    assert [tick[1:] for tick in kit.ticks] == [(n, 6) for n in range(1, 7)]


async def test_equal_cells_share_one_call_and_replicates_never_do(new_kit: Any) -> None:
    kit = await new_kit()
    results = await kit.bench().evaluate([Cell(ECHO, "r1"), Cell(ECHO, "r1"), Cell(ECHO, "r1", 1)])
    assert len(results) == 3
    assert len(kit.client.sent) == 2


async def test_a_second_step_sees_the_output_of_the_first(new_kit: Any) -> None:
    kit = await new_kit(program=TWO)
    (result,) = await kit.bench().evaluate(cells(1, CHAIN))
    assert result.output == "<decide on <facts of t0> (t0)>"
    assert [(trace.step, trace.output) for trace in result.trace] == [
        ("facts", "<facts of t0>"),
        ("desk", "<decide on <facts of t0> (t0)>"),
    ]
    assert result.usage == Usage(10, 4)
    assert [request.endpoint for request in kit.client.requests] == ["task", "desk"]


async def test_a_row_that_fails_at_a_step_asks_no_further_step(new_kit: Any) -> None:
    def script(request: ModelRequest, nth: int) -> Reply | Exception:
        failing = request.messages[-1].content == "facts of t1"
        return RequestRefused("no") if failing else echo(request, nth)

    kit = await new_kit(script, program=TWO)
    results = await kit.bench().evaluate(cells(3, CHAIN))
    assert [one.missing for one in results] == [False, True, False]
    assert results[1].error is not None
    assert len(kit.client.sent) == 5


async def test_a_failing_row_is_missing_and_never_zero(new_kit: Any) -> None:
    kit = await new_kit(refusing([2, 4]))
    results = await kit.bench().evaluate(cells(6))
    assert [one.score for one in results] == [1.0, 1.0, None, 1.0, None, 1.0]
    assert results[2].error is not None
    assert (results[2].error.code, results[2].error.message) == ("request_refused", "not this one")


async def test_a_prompt_that_cannot_be_filled_makes_the_row_missing_without_a_call(new_kit: Any) -> None:
    kit = await new_kit()
    bench = kit.bench()
    await bench.evaluate(cells(1))
    results = await bench.evaluate(cells(2, Candidate({"main": Prompt.of("say {{ other }}")})))
    assert [one.error.code for one in results if one.error] == ["template", "template"]
    assert len(kit.client.sent) == 1


async def test_more_missing_rows_than_allowed_stop_the_block_early_and_loudly(new_kit: Any) -> None:
    kit = await new_kit(refusing(range(0, 400, 2)), rows=400)
    with pytest.raises(TooManyErrors, match=r"most often: not this one") as stopped:
        await kit.bench().evaluate(cells(400))
    assert "--retry-errors" in stopped.value.remedy
    assert len(kit.client.sent) < 300, "half of them fail: there is no need to ask all to know it"
    stored = list(kit.lab.store.evaluations("run"))
    assert sum(1 for one in stored if one.error) > 40


async def test_a_few_missing_rows_do_not_stop_a_small_block(new_kit: Any) -> None:
    kit = await new_kit(refusing([0, 1, 2, 3]))
    bench = kit.bench()
    assert sum(one.missing for one in await bench.evaluate(cells(5))) == 4
    kit.client.script = refusing(range(12))
    with pytest.raises(TooManyErrors, match="5 of 6"):
        await bench.evaluate([Cell(ECHO, "r9"), Cell(ECHO, "r10"), Cell(ECHO, "r11")])


async def test_where_nothing_at_all_has_a_score_few_missing_rows_stop_the_run_as_well(new_kit: Any) -> None:
    kit = await new_kit(refusing(range(12)), max_error_rate=1.0)
    with pytest.raises(TooManyErrors, match=r"2 of 2 evaluations have no score.*not this one") as stopped:
        await kit.bench().evaluate(cells(2))
    assert stopped.value.exit_code == 4
    assert "--retry-errors" in stopped.value.remedy
    assert [one.missing for one in kit.lab.store.evaluations("run")] == [True, True]


async def test_a_recorded_decision_that_rests_on_missing_rows_alone_is_replayed(new_kit: Any) -> None:
    kit = await new_kit(refusing(range(12)))
    at = datetime(2026, 1, 2, tzinfo=timezone.utc)
    recorded = [StoredEvent("run", 1, at, RoundStarted(1, "abc", "best"))]
    results = await kit.bench(Replay(recorded)).evaluate(cells(2))
    assert all(one.missing for one in results)


async def test_a_candidate_none_of_whose_rows_has_a_score_does_not_stop_a_run_that_has_some(new_kit: Any) -> None:
    kit = await new_kit(refusing(range(8, 12)), max_error_rate=1.0)
    bench = kit.bench()
    await bench.evaluate(cells(3))
    assert all(one.missing for one in await bench.evaluate([Cell(ECHO, "r8"), Cell(ECHO, "r9")]))


async def test_an_allowed_error_rate_is_over_all_rows_so_far(new_kit: Any) -> None:
    kit = await new_kit(refusing(range(90, 100)), rows=200, max_error_rate=0.1)
    bench = kit.bench()
    await bench.evaluate(cells(200)[:90])
    results = await bench.evaluate(cells(200)[90:200])
    assert sum(one.missing for one in results) == 10


async def test_an_error_that_stops_the_run_comes_out_as_itself_and_is_not_recorded(new_kit: Any) -> None:
    kit = await new_kit(refusing([3], UnknownModel("no such model")))
    with pytest.raises(UnknownModel, match="no such model"):
        await kit.bench().evaluate(cells(6))
    kit.client.script = echo
    assert [one.score for one in await kit.bench().evaluate(cells(6))] == [1.0] * 6


# --- stored ------------------------------------------------------------------------------------------------------


async def test_a_second_session_reads_stored_scores_even_if_a_metric_changed_its_mind(new_kit: Any) -> None:
    kit = await new_kit(refusing([2]))
    first = await kit.bench().evaluate(cells(6))
    calls, scored = len(kit.client.sent), kit.scorer.scored
    kit.scorer.mood = 0.5
    again = await kit.bench().evaluate(cells(6))
    assert [one.score for one in again] == [one.score for one in first] == [1.0, 1.0, None, 1.0, 1.0, 1.0]
    assert (len(kit.client.sent), kit.scorer.scored) == (calls, scored)
    assert kit.ledger.spend.total.calls == calls, "what this run has paid counts again"
    (fresh,) = await kit.bench().evaluate([Cell(ECHO, "r7")])
    assert fresh.score == 0.5


async def test_another_fingerprint_scores_the_recorded_answers_anew(new_kit: Any) -> None:
    kit = await new_kit()
    await kit.bench().evaluate(cells(6))
    kit.scorer.mood = 1.0
    kit.scorer.fingerprint = "another"
    assert {one.score for one in await kit.bench().evaluate(cells(6))} == {0.0}
    assert len(kit.client.sent) == 6


@pytest.mark.no_cover
async def test_a_block_of_two_thousand_cells_works(new_kit: Any) -> None:
    kit = await new_kit(rows=2000)
    results = await kit.bench().evaluate(cells(2000))
    assert [one.example_id for one in results] == [f"r{n}" for n in range(2000)]
    assert {one.score for one in results} == {1.0}
    assert len(kit.client.sent) == 2000
    assert sum(1 for _ in kit.lab.store.evaluations("run")) == 2000


async def test_candidates_are_kept_and_examples_read_in_the_order_asked(new_kit: Any) -> None:
    kit = await new_kit()
    bench = kit.bench()
    await bench.keep(Proposal(ECHO))
    await bench.keep(Proposal(ECHO))
    assert list(kit.lab.store.candidates("run")) == [ECHO.id]
    assert [one.id for one in bench.examples(["r4", "r1"])] == ["r4", "r1"]


# --- roles -------------------------------------------------------------------------------------------------------


def rewriter_ask(replicate: int = 0) -> Ask:
    inputs = {"task": "t", "prompts": ECHO.prompts, "critiques": [], "failures": [], "tried": [], "kind": "cause"}
    return Ask("rewriter", {**inputs, "longest": 500}, replicate)


GOOD = json.dumps({"hypothesis": "h", "prompts": {"main": "tell {{ text }}"}})


def rewriting(replies: Sequence[str | Exception]) -> Any:
    """Replies in the order of the messages that a conversation has: the first try, then the repair."""

    def script(request: ModelRequest, _nth: int) -> Reply | Exception:
        reply = replies[(len(request.messages) - 1) // 2]
        return reply if isinstance(reply, Exception) else replying(reply)

    return script


async def test_a_reply_that_parses_needs_one_request(new_kit: Any) -> None:
    kit = await new_kit(rewriting([GOOD]))
    (answer,) = await kit.bench().ask([rewriter_ask()])
    assert answer.value.prompts["main"].text == "tell {{ text }}"
    assert (answer.repaired, len(kit.client.sent)) == (False, 1)
    assert kit.client.requests[0].role == "rewriter"


async def test_a_reply_that_does_not_parse_is_repaired_once(new_kit: Any) -> None:
    lost = json.dumps({"prompts": {"main": "tell me"}})
    kit = await new_kit(rewriting([lost, GOOD]))
    (answer,) = await kit.bench().ask([rewriter_ask()])
    assert answer.repaired
    assert answer.value.hypothesis == "h"
    (_, again) = kit.client.requests
    assert [message.role for message in again.messages] == ["user", "assistant", "user"]
    assert again.messages[1].content == lost
    assert "has lost {{ text }}" in again.messages[2].content


async def test_two_replies_that_do_not_parse_are_dropped_with_the_reason(new_kit: Any) -> None:
    kit = await new_kit(rewriting(["what?", "what??"]))
    answers = await kit.bench().ask([rewriter_ask(1), rewriter_ask(2)])
    assert [answer.value for answer in answers] == [None, None]
    assert answers[0].failure is not None
    assert answers[0].failure.code == "unreadable_reply"
    assert len(kit.client.sent) == 4


@pytest.mark.parametrize("replies", [[RequestRefused("no")], ["what?", RequestRefused("no")]])
async def test_a_role_call_that_fails_has_no_value_and_counts_no_row(new_kit: Any, replies: list[Any]) -> None:
    kit = await new_kit(rewriting(replies))
    bench = kit.bench()
    answers = await bench.ask([rewriter_ask(n) for n in range(8)])
    assert [answer.value for answer in answers] == [None] * 8
    assert {answer.failure.code for answer in answers if answer.failure} == {"request_refused"}
    calls = len(kit.client.sent)
    await kit.bench().ask([rewriter_ask(n) for n in range(8)])
    assert len(kit.client.sent) == calls, "failures are recorded with their block"


async def test_answers_come_in_the_order_asked(new_kit: Any) -> None:
    def script(request: ModelRequest, _nth: int) -> Reply:
        if request.replicate % 2 and len(request.messages) == 1:
            return replying("what?")
        return replying(GOOD.replace("tell", f"tell {request.replicate}"))

    kit = await new_kit(script)
    answers = await kit.bench().ask([rewriter_ask(n) for n in range(6)])
    assert [answer.value.prompts["main"].text for answer in answers] == [f"tell {n} {{{{ text }}}}" for n in range(6)]
    assert [answer.repaired for answer in answers] == [False, True] * 3


# --- budgets -----------------------------------------------------------------------------------------------------


async def test_hold_keeps_the_reserve_until_it_is_released(new_kit: Any) -> None:
    kit = await new_kit(budget=Budget(calls=20))
    bench = kit.bench()
    bench.hold(10, ECHO.length)  # and one in ten for retries
    with pytest.raises(BudgetSpent, match="calls"):
        await bench.evaluate(cells(12))
    assert bench.spend.total.calls == len(kit.client.sent) == 9
    bench.hold(0, 0)
    assert len(await bench.evaluate(cells(12))) == 12
    assert bench.spend.total.calls == len(kit.client.sent) == 12


async def test_what_was_answered_before_a_cap_is_stored(new_kit: Any) -> None:
    kit = await new_kit(budget=Budget(calls=5))
    with pytest.raises(BudgetSpent):
        await kit.bench().evaluate(cells(12))
    assert [one.example_id for one in kit.lab.store.evaluations("run")] == [f"r{n}" for n in range(5)]


async def test_in_a_chain_a_cap_stores_only_rows_that_came_to_the_end(new_kit: Any) -> None:
    kit = await new_kit(program=TWO, budget=Budget(calls=15))
    with pytest.raises(BudgetSpent):
        await kit.bench().evaluate(cells(12, CHAIN))
    stored = list(kit.lab.store.evaluations("run"))
    assert [one.example_id for one in stored] == ["r0", "r1", "r2"]
    assert all(len(one.trace) == 2 and not one.error for one in stored)


async def test_the_deadline_ends_the_search_at_a_barrier_and_never_finish(new_kit: Any) -> None:
    kit = await new_kit(budget=Budget(seconds=10))
    bench = kit.bench()
    bench.hold(1, 10)
    await bench.evaluate(cells(1))
    kit.seconds = 10.0
    with pytest.raises(BudgetSpent, match="seconds"):
        await bench.ask([rewriter_ask()])
    bench.hold(0, 0)
    assert len(await bench.evaluate(cells(2))) == 2
    assert bench.barrier == 3


async def test_while_replaying_the_record_decides_about_the_deadline(new_kit: Any) -> None:
    kit = await new_kit(budget=Budget(seconds=10))
    ended = StoredEvent("run", 1, NOON, SearchEnded("seconds", 1, 2))
    bench = kit.bench(Replay([ended]))
    bench.hold(1, 10)
    kit.seconds = 1e9
    await bench.evaluate(cells(1))
    kit.seconds = 0.0
    with pytest.raises(BudgetSpent, match="seconds"):
        await bench.evaluate(cells(2))


async def test_nothing_asked_is_nothing_sent_but_a_barrier_all_the_same(new_kit: Any) -> None:
    kit = await new_kit()
    bench = kit.bench()
    assert await bench.evaluate([]) == []
    assert await bench.ask([]) == []
    assert (bench.barrier, kit.client.sent) == (2, [])
