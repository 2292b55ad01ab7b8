"""What a person sees of money where the price of a model is not known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from openai_server import OpenAIServer

FREE = "{prompt_usd_per_million: 0, completion_usd_per_million: 0}"


def of_unknown_price(folder: Path, url: str, price: str = "") -> None:
    config = (folder / "small.yaml").read_text()
    task = f"{{model: openai/my-own, api_base: '{url}', max_tokens: 64{price}}}"
    (folder / "small.yaml").write_text(config.replace("{model: offline/task, temperature: 0, max_tokens: 64}", task))


@pytest.fixture
def unpriced_project(cli_project: Path, openai_server: OpenAIServer) -> Path:
    """The small project with a task model that no price is listed for."""
    of_unknown_price(cli_project, openai_server.url)
    return cli_project


@pytest.mark.parametrize(
    "command",
    [["plan", "small.yaml", "--set", "budget.usd=5"], ["optimize", "small.yaml", "--max-usd", "5"],
     ["eval", "small.yaml", "--set", "budget.usd=5"]],
)  # fmt: skip
def test_a_cap_on_money_is_refused_before_anything_is_spent(
    unpriced_project: Path, openai_server: OpenAIServer, run_cli: Any, command: list[str]
) -> None:
    ended = run_cli(*command)
    assert ended.code == 2
    assert "the price of openai/my-own (task) is not known" in ended.err
    assert "set models.ALIAS.price" in ended.err
    assert openai_server.payloads == []
    assert run_cli("runs", "list", "--json").out.strip() in {"", "[]"} or command[0] == "plan"


@pytest.mark.parametrize("command", ["plan", "eval"])
def test_a_model_is_shown_by_the_name_that_the_environment_gives_it(
    unpriced_project: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    config = unpriced_project / "small.yaml"
    config.write_text(config.read_text().replace("model: openai/my-own", 'model: "openai/${env:TASK_MODEL:-none}"'))
    monkeypatch.setenv("TASK_MODEL", "chosen")
    ended = run_cli(command, "small.yaml")
    assert ended.code == 0, ended.err
    assert "task openai/chosen" in ended.out + ended.err
    assert "${env:" not in ended.out + ended.err


def test_a_plan_does_not_call_the_unknown_nothing(unpriced_project: Path, run_cli: Any) -> None:
    plan = run_cli("plan", "small.yaml", "--json").json
    assert plan["priced"] is False
    assert {plan[part][bound]["usd"] for part in ("finish", "round", "total") for bound in ("low", "max")} == {None}
    for shown in (run_cli("plan", "small.yaml").out, run_cli("plan", "small.yaml", "--format", "md").out):
        assert "$" not in shown
    assert "the price of a model is not known" in run_cli("plan", "small.yaml").out


def test_a_run_shows_unknown_money_as_unknown_and_takes_no_cap_on_it_later(
    unpriced_project: Path, openai_server: OpenAIServer, run_cli: Any
) -> None:
    ended = run_cli("eval", "small.yaml", "--split", "test", "--json")
    assert ended.code == 0, ended.err
    calls = len(openai_server.payloads)
    for spend in (ended.json["spend"], run_cli("runs", "show", "latest", "--json").json["spend"]):
        assert (spend["total"]["usd"], spend["total"]["unpriced_calls"]) == (None, calls)
        assert spend["roles"]["task"]["usd"] is None
    (listed,) = run_cli("runs", "list", "--json").json
    assert (listed["usd"], listed["unpriced_calls"]) == (None, calls)
    for command in (["runs", "show", "latest"], ["runs", "list"], ["report", "latest", "--md"]):
        assert "$0" not in run_cli(*command).out
    assert f"{calls} calls of unknown price" in run_cli("runs", "show", "latest").out
    late = run_cli("runs", "resume", "latest", "--max-usd", "5")
    assert (late.code, "the price of openai/my-own (task) is not known" in late.err) == (2, True)
    assert len(openai_server.payloads) == calls


def test_a_price_of_nothing_is_a_price(cli_project: Path, openai_server: OpenAIServer, run_cli: Any) -> None:
    of_unknown_price(cli_project, openai_server.url, f", price: {FREE}")
    ended = run_cli("eval", "small.yaml", "--split", "test", "--set", "budget.usd=5", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["spend"]["total"]["usd"] == "0.00"
