"""What a run will take, before it spends anything."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from promptprop.domain.budget import Amount, Budget, Price
from promptprop.domain.errors import UsageError
from promptprop.domain.models import Candidate, Example, Program, Prompt, Row, Step
from promptprop.ports import Brief, Shape
from promptprop.services.plan import Plan, detectable_gain, make_plan, require_payable
from promptprop.services.reserve import EndpointSpec, reserve_for, uses_of

PRICE = Price(100_000, 400_000)
ENDPOINTS = {
    "task": EndpointSpec("m", {}, 100, PRICE),
    "critic": EndpointSpec("m", {}, 1000, PRICE),
    "rewriter": EndpointSpec("m", {}, 1000, PRICE),
}
SHAPE = Shape(set_up=4, each_round=10, role_calls=2, finish=6, rounds=5, most_each_round=16, most_role_calls=4)
SAMPLE = [Example("a", {"text": "x" * 80}), Example("b", {"text": "x" * 120})]


def rows(prefix: str, count: int) -> tuple[Row, ...]:
    return tuple(Row(f"{prefix}{number}", "s", f"{prefix}{number}") for number in range(count))


def brief(prompt: str = "Say it: {{ text }}") -> Brief:
    program = Program((Step("main", "output"),))
    seed = Candidate({"main": Prompt.of(prompt)})
    return Brief("t", program, (seed,), rows("n", 4), rows("s", 3), rows("c", 2), rows("t", 5), seed=7)


def plan(budget: Budget, endpoints: dict[str, EndpointSpec] | None = None) -> Plan:
    return make_plan(brief(), SHAPE, endpoints or ENDPOINTS, SAMPLE, budget, Amount(7, 9000, 10**9))


def test_amounts_never_shrink_from_low_to_max() -> None:
    made = plan(Budget())
    for amounts in (made.finish, made.each_round, made.total):
        assert amounts.low.tokens <= amounts.likely.tokens <= amounts.high.tokens
        assert amounts.low.calls <= amounts.likely.calls <= amounts.high.calls
        assert amounts.low.picousd <= amounts.likely.picousd <= amounts.high.picousd


def test_the_most_that_finish_can_take_is_what_is_held_back_for_it() -> None:
    assert plan(Budget()).finish.high == Amount(7, 9000, 10**9)


def test_a_rounds_most_is_a_bound_and_not_the_likely_figure() -> None:
    made = plan(Budget())
    assert made.each_round.likely.calls == 12
    assert made.each_round.high.calls == 20


def test_a_hard_budget_is_the_most_that_can_be_spent() -> None:
    made = plan(Budget(calls=30, usd=Decimal("0.0001")))
    assert made.total.high.calls == 30
    assert made.total.high.picousd == 10**8


@pytest.mark.parametrize(("calls", "rounds"), [(22, 1), (34, 2), (10_000, 5), (11, 0)])
def test_the_budget_says_how_many_rounds_it_pays(calls: int, rounds: int) -> None:
    assert plan(Budget(calls=calls)).rounds == rounds


def test_without_a_cap_the_optimizers_own_limit_holds() -> None:
    assert plan(Budget()).rounds == SHAPE.rounds


def test_an_unknown_price_is_told() -> None:
    unpriced = {**ENDPOINTS, "rewriter": EndpointSpec("m", {}, 1000, None)}
    assert plan(Budget()).priced
    assert not plan(Budget(), unpriced).priced


def test_a_plan_is_plain_json() -> None:
    document = plan(Budget(calls=100)).as_json()
    assert json.loads(json.dumps(document)) == document
    assert document["rows"] == {"train": 4, "select": 3, "confirm": 2, "test": 5}


@pytest.mark.parametrize(
    ("budget", "cap"),
    [(Budget(calls=7), "calls"), (Budget(tokens=8000), "tokens"), (Budget(usd=Decimal("0.001")), "usd")],
)
def test_a_budget_that_pays_finish_alone_is_refused_with_its_cap(budget: Budget, cap: str) -> None:
    with pytest.raises(UsageError, match=rf"budget\.{cap} leaves nothing for the search"):
        require_payable(budget, Amount(7, 9000, 10**9))


def test_a_budget_that_pays_more_than_finish_is_not_refused() -> None:
    require_payable(Budget(calls=8, tokens=9001, usd=Decimal("0.0011")), Amount(7, 9000, 10**9))
    require_payable(Budget(), Amount(7, 9000, 10**9))


def test_more_rows_prove_smaller_gains() -> None:
    gains = [detectable_gain(count) for count in (2, 20, 200, 2000)]
    assert None not in gains
    assert gains == sorted(gains, key=lambda gain: -(gain or 0.0))
    assert detectable_gain(1) is None
    assert detectable_gain(200) == pytest.approx(0.0886, abs=1e-3)


def test_the_reserve_bounds_every_filled_prompt() -> None:
    made = brief("First: {{ text }} and again: {{ text }}")
    seed = made.seeds[0]
    longest_inputs = max(len(example.inputs["text"]) for example in SAMPLE)
    reserve = reserve_for(made.program, ENDPOINTS, longest_inputs * uses_of(seed), 10, seed.length)
    filled = seed.text.replace("{{ text }}", "x" * longest_inputs)
    assert reserve.calls == 11  # one in ten for retries
    assert reserve.tokens >= 10 * (len(filled) + ENDPOINTS["task"].max_tokens)
