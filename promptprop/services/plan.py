"""`plan`: what a run will take, before it spends anything: calls, tokens, money, rounds, smallest detectable gain."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from promptprop.domain.budget import Amount, Budget, worst_case
from promptprop.domain.errors import UsageError
from promptprop.domain.models import Example, Json, Message, Usage
from promptprop.ports import Brief, QuestionBound, Shape
from promptprop.roles.template import fill_prompt
from promptprop.services.reserve import EndpointSpec

BYTES_PER_TOKEN = 4  # a usual share for English text; the bound is one
LIKELY_ANSWER = 0.25  # of max_tokens: what answers usually take
LEAST_ROUNDS = 2
POWER = 0.8


@dataclass(frozen=True, slots=True)
class Range:
    """A low, a likely and a largest amount."""

    low: Amount
    likely: Amount
    high: Amount


NOTHING = Range(Amount(), Amount(), Amount())


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will take. `finish` is held back for the confirmation and the sealed test."""

    rows: Mapping[str, int]
    finish: Range
    each_round: Range
    total: Range
    rounds: int | None
    detectable: float | None
    priced: bool
    budget: Budget

    def as_json(self) -> Json:
        """The documented shape of `plan --json`; money as decimal strings, None where a price is unknown."""
        return {
            "rows": dict(self.rows),
            "budget": self.budget.as_json(),
            "priced": self.priced,
            "finish": _range_json(self.finish, priced=self.priced),
            "round": _range_json(self.each_round, priced=self.priced),
            "total": _range_json(self.total, priced=self.priced),
            "rounds_affordable": self.rounds,
            "smallest_detectable_gain": self.detectable,
        }


def make_plan(
    brief: Brief,
    shape: Shape,
    endpoints: Mapping[str, EndpointSpec],
    sample: Sequence[Example],
    budget: Budget,
    reserve: Amount,
    questions: Sequence[QuestionBound] = (),
) -> Plan:
    """The plan from the seed's real messages on a sample of rows, and from what metrics ask about each answer.

    `reserve` is what is held back for FINISH; `require_payable` refuses a budget that cannot hold it.
    """
    evaluation = _plus(_evaluation(brief, endpoints, sample), _questions(brief, endpoints, sample, questions))
    role = _role_call(brief, endpoints, sample) if shape.role_calls else NOTHING
    finish = replace(_times(evaluation, shape.finish), high=reserve)
    set_up = _times(evaluation, shape.set_up)
    each_round = _plus(_times(evaluation, shape.each_round), _times(role, shape.role_calls))
    most = _plus(_times(evaluation, shape.most_each_round), _times(role, shape.most_role_calls)).high
    each_round = replace(each_round, high=most)
    rounds = _affordable(budget, _plus(finish, set_up).likely, each_round.likely, shape.rounds)
    steps = {step.endpoint for step in brief.program.steps} | ({"critic", "rewriter"} if shape.role_calls else set())
    steps |= {bound.endpoint for bound in questions}
    return Plan(
        rows={
            "train": len(brief.train),
            "select": len(brief.select),
            "confirm": len(brief.confirm),
            "test": len(brief.test),
        },
        finish=finish,
        each_round=each_round,
        total=Range(
            low=_plus(_plus(finish, set_up), _times(each_round, min(LEAST_ROUNDS, rounds))).low,
            likely=_plus(_plus(finish, set_up), _times(each_round, rounds)).likely,
            high=_capped(budget, _plus(_plus(finish, set_up), _times(each_round, shape.rounds)).high),
        ),
        rounds=rounds,
        detectable=detectable_gain(len(brief.test)),
        priced=all(endpoints[alias].price is not None for alias in steps if alias in endpoints),
        budget=budget,
    )


def require_payable(budget: Budget, reserve: Amount) -> None:
    """Refuse a budget that cannot even pay FINISH. Raises UsageError naming the cap and what it must be at least."""
    for name, cap, need in (
        ("calls", budget.calls, reserve.calls),
        ("tokens", budget.tokens, reserve.tokens),
        ("usd", budget.picousd, reserve.picousd),
    ):
        if cap is not None and need >= cap:
            amount = f"{Decimal(need) / 10**12:.4f}" if name == "usd" else f"{need:,}"
            raise UsageError(
                f"budget.{name} leaves nothing for the search: the confirmation and the sealed test alone may take "
                f"{amount}",
                remedy=f"raise budget.{name}, lower max_tokens, or give select and test fewer rows",
            )


def detectable_gain(rows: int) -> float | None:
    """The smallest gain on so many test rows that is proven with 80 % power, if one row in five changes its score.

    n = (z₁₋α/₂ + z_power)² · σ² / Δ² for a paired test, with σ² = 0.2: see e.g. Chow, Shao & Wang, Sample Size
    Calculations in Clinical Research, chapter 3.
    """
    if rows < 2:
        return None
    z_two_sided, z_power = 1.959964, 0.841621
    return min(1.0, (z_two_sided + z_power) * math.sqrt(0.2 / rows))


def _evaluation(brief: Brief, endpoints: Mapping[str, EndpointSpec], sample: Sequence[Example]) -> Range:
    """What one evaluation takes, by the seed's messages on the sample."""
    totals = NOTHING
    for step in brief.program.steps:
        spec = endpoints[step.endpoint]
        known = {other.output: "x" * 4 * int(spec.max_tokens * LIKELY_ANSWER) for other in brief.program.steps}
        prompt = brief.seeds[0].prompts[step.id]
        filled = [fill_prompt(prompt, {**known, **example.inputs}) for example in sample]
        sizes = [sum(len(message.content.encode()) for message in messages) for messages in filled] or [0]
        mean = sum(sizes) // len(sizes)
        step_range = Range(
            low=_call(spec, mean // BYTES_PER_TOKEN, 1),
            likely=_call(spec, mean // BYTES_PER_TOKEN, max(1, int(spec.max_tokens * LIKELY_ANSWER))),
            high=worst_case((Message("user", "x" * max(sizes)),), spec.max_tokens, spec.price),
        )
        totals = _plus(totals, step_range)
    return totals


def _questions(
    brief: Brief, endpoints: Mapping[str, EndpointSpec], sample: Sequence[Example], questions: Sequence[QuestionBound]
) -> Range:
    """What metrics ask about one answer: each model once, as the whole panel would; at most as often as they may."""
    rows = [len(str(dict(example.inputs)).encode()) for example in sample] or [0]
    answer = endpoints[brief.program.steps[-1].endpoint].max_tokens
    totals = NOTHING
    for bound in questions:
        spec = endpoints[bound.endpoint]
        size = bound.size + sum(rows) // len(rows) + int(answer * LIKELY_ANSWER) * BYTES_PER_TOKEN
        most = bound.size + 2 * max(rows) + 2 * answer * BYTES_PER_TOKEN
        asked = Range(
            low=_call(spec, size // BYTES_PER_TOKEN, 1),
            likely=_call(spec, size // BYTES_PER_TOKEN, max(1, int(spec.max_tokens * LIKELY_ANSWER))),
            high=worst_case((Message("user", "x" * most),), spec.max_tokens, spec.price).times(bound.calls),
        )
        totals = _plus(totals, asked)
    return totals


def _role_call(brief: Brief, endpoints: Mapping[str, EndpointSpec], sample: Sequence[Example]) -> Range:
    """What one call of critic or rewriter takes: the prompt, some rows, and an answer as long as a prompt."""
    spec = endpoints["rewriter"]
    rows = [len(str(dict(example.inputs))) for example in sample] or [0]
    prompt = brief.seeds[0].length + 1500
    size = prompt + 8 * sum(rows) // len(rows)
    answer = max(64, brief.seeds[0].length // BYTES_PER_TOKEN)
    return Range(
        low=_call(spec, size // BYTES_PER_TOKEN, answer),
        likely=_call(spec, size * 3 // 2 // BYTES_PER_TOKEN, answer * 2),
        high=worst_case((Message("user", "x" * size * 3),), spec.max_tokens, spec.price),
    )


def _call(spec: EndpointSpec, prompt: int, completion: int) -> Amount:
    money = spec.price.of(Usage(prompt, completion)) if spec.price else 0
    return Amount(1, prompt + completion, money)


def _times(amounts: Range, factor: int) -> Range:
    return Range(amounts.low.times(factor), amounts.likely.times(factor), amounts.high.times(factor))


def _plus(one: Range, other: Range) -> Range:
    return Range(one.low + other.low, one.likely + other.likely, one.high + other.high)


def _affordable(budget: Budget, fixed: Amount, each: Amount, most: int) -> int:
    """Rounds that fit into the caps, and never more than the optimizer's own limit."""
    fits = [
        max(0, cap - spent) // max(1, per)
        for cap, spent, per in (
            (budget.calls, fixed.calls, each.calls),
            (budget.tokens, fixed.tokens, each.tokens),
            (budget.picousd, fixed.picousd, each.picousd),
        )
        if cap is not None
    ]
    return min([*fits, most])


def _capped(budget: Budget, amount: Amount) -> Amount:
    """A hard budget is the most that can be spent, whatever the shape says."""
    caps = (budget.calls, budget.tokens, budget.picousd)
    values = (amount.calls, amount.tokens, amount.picousd)
    calls, tokens, picousd = (
        value if cap is None else min(cap, value) for cap, value in zip(caps, values, strict=True)
    )
    return Amount(calls, tokens, picousd)


def _range_json(amounts: Range, *, priced: bool) -> Json:
    return {
        name: {
            "calls": amount.calls,
            "tokens": amount.tokens,
            "usd": f"{Decimal(amount.picousd) / 10**12:.6f}" if priced else None,
        }
        for name, amount in (("low", amounts.low), ("likely", amounts.likely), ("max", amounts.high))
    }
