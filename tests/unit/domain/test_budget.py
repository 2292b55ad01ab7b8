"""Caps, reservations and spend: arithmetic that never lets a cap be overshot unseen."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from dataclasses import astuple
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.domain.budget import (
    CAPS,
    OVERHEAD_TOKENS,
    Amount,
    Budget,
    Price,
    RoleSpend,
    Spend,
    cap_broken,
    prompt_token_bound,
    settled,
    worst_case,
)
from promptprop.domain.models import PICO, Attempts, Message, Reply, Usage

VOCABULARIES = ("cl100k_base", "o200k_base")
COUNTS = st.integers(0, 10**6)
MONEY = st.integers(0, 10**18)
AMOUNTS = st.builds(Amount, COUNTS, COUNTS, MONEY)
USD = st.decimals(0, 10**6, places=12)
BUDGETS = st.builds(
    Budget,
    calls=st.none() | COUNTS,
    tokens=st.none() | COUNTS,
    usd=st.none() | USD,
    seconds=st.none() | st.floats(0.1, 1e6),
)
REPLIES = st.builds(
    Reply,
    text=st.just("x"),
    usage=st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS),
    picousd=st.none() | MONEY,
    finish_reason=st.just("stop"),
    model=st.just("m"),
)
ATTEMPTS = st.builds(Attempts, st.integers(0, 9), st.integers(0, 9), COUNTS, st.none() | MONEY)
ROLE_SPENDS = st.builds(RoleSpend, *[COUNTS] * 8)
SPENDS = st.dictionaries(st.sampled_from(["task", "critic", "rewriter"]), ROLE_SPENDS).map(Spend)


def within(budget: Budget, amount: Amount) -> bool:
    caps = ((budget.calls, amount.calls), (budget.tokens, amount.tokens), (budget.picousd, amount.picousd))
    return all(cap is None or used <= cap for cap, used in caps)


# --- caps -----------------------------------------------------------------------------------------------------------


@given(BUDGETS, AMOUNTS, AMOUNTS, AMOUNTS)
def test_a_cap_breaks_exactly_where_the_sum_overshoots_it(
    budget: Budget, committed: Amount, needed: Amount, reserve: Amount
) -> None:
    broken = cap_broken(budget, committed, needed, reserve)
    assert (broken is None) == within(budget, committed + needed + reserve)
    assert broken is None or broken in CAPS


@given(BUDGETS, AMOUNTS, AMOUNTS, AMOUNTS)
def test_what_holds_with_a_reserve_holds_without_one(budget: Budget, spent: Amount, more: Amount, kept: Amount) -> None:
    if cap_broken(budget, spent, more, kept) is None:
        assert cap_broken(budget, spent, more) is None
        assert cap_broken(budget, Amount(), more) is None


@given(AMOUNTS, AMOUNTS)
def test_no_cap_never_breaks(committed: Amount, needed: Amount) -> None:
    assert cap_broken(Budget(seconds=1.0), committed, needed) is None


@pytest.mark.parametrize(
    ("budget", "cap"),
    [
        (Budget(calls=1), "calls"),
        (Budget(tokens=1), "tokens"),
        (Budget(usd=Decimal("0.000000000001")), "usd"),
        (Budget(calls=1, tokens=1), "calls"),
    ],
)
def test_the_first_cap_that_breaks_is_named(budget: Budget, cap: str) -> None:
    assert cap_broken(budget, Amount(1, 1, 1), Amount(1, 1, 1)) == cap


@given(BUDGETS)
def test_a_budget_survives_its_way_through_json(budget: Budget) -> None:
    assert Budget.from_json(json.loads(json.dumps(budget.as_json(), allow_nan=False))) == budget


@given(USD)
def test_a_money_cap_is_exact(usd: Decimal) -> None:
    assert Budget(usd=usd).picousd == usd.scaleb(12)


def test_only_a_budget_without_any_cap_is_unlimited() -> None:
    assert Budget().unlimited
    assert Budget().picousd is None
    one_cap = [Budget(calls=0), Budget(tokens=0), Budget(usd=Decimal(0)), Budget(seconds=0.0)]
    assert not any(budget.unlimited for budget in one_cap)


def test_raising_one_cap_leaves_the_others() -> None:
    budget = Budget(calls=1, tokens=2, usd=Decimal("0.5"), seconds=4.0)
    assert budget.raised(usd="1.10", calls=9) == Budget(9, 2, Decimal("1.10"), 4.0)
    assert budget.raised(tokens=None) == Budget(1, None, Decimal("0.5"), 4.0)
    assert budget.raised() == budget
    assert budget.raised(usd=0.1).usd == Decimal("0.1")


# --- amounts and prices ---------------------------------------------------------------------------------------------


@given(AMOUNTS, AMOUNTS, st.integers(0, 99))
def test_amounts_add_subtract_and_multiply_field_by_field(one: Amount, other: Amount, factor: int) -> None:
    assert one + other - other == one
    assert astuple(one.times(factor)) == tuple(value * factor for value in astuple(one))


@pytest.fixture(scope="module")
def tokenisers() -> list[Any]:
    """Real tokenisers whose vocabularies LiteLLM brings along; tiktoken would else ask for a download."""
    tiktoken = pytest.importorskip("tiktoken")
    spec = importlib.util.find_spec("litellm")
    folder = Path(str(spec and spec.origin)).parent / "litellm_core_utils" / "tokenizers"
    addresses = {name: f"https://openaipublic.blob.core.windows.net/encodings/{name}.tiktoken" for name in VOCABULARIES}
    there = [name for name in VOCABULARIES if (folder / hashlib.sha1(addresses[name].encode()).hexdigest()).is_file()]
    if not there:
        pytest.skip("LiteLLM brings no vocabulary for tiktoken")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", str(folder))
        return [tiktoken.get_encoding(name) for name in there]


@given(st.text(max_size=80) | st.text("äß漢字🙂\u200d\n\t \x01", max_size=40))
def test_real_tokenisers_stay_below_the_bound(tokenisers: list[Any], text: str) -> None:
    for tokeniser in tokenisers:
        assert len(tokeniser.encode(text, disallowed_special=())) <= prompt_token_bound((Message("user", text),))


@given(st.text(st.characters(exclude_categories=()), max_size=200))
def test_the_bound_is_one_token_a_byte_and_the_overhead(text: str) -> None:
    size = len(text.encode("utf-8", "surrogatepass"))
    assert prompt_token_bound((Message("user", text),)) == size + OVERHEAD_TOKENS


def test_every_message_costs_its_overhead() -> None:
    messages = (Message("system", ""), Message("user", "äb"), Message("assistant", ""))
    assert prompt_token_bound(messages) == 3 + 3 * OVERHEAD_TOKENS
    assert prompt_token_bound(()) == 0


@given(
    st.lists(st.text(max_size=30), max_size=4),
    st.integers(0, 5000),
    st.builds(Price, COUNTS, COUNTS),
    st.integers(0, 99),
    st.integers(0, 99),
)
def test_the_worst_case_bounds_every_answer_within_its_length(
    texts: list[str], max_tokens: int, price: Price, used: int, answered: int
) -> None:
    messages = tuple(Message("user", text) for text in texts)
    worst = worst_case(messages, max_tokens, price)
    prompt_tokens, completion = min(used, prompt_token_bound(messages)), min(answered, max_tokens)
    assert worst.calls == 1
    assert worst.tokens >= prompt_tokens + completion
    assert worst.picousd >= price.of(Usage(prompt_tokens, completion))


def test_an_unknown_price_counts_as_nothing() -> None:
    assert worst_case((Message("user", "abc"),), 10, None) == Amount(1, 3 + OVERHEAD_TOKENS + 10, 0)


def test_a_price_is_money_per_token() -> None:
    assert Price(2, 3).of(Usage(10, 100)) == 320


# --- spend ----------------------------------------------------------------------------------------------------------


@given(st.none() | REPLIES, ATTEMPTS)
def test_a_finished_call_counts_what_was_sent_and_the_reservation_where_no_usage_was_seen(
    reply: Reply | None, attempts: Attempts
) -> None:
    amount = settled(reply, attempts)
    assert amount.calls == attempts.sent
    assert amount.tokens == (reply.usage.total if reply else 0) + attempts.unconfirmed_tokens
    assert amount.picousd == ((reply.picousd if reply else 0) or 0) + (attempts.unconfirmed_picousd or 0)


@given(ROLE_SPENDS, st.none() | REPLIES, ATTEMPTS)
def test_a_role_that_makes_a_call_has_spent_what_the_call_settled(
    before: RoleSpend, reply: Reply | None, attempts: Attempts
) -> None:
    after, amount = before.plus(reply, attempts), settled(reply, attempts)
    assert after.calls - before.calls == amount.calls
    assert after.tokens - before.tokens == amount.tokens
    assert after.picousd - before.picousd == amount.picousd
    assert after.unconfirmed - before.unconfirmed == attempts.unconfirmed
    unseen = attempts.unconfirmed if attempts.unconfirmed_picousd is None else 0
    assert after.unpriced - before.unpriced == unseen + (reply is not None and reply.picousd is None)
    assert after.hits == before.hits


@given(ROLE_SPENDS)
def test_an_answer_from_the_ledger_costs_nothing(before: RoleSpend) -> None:
    after = before.plus_hit()
    assert after.hits == before.hits + 1
    assert (after.calls, after.tokens, after.picousd) == (before.calls, before.tokens, before.picousd)
    assert (after.unconfirmed, after.unpriced) == (before.unconfirmed, before.unpriced)


@given(SPENDS)
def test_spend_survives_its_way_through_json_and_its_total_is_the_sum_of_its_roles(spend: Spend) -> None:
    assert Spend.from_json(json.loads(json.dumps(spend.as_json()))) == spend
    assert list(spend.as_json()) == sorted(spend.roles)
    total = Amount()
    for role in spend.roles.values():
        total = total + Amount(role.calls, role.tokens, role.picousd)
    assert spend.total == total
    assert spend.hits == sum(role.hits for role in spend.roles.values())


def test_a_role_that_made_no_call_has_spent_nothing() -> None:
    spend = Spend({"task": RoleSpend(calls=1)})
    assert spend.of("critic") == RoleSpend()
    assert spend.with_role("critic", RoleSpend(calls=2)).total.calls == 3
    assert spend.total.calls == 1


def test_money_is_counted_in_the_smallest_unit() -> None:
    assert Budget(usd=Decimal("1.5")).picousd == 3 * PICO // 2


def test_tokens_that_fill_a_cache_have_their_own_price_and_never_exceed_the_prompt() -> None:
    price = Price(10, 20, cached=1, cache_write=12)
    assert price.of(Usage(100, 1, cached_tokens=40), written=30) == 30 * 10 + 40 + 30 * 12 + 20
    assert price.of(Usage(100, 1, cached_tokens=40), written=999) == 40 + 60 * 12 + 20
    assert Price(10, 20).of(Usage(100, 1), written=30) == Price(10, 20).of(Usage(100, 1))


def test_a_search_is_reserved_for_but_no_part_of_what_tokens_cost() -> None:
    price = Price(10, 20, surcharge=7)
    assert price.of(Usage(1, 1)) == 30
    assert price.worst(1, 1) == 37
