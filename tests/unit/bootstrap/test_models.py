"""From configured models to open endpoints: keys, prices, worlds and parameters."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.adapters.logs import redact
from promptprop.adapters.models import litellm_client
from promptprop.adapters.models.offline.client import OfflineClient
from promptprop.adapters.models.openai_http.client import OpenAIHttpClient
from promptprop.bootstrap import models as subject
from promptprop.bootstrap.models import (
    check_keys,
    needed_endpoints,
    open_endpoints,
    parameters_of,
    price_endpoints,
    require_priced,
    world_digest,
    world_file,
)
from promptprop.domain.budget import Price
from promptprop.domain.errors import ConfigError, UnknownModel
from promptprop.domain.model_config import ModelConfig, ModelPrice
from promptprop.domain.models import Usage

PRICE = {"prompt_usd_per_million": "0.10", "completion_usd_per_million": "2.5"}
REAL = {"task": "openai/gpt-4o-mini", "rewriter": "anthropic/claude-sonnet-4-5"}


def test_an_activity_opens_only_what_it_calls(load_changed: Any) -> None:
    config = load_changed().config
    assert set(needed_endpoints(config, "optimize")) == {"task", "critic", "rewriter"}
    assert set(needed_endpoints(config, "evaluate")) == {"task"}


def test_a_chain_opens_the_models_of_its_steps(load_changed: Any) -> None:
    step = {"id": "facts", "prompt": "{{ text }}", "model": "offline/task"}
    only = load_changed(prompt=..., steps=[step]).config
    assert set(needed_endpoints(only, "evaluate")) == {"step.facts"}
    both = load_changed(prompt=..., steps=[step, {"id": "desk", "prompt": "{{ facts }}"}]).config
    assert set(needed_endpoints(both, "evaluate")) == {"step.facts", "task"}


async def test_endpoints_carry_what_the_configuration_says(load_changed: Any) -> None:
    task = {"model": "offline/task", "temperature": 0, "max_tokens": 64, "timeout": "2m", "retries": 1, "price": PRICE}
    config = load_changed(**{"models.task": task}).config
    endpoints, specs = await open_endpoints(config, {}, "optimize")
    endpoint = endpoints["task"]
    assert (endpoint.alias, endpoint.model, endpoint.timeout, endpoint.max_tokens) == (
        "task", "offline/task", 120.0, 64,
    )  # fmt: skip
    assert endpoint.retries.count == 1
    assert endpoint.price == specs["task"].price == Price(100_000, 2_500_000)
    assert specs["task"].parameters == {
        "temperature": 0.0, "max_tokens": 64, "world": world_digest(config, config.models.task),
    }  # fmt: skip
    assert specs["critic"].max_tokens == 4096
    assert specs["rewriter"].price is not None
    for opened in endpoints.values():
        await opened.client.close()


def test_parameters_of_a_real_model_keep_their_references(load_changed: Any) -> None:
    model = {"model": "openai/m", "top_p": 0.5, "params": {"seed": 3, "extra_headers": {"X-Team": "${env:TEAM}"}}}
    config = load_changed(**{"models.task": model}).config
    assert parameters_of(config, config.models.task, 9) == {
        "top_p": 0.5, "max_tokens": 9, "seed": 3, "extra_headers": {"X-Team": "${env:TEAM}"},
    }  # fmt: skip


# --- keys -----------------------------------------------------------------------------------------------------------


def test_every_missing_key_is_named_with_its_model(load_changed: Any) -> None:
    config = load_changed(models=REAL).config
    with pytest.raises(ConfigError) as caught:
        check_keys(config, {}, "optimize")
    text = str(caught.value)
    assert "models.task: openai/gpt-4o-mini needs a key, and OPENAI_API_KEY is not set" in text
    assert "models.rewriter: anthropic/claude-sonnet-4-5 needs a key, and ANTHROPIC_API_KEY is not set" in text
    assert "export OPENAI_API_KEY" in text


def test_a_key_that_is_not_needed_is_not_asked_for(load_changed: Any) -> None:
    config = load_changed(models=REAL).config
    check_keys(config, {"OPENAI_API_KEY": "sk-test"}, "evaluate")
    check_keys(load_changed().config, {}, "optimize")


@pytest.mark.parametrize("variable", ["OPENAI_BASE_URL", "OPENAI_API_BASE"])
def test_a_server_of_this_machine_that_a_variable_names_needs_no_key(load_changed: Any, variable: str) -> None:
    config = load_changed(**{"models.task": "openai/m"}).config
    check_keys(config, {variable: "http://127.0.0.1:9/v1"}, "evaluate")
    with pytest.raises(ConfigError, match="OPENAI_API_KEY is not set"):
        check_keys(config, {variable: "https://gateway.example/v1"}, "evaluate")
    asked = load_changed(**{"models.task": {"model": "openai/m", "client": "litellm"}}).config
    with pytest.raises(ConfigError, match="OPENAI_API_KEY is not set"):
        check_keys(asked, {variable: "http://127.0.0.1:9/v1"}, "evaluate")


def test_a_reference_whose_variable_is_missing_is_named(load_changed: Any) -> None:
    config = load_changed(**{"models.task": {"model": "openai/m", "api_key": "${env:TEAM_KEY}"}}).config
    with pytest.raises(ConfigError, match=r"models\.task\.api_key needs the environment variable TEAM_KEY"):
        check_keys(config, {}, "evaluate")
    check_keys(config, {"TEAM_KEY": "sk-test"}, "evaluate")


async def test_nothing_is_opened_where_a_key_is_missing(load_changed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    async def open_client(_config: object, _model: object, _environment: object, key: str) -> None:
        opened.append(key)

    monkeypatch.setattr(subject, "open_client", open_client)
    config = load_changed(**{"models.critic": "openai/m"}).config
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        await open_endpoints(config, {}, "optimize")
    assert opened == []


async def test_what_was_opened_is_closed_where_the_next_model_fails(
    load_changed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []

    async def open_client(_config: object, _model: object, _environment: object, key: str) -> object:
        if key == "models.critic":
            raise UnknownModel("there is no such model")

        async def close() -> None:
            closed.append(key)

        return SimpleNamespace(price=lambda: None, close=close)

    monkeypatch.setattr(subject, "open_client", open_client)
    with pytest.raises(UnknownModel):
        await open_endpoints(load_changed().config, {}, "optimize")
    assert len(closed) == len({"task", "rewriter"})


class FakeLiteLLM:
    """Takes what a real client would be opened with."""

    def __init__(self, model: str, **given: Any) -> None:
        self.opened_with = {"model": model, **given}
        self.warmed = False

    async def warm(self) -> None:
        self.warmed = True


@pytest.mark.parametrize(
    ("keys", "environment", "api_key"),
    [
        ({"api_key": "${env:TEAM_KEY}"}, {"TEAM_KEY": "team-canary-0815"}, "team-canary-0815"),
        ({}, {"OPENAI_API_KEY": "openai-canary-0815"}, "openai-canary-0815"),
        ({"api_base": "http://127.0.0.1:9/v1"}, {"OPENAI_API_KEY": "openai-canary-0815"}, None),
    ],
)
async def test_a_real_model_is_opened_with_its_references_resolved_and_its_key_redacted(
    load_changed: Any, monkeypatch: pytest.MonkeyPatch, keys: dict[str, str], environment: dict[str, str], api_key: Any
) -> None:
    monkeypatch.setattr(litellm_client, "LiteLLMClient", FakeLiteLLM)
    params = {"extra_headers": {"X-Team": "${env:TEAM}"}}
    model = {"model": "openai/m", "client": "litellm", "price": PRICE, "params": params, **keys}
    config = load_changed(**{"models.task": model}).config
    client = await subject.open_client(config, config.models.task, {**environment, "TEAM": "blue"}, "models.task")
    assert isinstance(client, FakeLiteLLM)
    assert client.warmed
    assert client.opened_with == {
        "model": "openai/m", "api_base": keys.get("api_base"), "api_key": api_key,
        "params": {"extra_headers": {"X-Team": "blue"}}, "price": Price(100_000, 2_500_000),
    }  # fmt: skip
    if api_key:
        assert api_key not in redact(f"sent {api_key}")


# --- which client -----------------------------------------------------------------------------------------------------


async def client_of(load_changed: Any, environment: dict[str, str] | None = None, **model: Any) -> Any:
    config = load_changed(**{"models.task": {"model": "openai/m", **model}}).config
    client = await subject.open_client(config, config.models.task, environment or {}, "models.task")
    await client.close()
    return client


async def test_the_fast_client_is_opened_wherever_it_applies_unless_the_other_is_asked_for(load_changed: Any) -> None:
    environment = {"BASE": "http://127.0.0.1:9/v1"}
    fast = await client_of(load_changed, environment, api_base="${env:BASE}")
    assert isinstance(fast, OpenAIHttpClient)
    forced = await client_of(load_changed, environment, model="meta/m", api_base="${env:BASE}", client="http")
    assert isinstance(forced, OpenAIHttpClient)
    for model in ({"client": "litellm"}, {"model": "gemini/m"}, {"params": {"drop_params": False}}):
        assert isinstance(await client_of(load_changed, **model), litellm_client.LiteLLMClient)


async def test_an_opened_http_client_has_its_key_blacked_out(load_changed: Any) -> None:
    await client_of(load_changed, {"OPENAI_API_KEY": "http-canary-0815"})
    assert redact("sent http-canary-0815") == "sent [redacted]"


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (
            {"model": "anthropic/claude-sonnet-4-5"},
            "models.task.client: no OpenAI-compatible address is known for anthropic",
        ),
        ({"params": {"drop_params": True}}, "models.task.client: drop_params in params is an option of LiteLLM"),
    ],
)
async def test_the_http_client_is_refused_where_it_cannot_work(
    load_changed: Any, model: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        await client_of(load_changed, client="http", **model)
    assert words in str(caught.value)
    assert "models.task.client" in str(caught.value.problems[0].remedy)


async def test_which_client_calls_a_model_is_no_part_of_its_requests(load_changed: Any) -> None:
    specs = []
    for client in (None, "http", "litellm"):
        model = {"model": "openai/gpt-4o-mini", "client": client, "params": {"seed": 1}}
        config = load_changed(**{"models.task": model}).config
        endpoints, found = await open_endpoints(config, {"OPENAI_API_KEY": "k"}, "evaluate")
        specs.append((found["task"], endpoints["task"].price))
        await endpoints["task"].client.close()
    assert specs[0] == specs[1] == specs[2]
    assert specs[0][1] is not None


# --- prices ---------------------------------------------------------------------------------------------------------


@given(st.decimals(0, 10**6, places=6), st.decimals(0, 10**6, places=6))
def test_a_price_per_million_is_exact_per_token(prompt: Decimal, completion: Decimal) -> None:
    price = ModelPrice(prompt_usd_per_million=prompt, completion_usd_per_million=completion)
    found = subject._configured_price(ModelConfig(model="openai/m", price=price))
    assert found == Price(int(prompt.scaleb(6)), int(completion.scaleb(6)))
    assert found.of(Usage(10**6, 0)) == prompt.scaleb(12)


def test_a_fraction_of_the_smallest_unit_is_rounded_up_so_that_a_budget_holds() -> None:
    price = ModelPrice(prompt_usd_per_million=Decimal("0.0000001"), completion_usd_per_million=Decimal("1.0000001"))
    assert subject._configured_price(ModelConfig(model="openai/m", price=price)) == Price(1, 1_000_001)
    assert subject._configured_price(ModelConfig(model="openai/m")) is None


async def test_a_money_budget_needs_every_price(load_changed: Any) -> None:
    config = load_changed(budget={"usd": 1}).config
    endpoints, specs = await open_endpoints(config, {}, "optimize")
    for endpoint in endpoints.values():
        await endpoint.client.close()
    require_priced(config, specs)
    unpriced = {alias: SimpleNamespace(model=spec.model, price=None) for alias, spec in specs.items()}
    with pytest.raises(ConfigError) as caught:
        require_priced(config, unpriced)  # type: ignore[arg-type]  # a spec has more fields
    assert "the price of offline/task (task), offline/rewriter (rewriter), offline/critic (critic)" in str(caught.value)
    assert "prompt_usd_per_million" in str(caught.value)
    require_priced(load_changed().config, unpriced)  # type: ignore[arg-type]  # a spec has more fields


# --- worlds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ({"file": "desks.jsonl"}, "desks.world.yaml"),
        ({"file": "desks.jsonl.gz"}, "desks.world.yaml"),
        ({"file": "desks.2024.csv"}, "desks.2024.world.yaml"),
        ({"file": "desks"}, "desks.world.yaml"),
        ({"files": {"train": "parts/a.csv", "test": "b.csv"}}, "parts/a.world.yaml"),
    ],
)
def test_a_world_lies_beside_its_dataset(load_changed: Any, data: dict[str, Any], name: str) -> None:
    config = load_changed().config
    given_data = config.data.model_copy(update={"file": None, "files": None, **data})
    moved = config.model_copy(update={"data": given_data})
    assert world_file(moved, config.models.task) == Path(name)


def test_a_world_that_is_named_comes_first(load_changed: Any, project: Path) -> None:
    (project / "desks.world.yaml").rename(project / "other.yaml")
    config = load_changed(**{"models.task": {"model": "offline/task", "world": "other.yaml"}}).config
    assert world_file(config, config.models.task) == project / "other.yaml"


def test_another_world_has_another_digest_and_a_missing_one_is_named(load_changed: Any, project: Path) -> None:
    config = load_changed().config
    before = world_digest(config, config.models.task)
    world = project / "desks.world.yaml"
    world.write_text(world.read_text() + "\n# changed\n")
    assert world_digest(config, config.models.task) != before
    world.write_bytes(b"\xff\xfe\xfa")
    for _ in range(2):  # not UTF-8, then gone
        with pytest.raises(ConfigError, match=r"desks\.world\.yaml") as caught:
            world_digest(config, config.models.task)
        assert "DATASET.world.yaml" in str(caught.value)
        world.unlink(missing_ok=True)


async def test_a_requests_key_names_the_model_that_answers_and_not_the_variable_that_names_it(
    load_changed: Any,
) -> None:
    loaded = load_changed(**{"models.task": "openai/${env:WHICH}"})
    keys = {}
    for name in ("small", "large"):
        specs = price_endpoints(loaded.config, {"WHICH": name}, "evaluate")
        keys[name] = specs["task"].model
    assert keys == {"small": "openai/small", "large": "openai/large"}


# --- addresses ------------------------------------------------------------------------------------------------------

NOT_ADDRESSES = [
    "localhost:11434/v1",
    "ftp://models.example",
    "http:///v1",
    "/v1",
    "http://a:99999/v1",
    "http://a b/v1",
]


@pytest.mark.parametrize("address", NOT_ADDRESSES)
def test_what_is_no_address_is_refused_wherever_it_is_written(load_changed: Any, address: str) -> None:
    with pytest.raises(ConfigError, match=r"this address .*\n(?s:.)*write the whole address") as caught:
        load_changed(**{"models.task": {"model": "openai/m", "api_base": address}})
    assert caught.value.problems[0].place is not None
    referred = load_changed(**{"models.task": {"model": "openai/m", "api_base": "${env:BASE}", "api_key": "${env:K}"}})
    with pytest.raises(ConfigError, match=r"models\.task\.api_base: the address") as caught:
        check_keys(referred.config, {"BASE": address, "K": "k"}, "evaluate")
    assert "http://localhost:11434/v1" in str(caught.value)
    assert f"{address} " not in caught.value.problems[0].message
    named = load_changed(**{"models.task": "openai/m"}).config
    with pytest.raises(ConfigError, match=r"models\.task: the address in OPENAI_BASE_URL"):
        check_keys(named, {"OPENAI_BASE_URL": address, "OPENAI_API_KEY": "sk-test"}, "evaluate")


async def test_no_client_is_opened_at_what_is_no_address(load_changed: Any) -> None:
    config = load_changed(**{"models.task": {"model": "openai/m", "api_base": "${env:BASE}"}}).config
    with pytest.raises(ConfigError, match="names no host"):
        await subject.open_client(config, config.models.task, {"BASE": "http://"}, "models.task")


# --- simulated models that the environment names --------------------------------------------------------------------


@pytest.mark.parametrize("budget", [{"calls": 9}, {"usd": 1}])
async def test_a_model_that_the_environment_names_is_simulated_where_it_names_such_a_one(
    load_changed: Any, budget: dict[str, Any]
) -> None:
    task = {"model": "${env:MODEL:-offline/task}", "temperature": 0}
    config = load_changed(**{"models.task": task, "budget": budget}).config
    literal = load_changed(**{"models.task": {**task, "model": "offline/task"}, "budget": budget}).config
    for environment in ({}, {"MODEL": "offline/task"}):
        check_keys(config, environment, "evaluate")
        assert subject.all_simulated(config, environment)
        endpoints, specs = await open_endpoints(config, environment, "evaluate")
        assert isinstance(endpoints["task"].client, OfflineClient)
        assert specs == price_endpoints(config, environment, "evaluate") == price_endpoints(literal, {}, "evaluate")
        require_priced(config, specs)
        await endpoints["task"].client.close()
    real = {"MODEL": "openai/gpt-4o-mini"}
    assert not subject.all_simulated(config, real)
    with pytest.raises(ConfigError, match="OPENAI_API_KEY is not set"):
        check_keys(config, real, "evaluate")
    assert not subject.is_simulated(ModelConfig(model="${env:MODEL}"), {})


def test_a_model_that_the_environment_names_may_have_a_world(load_changed: Any, project: Path) -> None:
    model = {"model": "${env:MODEL:-offline/task}", "world": str(project / "desks.world.yaml")}
    config = load_changed(**{"models.task": model}).config
    assert price_endpoints(config, {}, "evaluate")["task"].parameters["world"]
