"""Prices from LiteLLM's list, held against LiteLLM's own sums."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vendor_prices import (
    DEARER,
    GOVERNMENT,
    OTHERWISE,
    SIGNS_IN,
    UNKNOWN,
    UNREACHABLE,
    complaint,
    complaints,
    completion_cost,
    listed,
    usages,
    vendors_cost,
)

from promptprop.adapters.models import prices as subject
from promptprop.adapters.models.litellm_client import load, usage_of
from promptprop.adapters.models.prices import billed_price, listed_price
from promptprop.adapters.models.rates import dearest, picousd_up, price_of_entry
from promptprop.domain.budget import Price
from promptprop.domain.models import Usage

# pydantic says so of LiteLLM's types as they are loaded, one provider at a time
pytestmark = pytest.mark.filterwarnings("ignore:.*ReadOnly:UserWarning")

APART = (*UNREACHABLE, GOVERNMENT)


@pytest.mark.no_cover
def test_listed_models_cost_what_litellm_says() -> None:
    """Those that are not LiteLLM's sums, and a sixth of the others; all of them in a campaign."""
    odd = [model for model in sorted(listed()) if model in {*DEARER, *OTHERWISE, *UNKNOWN} or model.startswith(APART)]
    others = sorted(set(listed()) - set(odd))
    found = complaints(odd + random.Random(3).sample(others, len(others) // 6))
    assert len(found) > 1500
    assert [one for one in found if one] == []


@pytest.mark.no_cover
@pytest.mark.parametrize("tier", ["flex", "priority", "fast", "ultrafast", "balanced", "default"])
def test_tiers_of_service_cost_what_litellm_says(tier: str) -> None:
    tiered = [model for model, entry in listed().items() if any(field.endswith(f"_{tier}") for field in entry)]
    models = tiered or random.Random(tier).sample(sorted(listed()), 200)
    cases = [(model, usage) for model in models for usage in usages(listed_price(model, {"service_tier": tier}))]
    found = [complaint(model, usage, vendors_cost, tier) for model, usage in cases]
    assert len(found) > 30
    assert [one for one in found if one] == []


def test_a_sample_costs_what_completion_cost_says_of_a_real_answer() -> None:
    models = [model for model in sorted(listed()) if not model.startswith(SIGNS_IN)]
    chosen = random.Random(5).sample(models, 300)
    # completion_cost guesses a price from the size of some models, and bills others by the time they took
    guessed = ("together_ai/", "replicate/", "fireworks_ai/")
    found = [complaint(model, Usage(1000, 500, 400, 300), completion_cost)
             for model in chosen if listed_price(model) is not None or not model.startswith(guessed)]  # fmt: skip
    assert [one for one in found if one] == []


MODELS = sorted(model for model in listed() if listed_price(model) is not None)


@given(
    model=st.sampled_from(MODELS),
    tier=st.sampled_from(["", "flex", "priority", "auto"]),
    tokens=st.lists(st.integers(0, 2_000_000), min_size=6, max_size=6),
    written=st.integers(0, 2_000_000),
)
def test_no_usage_within_its_bounds_costs_more_than_the_worst_case(
    model: str, tier: str, tokens: list[int], written: int
) -> None:
    price = listed_price(model, {"service_tier": tier} if tier else {})
    assert price is not None
    most_prompt, most_completion, prompt, completion, cached, thought = tokens
    usage = Usage(min(prompt, most_prompt), min(completion, most_completion), cached, thought)
    assert price.of(usage, written) <= price.worst(most_prompt, most_completion)


@given(model=st.sampled_from(MODELS), prompt=st.integers(0, 1_000_000), cached=st.integers(0, 1_000_000))
def test_where_the_provider_chooses_the_tier_the_dearest_bounds_them_all(model: str, prompt: int, cached: int) -> None:
    usage = Usage(prompt, 1000, min(cached, prompt), 500)
    auto = listed_price(model, {"service_tier": "auto"})
    assert auto is not None
    for tier in ("default", "priority"):
        one = listed_price(model, {"service_tier": tier})
        assert one is not None
        assert one.of(usage) <= auto.of(usage)


def test_the_list_is_read_without_litellm() -> None:
    code = (
        "import sys; from promptprop.adapters.models.prices import listed_price; "
        "print(listed_price('gpt-4o').prompt, [m for m in ('litellm', 'httpx', 'openai') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "2500000 []"


@pytest.mark.parametrize(
    ("model", "same"),
    [
        ("openai/gpt-4o", "gpt-4o"),
        ("openai/GPT-4o", "gpt-4o"),
        ("openai/gpt-4o-2099-01-31", "gpt-4o"),
        ("ft:gpt-4o-2024-08-06:shop::x1", "ft:gpt-4o-2024-08-06"),
        ("litellm_proxy/gpt-4o", "gpt-4o"),
        ("gemini/gemini-2.5-flash-001", "gemini/gemini-2.5-flash"),
        ("anthropic/claude-sonnet-4-5", "claude-sonnet-4-5"),
        ("bedrock/converse/anthropic.claude-3-5-haiku-20241022-v1:0", "anthropic.claude-3-5-haiku-20241022-v1:0"),
    ],
)
def test_a_model_is_found_by_the_names_that_litellm_knows_it_by(model: str, same: str) -> None:
    price = listed_price(model)
    assert price is not None
    assert price == listed_price(same)
    assert complaint(model, Usage(1000, 500, 400, 300), vendors_cost) is None


@pytest.mark.parametrize(
    "model",
    ["openai/my-own-model", "hosted_vllm/gpt-4o", "groq/gpt-4o", "ollama/my-own", "huggingface/x/y", "nonsense", "",
     "dall-e-3", "whisper-1", "azure_ai/model_router", "gemini/lyria-3-pro-preview"],
)  # fmt: skip
def test_what_has_no_price_per_token_is_unknown_and_not_free(model: str) -> None:
    assert listed_price(model) is None


def test_a_model_that_is_listed_as_free_is_free() -> None:
    assert listed_price("ollama/llama3") == Price(0, 0)


def test_a_longer_prompt_has_the_price_of_its_tier() -> None:
    price = listed_price("gemini/gemini-2.5-pro")
    assert price is not None
    ((edge, longer),) = price.above
    assert (edge, longer.prompt > price.prompt) == (200_000, True)
    assert price.of(Usage(200_001, 0)) == 200_001 * longer.prompt


def test_a_model_that_may_search_reserves_a_search_that_a_usage_does_not_count() -> None:
    plain = listed_price("anthropic/claude-sonnet-4-5")
    searching = listed_price("anthropic/claude-sonnet-4-5", {"tools": [{"type": "web_search_20250305"}]})
    assert plain is not None
    assert searching == replace(plain, surcharge=10_000_000_000)
    assert searching.of(Usage(10, 10)) == plain.of(Usage(10, 10))
    assert searching.worst(10, 10) == plain.worst(10, 10) + searching.surcharge


def test_a_cache_kept_for_an_hour_is_reserved_for_where_it_is_asked_for() -> None:
    plain = listed_price("anthropic/claude-sonnet-4-5")
    points = [{"location": "message", "control": {"type": "ephemeral", "ttl": "1h"}}]
    hour = listed_price("anthropic/claude-sonnet-4-5", {"cache_control_injection_points": points})
    assert plain is not None
    assert hour is not None
    assert (plain.cache_write, hour.cache_write) == (3_750_000, 6_000_000)


def test_a_speed_or_a_place_that_costs_more_is_reserved_for() -> None:
    costs = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
    entry = {**costs, "provider_specific_entry": {"us": 1.1, "fast": 6}}
    assert price_of_entry(entry, "anthropic", {"speed": "fast", "inference_geo": "US"}) == Price(6_600_000, 13_200_000)
    vertex = {**costs, "regional_endpoint_uplift_multiplier": 1.1}
    assert price_of_entry(vertex, "vertex_ai", {"vertex_location": "us-east5"}) == Price(1_100_000, 2_200_000)
    assert price_of_entry(vertex, "vertex_ai", {"vertex_location": "global"}) == Price(1_000_000, 2_000_000)


def test_an_answer_is_billed_as_the_model_and_the_tier_that_served_it() -> None:
    asked, served = "openai/gpt-4o", "gpt-4o-2024-05-13"
    assert billed_price(asked, served) == listed_price(served) != listed_price(asked)
    assert billed_price(asked, "a-name-of-the-gateway") == listed_price(asked)
    assert billed_price("openai/my-own", "gpt-4o-mini") == listed_price("gpt-4o-mini")
    flex = {"service_tier": "flex"}
    assert billed_price("openai/gpt-5", "", None, flex) == listed_price("gpt-5", flex)
    assert billed_price("openai/gpt-5", "", "default", flex) == listed_price("gpt-5")
    assert billed_price("openai/gpt-5", "", None, {"service_tier": "auto"}) == listed_price("gpt-5")
    assert billed_price("openai/gpt-5", "", "priority", {"service_tier": "auto"}) == listed_price(
        "gpt-5", {"service_tier": "priority"}
    )
    assert billed_price("openai/my-own", "mine") is None


def test_a_fraction_of_the_unit_is_rounded_up() -> None:
    assert [picousd_up(usd) for usd in (0.0, 1.5e-7, 1e-12, 1.01e-12, 1e-13)] == [0, 150_000, 1, 2, 1]


rate = st.integers(0, 50)
maybe = st.none() | rate
flat = st.builds(Price, prompt=rate, completion=rate, cached=maybe, reasoning=maybe, cache_write=maybe, per_call=rate)
tiered = st.builds(
    lambda base, longer: replace(base, above=tuple(sorted(longer.items()))),
    flat,
    st.dictionaries(st.integers(1, 40), flat, max_size=3),
)


@given(st.lists(tiered, min_size=1, max_size=3), st.lists(st.integers(0, 60), min_size=5, max_size=5))
def test_the_dearest_of_prices_is_never_less_than_any(prices: list[Price], tokens: list[int]) -> None:
    prompt, completion, cached, thought, written = tokens
    usage = Usage(prompt, completion, cached, thought)
    assert dearest(prices).of(usage, written) >= max(price.of(usage, written) for price in prices)


def test_a_list_that_cannot_be_read_makes_prices_unknown_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caches = (subject._entries, subject._folded, subject._entry_of)
    for cached in caches:
        cached.cache_clear()
    try:
        monkeypatch.setattr(subject, "FILE", "no-such-file.json")
        assert listed_price("gpt-4o") is None
        assert "prices are unknown" in caplog.text
    finally:
        for cached in caches:
            cached.cache_clear()


def test_what_anthropic_reports_apart_is_contained_in_the_prompt_and_each_part_has_its_price() -> None:
    litellm = load()
    said = {
        "input_tokens": 1000,
        "output_tokens": 50,
        "cache_creation_input_tokens": 200,
        "cache_read_input_tokens": 300,
    }
    usage = litellm.AnthropicConfig().calculate_usage(usage_object=said, reasoning_content=None)
    response = litellm.ModelResponse(model="claude-sonnet-4-5", usage=usage)
    price = listed_price("anthropic/claude-sonnet-4-5")
    assert price is not None
    assert usage_of(usage) == Usage(1500, 50, cached_tokens=300)
    theirs = litellm.completion_cost(response, "anthropic/claude-sonnet-4-5")
    assert price.of(Usage(1500, 50, cached_tokens=300), written=200) == round(theirs * 1e12)
