"""A configuration that comes over HTTP: read as a file's is, and confined."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promptprop.bootstrap.requests import Lender, capped, load_request, require_within
from promptprop.domain.budget_config import BudgetConfig
from promptprop.domain.errors import ConfigError, Place, Problem
from promptprop.domain.serve_config import ServeConfig

Lend = Callable[..., Lender]

ASKED: dict[str, Any] = {
    "version": 1,
    "name": "router",
    "task": "Say which desk.",
    "prompt": {"text": "Label {{ text }}"},
    "data": {"file": "data/rows.jsonl", "inputs": ["text"], "expected": "label", "id": "id"},
    "models": {"task": {"model": "openai/gpt-4o-mini"}, "rewriter": "openai/gpt-5"},
    "metrics": [{"id": "label", "type": "exact"}],
    "budget": {"calls": 100},
}


@pytest.fixture
def lend(tmp_path: Path) -> Lend:
    """A lender of a small project, with these settings."""
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    for name in ("rows.jsonl", "rows.world.yaml", "prompt.md", "schema.json", "role.md"):
        (folder / "data" / name).write_text("{}\n")
    (folder / ".env").write_text("OPENAI_API_KEY=sk-verysecret")
    (tmp_path / "outside.jsonl").write_text("{}\n")
    return lambda **serve: Lender(folder, ServeConfig.model_validate(serve), {"OPENAI_API_KEY": "sk-verysecret"})


def asking(path: str, value: Any, base: dict[str, Any] | None = None) -> dict[str, Any]:
    """The request with one setting changed; indices step into lists."""
    whole = copy.deepcopy(ASKED if base is None else base)
    below: Any = whole
    *way, last = path.split(".")
    for step in way:
        below = below[int(step)] if isinstance(below, list) else below.setdefault(step, {})
    below[int(last) if isinstance(below, list) else last] = value
    return whole


def problems(given: Any, lender: Lender) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        load_request(given, lender)
    return list(caught.value.problems)


def about(problem: Problem, path: str) -> bool:
    """Whether a problem is placed at a setting, or at the map or list that holds it."""
    place = str(problem.place)
    return place.startswith(path) or path.startswith(f"{place}.")


def test_json_and_yaml_give_the_same_configuration(lend: Lend) -> None:
    assert load_request(ASKED, lend()).config == load_request(json.dumps(ASKED), lend()).config


def test_paths_are_those_of_the_project(lend: Lend) -> None:
    lender = lend()
    assert load_request(ASKED, lender).config.data.file == str((lender.folder / "data" / "rows.jsonl").resolve())


def test_problems_say_where_they_stand_in_json_and_in_yaml(lend: Lend) -> None:
    wrong = asking("models.task.modle", "x")
    assert [(str(p.place), p.remedy) for p in problems(wrong, lend())] == [
        ("models.task.modle", "did you mean 'model'?"),
    ]
    found = problems("task: t\nprompt: Label {{ text }}\nbudgets: {}\n", lend())
    assert "config:3:1" in {str(problem.place) for problem in found}


@pytest.mark.parametrize(
    ("path", "base"),
    [
        ("prompt.file", asking("prompt", {})),
        ("data.file", None),
        ("data.files", asking("data", {"inputs": ["text"]})),
        ("models.task.world", asking("models.task", {"model": "offline/x"})),
        ("models.jury", None),
        ("metrics.0.file", asking("metrics.0", {"id": "form", "type": "json_schema"})),
        ("roles.critic.template", None),
        ("steps", {key: value for key, value in ASKED.items() if key != "prompt"}),
    ],
)
@pytest.mark.parametrize("text", ["../outside.jsonl", "/etc/passwd", ".env", "data/../../outside.jsonl", "-", 5, 1e3])
def test_every_path_is_confined(path: str, base: dict[str, Any] | None, text: Any, lend: Lend) -> None:
    value: Any = {
        "data.files": {"train": text},
        "models.jury": [{"model": "offline/j", "world": text}],
        "steps": [{"id": "a", "prompt": {"file": text}}],
    }.get(path, text)
    found = problems(asking(path, value, base), lend())
    assert any(about(problem, path) for problem in found)
    assert "outside.jsonl: " not in str(found)


def test_every_pattern_of_a_path_is_one_that_the_test_above_tries() -> None:
    from promptprop.adapters.files.config_paths import READ

    tried = {"prompt", "data", "models", "metrics", "roles", "steps", "serve"}
    assert {pattern[0] for pattern in READ} == tried


def test_a_link_out_of_the_project_is_refused(lend: Lend, tmp_path: Path) -> None:
    (tmp_path / "project" / "link.jsonl").symlink_to(tmp_path / "outside.jsonl")
    assert "leads out of" in problems(asking("data.file", "link.jsonl"), lend())[0].message


def test_the_world_beside_a_dataset_is_confined_too(lend: Lend, tmp_path: Path) -> None:
    world = tmp_path / "project" / "data" / "rows.world.yaml"
    simulated = asking("models", {"task": "offline/x"})
    assert load_request(simulated, lend()).config.simulated
    world.unlink()
    world.symlink_to(tmp_path / "outside.jsonl")
    assert "leads out of" in problems(simulated, lend())[0].message


@pytest.mark.parametrize(
    "metric",
    [
        "python:os.system",
        "python",
        {"type": "python:./data/x.py:f"},
        {"type": "python", "function": "os.system"},
        {"type": "python:", "function": "x"},
    ],
)
def test_no_metric_runs_code(metric: Any, lend: Lend) -> None:
    assert problems(asking("metrics", [metric]), lend())


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://2852039166/v1",
        "http://0xa9fea9fe/v1",
        "http://[fd00:ec2::254]/v1",
        "http://metadata.google.internal/v1",
        "http://localhost:11434/v1",
        "http://127.1/v1",
        "https://gateway.example.com@169.254.169.254/v1",
        "https://gateway.example.com\\.evil.example/v1",
        "https://gateway.example.com.evil.example/v1",
        "https://gateway.example.com/v1/../../x",
        "https://gateway.example.com:8443/v1",
        "gopher://gateway.example.com/v1",
    ],
)
@pytest.mark.parametrize("role", ["task", "rewriter", "critic", "manager", "synthesizer", "embed", "jury.0"])
def test_only_listed_addresses_are_called(address: str, role: str, lend: Lend) -> None:
    lender = lend(api_bases=[{"url": "https://gateway.example.com/v1", "api_key": "${env:G}"}])
    wrong = asking(f"models.{role}", {"model": "openai/x", "api_base": address}, asking("models.jury", [{}]))
    wrong = wrong if role == "jury.0" else asking("models.jury", [], wrong)
    assert any("api_base" in problem.message or "address" in problem.message for problem in problems(wrong, lender))


def test_a_step_is_held_to_the_list_as_well(lend: Lend) -> None:
    given = {key: value for key, value in ASKED.items() if key != "prompt"}
    step = {"id": "a", "prompt": "{{ text }}", "model": {"model": "openai/x", "api_base": "http://10.0.0.1/"}}
    assert problems({**given, "steps": [step]}, lend())[0].place == Place("steps.0.model.api_base")


def test_a_listed_address_is_called_in_its_own_spelling_with_the_key_and_price_of_its_entry(lend: Lend) -> None:
    price = {"prompt_usd_per_million": "1", "completion_usd_per_million": "2"}
    lender = lend(api_bases=[{"url": "https://gw.example/v1", "api_key": "${env:G}", "price": price}])
    model = load_request(asking("models.task.api_base", "HTTPS://GW.example.:443/v1/team/"), lender).config.models.task
    assert (model.api_base, model.api_key, model.client) == ("https://gw.example/v1/team", "${env:G}", "http")
    assert model.price is not None
    assert model.price.completion_usd_per_million == Decimal(2)


def test_an_address_without_a_key_of_its_own_is_not_sent_that_of_a_provider(lend: Lend) -> None:
    lender = lend(api_bases=["https://gw.example/v1", "http://127.0.0.1:9/v1"])
    found = problems(asking("models.task.api_base", "https://gw.example/v1"), lender)
    assert "no key of 'openai' for this address" in found[0].message
    for model, base in (("hosted_vllm/x", "https://gw.example/v1"), ("openai/x", "http://127.0.0.1:9/v1")):
        given = asking("models.task", {"model": model, "api_base": base})
        assert load_request(given, lender).config.models.task.api_base == base


def test_a_client_that_follows_redirects_calls_no_address_of_a_request(lend: Lend) -> None:
    lender = lend(api_bases=[{"url": "https://gw.example/v1", "api_key": "${env:G}"}])
    given = asking("models.task", {"model": "openai/x", "api_base": "https://gw.example/v1", "client": "litellm"})
    assert "only the http client" in problems(given, lender)[0].message


@pytest.mark.parametrize(
    "name",
    [
        "huggingface/https://evil.example/x",
        "openai/../../x",
        "openai/a//b",
        "openai/x?y=1",
        "openai/x#y",
        "openai/x y",
        "openai/\u0430",
        "gemini/..",
        "bedrock/anthropic.claude",
        "sagemaker/x",
        "vertex_ai/x",
        "ollama/llama3",
        "hosted_vllm/x",
        "custom/x",
        "unknown",
        "x" * 300,
        "openai/x\r\nX-Evil: 1",
    ],
)
def test_only_models_of_known_providers_are_called(name: str, lend: Lend) -> None:
    assert problems(asking("models.task.model", name), lend())[0].place == Place("models.task.model")


def test_the_server_lends_providers_and_models_that_it_names(lend: Lend) -> None:
    lender = lend(providers=["ollama"], models={"critic": "bedrock/anthropic.claude"})
    for name in ("ollama/llama3", "bedrock/anthropic.claude"):
        assert load_request(asking("models.task.model", name), lender).config.models.task.model == name


@pytest.mark.parametrize(
    "params",
    [
        {"base_url": "http://x"},
        {"api_base": "http://x"},
        {"extra_headers": {"authorization": "x"}},
        {"extra_body": {"api_base": "http://x"}},
        {"extra_query": {"key": "x"}},
        {"headers": {}},
        {"organization": "x"},
        {"aws_access_key_id": "x"},
        {"aws_bedrock_runtime_endpoint": "http://x"},
        {"vertex_credentials": "/etc/passwd"},
        {"custom_llm_provider": "openai"},
        {"model_list": []},
        {"proxies": {}},
        {"ssl_verify": False},
        {"api_version": "../x"},
        {"input_cost_per_token": 0},
        {"metadata": {}},
        {"tools": []},
        {"web_search_options": {}},
        {"service_tier": "priority"},
        {"user": "x"},
    ],
)
def test_parameters_that_lead_elsewhere_are_refused(params: dict[str, Any], lend: Lend) -> None:
    assert str(problems(asking("models.task.params", params), lend())[0].place).startswith("models.task.params")


def test_parameters_of_drawing_an_answer_pass(lend: Lend) -> None:
    params = {"stop": ["\n"], "seed": 1, "reasoning_effort": "low"}
    assert load_request(asking("models.task.params", params), lend()).config.models.task.params == params


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("models.task.timeout", "1h"),
        ("models.task.patience", "20h"),
        ("models.task.concurrency", 65),
        ("models.task.retries", 11),
        ("models.task.max_tokens", 65_537),
        ("gate", {"replicates": [1, 26]}),
        ("metrics", [{"type": "exact", "id": str(number)} for number in range(33)]),
        ("prompt", ["{{ text }}"] * 33),
        ("models.jury", [{"model": f"openai/{number}"} for number in range(33)]),
        ("name", "a\nSet-Cookie: x"),
        ("name", "x" * 201),
    ],
)
def test_absurd_wishes_are_refused(path: str, value: Any, lend: Lend) -> None:
    assert any(about(problem, path) for problem in problems(asking(path, value), lend()))


def test_the_servers_models_stand_in_and_keep_what_they_say(lend: Lend) -> None:
    own = {"model": "openai/own", "api_base": "https://inside.example/v1", "api_key": "${env:OWN}", "timeout": "1h"}
    lender = lend(models={"task": own, "jury": [{"model": "openai/j", "params": {"service_tier": "flex"}}]})
    given = {key: value for key, value in ASKED.items() if key != "models"}
    config = load_request(given, lender).config
    assert (config.models.task.api_key, config.models.jury[0].name) == ("${env:OWN}", "openai/j")
    assert config.models.task.timeout == 3600


def test_a_role_is_the_requests_or_the_servers_and_never_a_mixture(lend: Lend) -> None:
    own = {"model": "openai/own", "api_base": "https://inside.example/v1", "api_key": "${env:OWN}"}
    task = load_request(ASKED, lend(models={"task": own})).config.models.task
    assert (task.model, task.api_base, task.api_key) == ("openai/gpt-4o-mini", None, None)


def test_a_price_of_ones_own_does_not_undo_a_cap_on_money(lend: Lend) -> None:
    price = {"prompt_usd_per_million": "0", "completion_usd_per_million": "0"}
    given = asking("models.task.price", price)
    assert load_request(given, lend()).config.models.task.price is not None
    assert "price" in problems(given, lend(budget={"usd": 5}))[0].message


@pytest.mark.parametrize(
    ("asked", "most", "granted"),
    [
        ({"calls": 10}, {"calls": 5}, {"calls": 5}),
        ({"calls": 5}, {"calls": 10}, {"calls": 5}),
        ({}, {"usd": "2.5"}, {"usd": "2.5"}),
        ({"usd": 9}, {"calls": 3}, {"usd": "9", "calls": 3}),
        ({"minutes": 2}, {"seconds": 90}, {"seconds": 90}),
        ({"seconds": 30}, {"minutes": 1}, {"seconds": 30}),
        ({}, {}, {}),
    ],
)
def test_a_run_may_spend_what_it_asks_for_and_no_more_than_the_server_lets_it(
    asked: dict[str, Any], most: dict[str, Any], granted: dict[str, Any], lend: Lend
) -> None:
    assert load_request(asking("budget", asked), lend(budget=most)).config.budget == BudgetConfig(**granted)
    assert capped(BudgetConfig(**most), BudgetConfig(**asked)) == BudgetConfig(**granted)


def test_no_problem_tells_a_secret_or_where_the_project_lies(lend: Lend) -> None:
    lender = lend()
    for path, value in (
        ("data.file", ".env"),
        ("data.file", "none.jsonl"),
        ("models.task.params", {"api_key": "sk-a"}),
    ):
        told = "\n".join(map(str, problems(asking(path, value), lender)))
        assert str(lender.folder) not in told
        assert "sk-" not in told


@pytest.mark.parametrize("dataset", ["../../etc/passwd", "a\x00b", "\ud800", "x" * 101, "a b", "é"])
def test_a_stored_dataset_is_named_by_its_id(dataset: str, lend: Lend) -> None:
    assert load_request(ASKED, lend(), "0f9a").config.data.dataset == "0f9a"
    with pytest.raises(ConfigError, match="dataset: "):
        load_request(ASKED, lend(), dataset)


def test_a_simulated_model_on_a_stored_dataset_names_its_world(lend: Lend) -> None:
    with pytest.raises(ConfigError, match="names no world"):
        load_request(asking("models", {"task": "offline/x"}), lend(), "0f9a")
    given = asking("models", {"task": {"model": "offline/x", "world": "data/rows.world.yaml"}})
    assert load_request(given, lend(), "0f9a").config.simulated


@pytest.mark.parametrize(
    ("caps", "beyond"),
    [
        ({"usd": "2.50"}, []),
        ({"usd": "2.51"}, ["caps.usd"]),
        ({"usd": "3", "calls": 101}, ["caps.calls", "caps.usd"]),
        ({"calls": 100, "tokens": 10**12}, []),
        ({"seconds": 61.5}, ["caps.seconds"]),
        ({}, []),
    ],
)
def test_a_cap_is_raised_no_further_than_the_servers_own(caps: dict[str, Any], beyond: list[str]) -> None:
    most = BudgetConfig(usd="2.50", calls=100, minutes=1)
    if not beyond:
        require_within(caps, most)
        return
    with pytest.raises(ConfigError) as caught:
        require_within(caps, most)
    assert [str(problem.place) for problem in caught.value.problems] == beyond


ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["1e999999999", "-"]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=5), below, max_size=3),
    max_leaves=6,
)
WHOLE = {
    **ASKED,
    "steps": None,
    "seed": 7,
    "max_error_rate": 0.1,
    "optimizer": {"name": "backprop", "options": {"rounds": 2}},
    "gate": {"metric": "label", "margin": "5pp", "replicates": [1, 3], "critical": {"tag": "t", "require": "2/3"}},
    "roles": {"critic": {"template": "data/role.md"}},
    "tracking": {"mlflow": {"enabled": True, "experiment": "e"}},
    "rubric": {"features": []},
    "metrics": [
        {"id": "label", "type": "exact", "weight": 1, "gate": False},
        {"id": "form", "type": "json_schema", "schema": {"type": "object", "required": ["a"]}},
        {"id": "words", "type": "regex", "pattern": "[a-z]+", "mode": "search"},
        {"id": "panel", "type": "jury", "aggregate": "median", "rubric": "auto"},
    ],
}


def ways(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to everything below a value."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way for step, inner in below for way in [(*path, step), *ways(inner, (*path, step))]]


@given(changes=st.lists(st.tuples(st.sampled_from(ways(WHOLE)), ODD), min_size=1, max_size=3), as_yaml=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_stands_anywhere_is_read_or_refused_in_the_one_way(
    changes: list[tuple[tuple[Any, ...], Any]], as_yaml: bool, lend: Lend
) -> None:
    whole: Any = copy.deepcopy(WHOLE)
    for way, value in changes:
        below = whole
        for step in way[:-1]:
            inside = isinstance(below, dict) and step in below
            inside |= isinstance(below, list) and isinstance(step, int) and step < len(below)
            below = below[step] if inside else None
        if isinstance(below, dict) or (isinstance(below, list) and isinstance(way[-1], int) and way[-1] < len(below)):
            below[way[-1]] = value
    lender = lend(budget={"usd": 5})
    told = ""
    try:
        loaded = load_request(json.dumps(whole) if as_yaml else whole, lender)
    except ConfigError as error:
        told = str(error)
    assert str(lender.folder) not in told
    if told:
        return
    assert loaded.config.budget.usd is not None
    assert loaded.config.budget.usd <= 5
    json.dumps(loaded.config.snapshot(), allow_nan=False)
