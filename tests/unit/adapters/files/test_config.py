"""Loading a configuration: layers and their order, origins, references, and every problem at its place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from promptprop.adapters.files.config import LoadedConfig, load_config, show
from promptprop.adapters.files.config_options import check_options
from promptprop.domain.config import RunConfig
from promptprop.domain.errors import ConfigError, Problem

WHOLE = """\
version: 1
task: Route each message.
prompt: {file: router.md}
data:
  file: rows.jsonl
  inputs: [text]
  expected: label
models:
  task: {model: offline/support, temperature: 0}
metrics:
  - {type: exact, weight: .8}
budget: {calls: 100}
"""


class ExactOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")
    ignore_case: bool = False
    answer: str = ""


class FunctionOptions(BaseModel):
    function: str


class BackpropOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")
    children: int = Field(4, ge=1)


OPTIONS: dict[str, dict[str, type[BaseModel]]] = {
    "metrics": {"exact": ExactOptions, "contains": ExactOptions, "python": FunctionOptions},
    "optimizers": {"backprop": BackpropOptions, "classic": FunctionOptions},
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with everything that WHOLE names, which is also the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "router.md").write_text("Route: {{ text }}\n")
    (tmp_path / "rows.jsonl").write_text("")
    return tmp_path


def load(folder: Path, text: str = WHOLE, env: Mapping[str, str] | None = None, **more: Any) -> LoadedConfig:
    (folder / "x.yaml").write_text(text)
    more = {"user_file": folder / "none.yaml", "option_models": OPTIONS, **more}
    return load_config(folder / "x.yaml", env=env or {}, **more)


def refused(folder: Path, text: str = WHOLE, **more: Any) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text, **more)
    return caught.value.problems


def only(problems: tuple[Problem, ...]) -> tuple[str, str, str]:
    """Message, `line:column` and remedy of the one problem."""
    (problem,) = problems
    assert problem.place is not None
    return problem.message, f"{problem.place.line}:{problem.place.column}", problem.remedy


def test_a_configuration_is_loaded_with_the_origin_of_every_setting(project: Path) -> None:
    loaded = load(project)
    assert loaded.config.name == "x"
    assert loaded.config.data.file == str(project / "rows.jsonl")
    assert loaded.files == (project / "x.yaml",)
    origins = {key: str(origin) for key, origin in loaded.origins.items()}
    assert origins["metrics.0.weight"] == f"{project / 'x.yaml'}:11:27"
    assert origins["prompt.0.file"] == f"{project / 'x.yaml'}:3:16"
    assert (origins["seed"], origins["name"], origins["metrics.0.id"]) == ("default", "default", "default")


def test_settings_outside_override_each_other_in_the_documented_order(project: Path) -> None:
    (project / "user.yaml").write_text("seed: 1\nbudget: {calls: 1, tokens: 1, usd: 1}\nmax_error_rate: .5\n")
    (project / "mine.env").write_text("PROMPTPROP_BUDGET__TOKENS=2\nPROMPTPROP_BUDGET__USD=2\nPROMPTPROP_SEED=2\n")
    loaded = load(
        project,
        env={"PROMPTPROP_BUDGET__USD": "3", "PROMPTPROP_SEED": "3", "PROMPTPROP_METRICS__0__WEIGHT": "2"},
        sets=["seed=4", "metrics.0.gate=true"],
        flags={"seed": 5, "budget.seconds": None},
        user_file=project / "user.yaml",
        env_file=project / "mine.env",
    )
    config = loaded.config
    assert (config.max_error_rate, config.budget.calls, config.budget.tokens) == (0.5, 100, 2)
    assert (config.budget.usd, config.seed, config.metrics[0].weight, config.metrics[0].gate) == (
        Decimal(3),
        5,
        2,
        True,
    )
    origins = {key: str(loaded.origins[key]) for key in ("seed", "budget.usd", "budget.tokens", "metrics.0.gate")}
    assert origins == {
        "seed": "--seed",
        "budget.usd": "PROMPTPROP_BUDGET__USD",
        "budget.tokens": f"{project / 'mine.env'}:1",
        "metrics.0.gate": "--set",
    }
    assert loaded.environment["PROMPTPROP_BUDGET__USD"] == "3"
    assert str(loaded.origins["max_error_rate"]) == f"{project / 'user.yaml'}:3:17"


def test_extends_merges_maps_replaces_lists_and_keeps_the_right_file(project: Path) -> None:
    (project / "base").mkdir()
    (project / "base" / "base.yaml").write_text(WHOLE.replace("router.md", "base.md").replace("rows", "../rows"))
    (project / "base" / "base.md").write_text("From the base.")
    child = "extends: base/base.yaml\nmetrics: [contains]\nbudget: {usd: 5}\nmodels: {task: {temperature: 1}}\n"
    loaded = load(project, child)
    config = loaded.config
    assert config.prompt is not None
    assert config.prompt[0].file == str(project / "base" / "base.md")
    assert config.data.file == str(project / "rows.jsonl")
    assert [metric.type for metric in config.metrics] == ["contains"]
    assert (config.budget.usd, config.budget.calls, config.models.task.temperature) == (5, 100, 1)
    assert config.models.task.model == "offline/support"
    assert str(loaded.origins["budget.calls"]) == f"{project / 'base' / 'base.yaml'}:12:17"
    assert str(loaded.origins["budget.usd"]) == f"{project / 'x.yaml'}:3:15"
    assert loaded.files == (project / "x.yaml", project / "base" / "base.yaml")


def test_what_says_the_same_thing_another_way_replaces_it(project: Path) -> None:
    text = WHOLE.replace("calls: 100", "minutes: 5") + "optimizer: {name: backprop, options: {children: 2}}\n"
    loaded = load(
        project,
        text,
        flags={"budget.seconds": "90s"},
        sets=["prompt.text=Hello", "optimizer.name=classic"],
        option_models=None,
    )
    assert loaded.config.budget.budget.seconds == 90
    assert loaded.config.prompt is not None
    assert (loaded.config.prompt[0].text, loaded.config.prompt[0].file) == ("Hello", None)
    assert loaded.config.optimizer.options == {}


def test_a_text_keeps_its_spelling_where_a_text_is_wanted(project: Path) -> None:
    text = WHOLE.replace("offline/support", "1.10").replace("{type: exact,", "{type: exact, answer: 1e3,")
    loaded = load(project, text, sets=["name=2.50", "data.expected=true", "task=a: b"])
    config = loaded.config
    assert (config.models.task.model, config.name, config.data.expected) == ("1.10", "2.50", "true")
    assert config.metrics[0].options == {"answer": "1e3"}
    assert config.task == "a: b"


def test_an_unknown_key_is_refused_with_a_caret_and_a_guess(project: Path) -> None:
    problems = refused(project, WHOLE.replace("temperature", "temprature"))
    assert only(problems) == ("unknown key 'temprature'", "9:34", "did you mean 'temperature'?")
    assert problems[0].place is not None
    assert problems[0].place.caret().splitlines()[1] == "    " + " " * 33 + "^"


@pytest.mark.parametrize(
    ("old", "new", "message", "place"),
    [
        ("calls: 100", "calls: five", "calls: expected a whole number, got the text 'five'", "12:17"),
        ("calls: 100", "calls: 1.5", "calls: expected a whole number, got the number 1.5", "12:17"),
        ("calls: 100", "calls: -1", "calls: must be at least 0, got the number -1", "12:17"),
        ("{calls: 100}", "100", "budget: expected a map of keys, got the number 100", "12:9"),
        ("[text]", "{a: b}", "inputs: expected a list, got a map", "6:3"),
        ("version: 1", "version: 2", "version: expected 1, got the number 2", "1:10"),
        ("task: Route each message.\n", "", "the key 'task' is missing", "1:1"),
        ("model: offline/support, ", "", "models.task: the key 'model' is missing", "9:3"),
        ("expected: label", "split: {train: .9}", "train, select and test sum to 1.5, not to 1", "7:3"),
        ("version: 1", "steps: [{id: a, prompt: b}]", "a run takes exactly one of prompt and steps, got both", "1:1"),
        ("router.md", "'${env:A}.md'", "prompt.file: a path cannot hold a reference", "3:16"),
        ("type: exact", "type: exat", "unknown metric type 'exat'", "11:12"),
        ("weight: .8", "ignore_cas: true", "unknown key 'ignore_cas'", "11:19"),
        ("weight: .8", "ignore_case: no", "ignore_case: expected true or false, got the text 'no'", "11:32"),
        ("version: 1", "optimizer: backprob", "unknown optimizer 'backprob'", "1:12"),
        ("version: 1", "optimizer: {options: {children: 0}}", "children: must be at least 1, got the number 0", "1:33"),
    ],
)
def test_a_mistake_is_told_in_plain_words_at_its_place(
    project: Path, old: str, new: str, message: str, place: str
) -> None:
    found, where, _ = only(refused(project, WHOLE.replace(old, new)))
    assert (found, where) == (message, place)


def test_a_literal_key_for_a_public_base_is_refused_without_showing_it(project: Path) -> None:
    problems = refused(project, WHOLE.replace("temperature: 0", "api_base: https://x.com/v1, api_key: sk-secret"))
    message, where, remedy = only(problems)
    assert "loopback" in message
    assert where == "9:71"
    assert "${env:" in remedy
    assert "secret" not in str(problems[0])


def test_all_problems_of_a_file_are_reported_at_once_in_its_order(project: Path) -> None:
    text = WHOLE.replace("router.md", "none.md").replace("expected:", "expcted:").replace("100", "many")
    problems = refused(project, text, sets=["seed=x", "nonsense"], env={"PROMPTPROP_BUDGETS__USD": "1"})
    assert [(problem.place and problem.place.line, problem.message.split(":")[0]) for problem in problems] == [
        (0, "expected key=value"),
        (0, "expected a whole number, got the text 'x'"),
        (3, "prompt.file"),
        (7, "unknown key 'expcted'"),
        (12, "calls"),
        (0, "PROMPTPROP_BUDGETS__USD sets the unknown key 'budgets'"),
    ]
    assert problems[1].place is not None
    assert problems[1].place.file == "--set seed"
    assert problems[5].remedy == "did you mean PROMPTPROP_BUDGET?"


def test_files_that_are_not_there_are_reported_at_the_key(project: Path) -> None:
    message, where, _ = only(refused(project, WHOLE.replace("router.md", "lost.md")))
    assert (message, where) == (f"prompt.file: no such file: {project / 'lost.md'}", "3:16")
    with pytest.raises(ConfigError, match="no such file"):
        load_config(project / "lost.yaml", env={}, user_file=project / "none")
    assert "no such file" in only(refused(project, "extends: lost.yaml"))[0]


def test_an_extends_cycle_is_refused(project: Path) -> None:
    (project / "y.yaml").write_text("extends: x.yaml\n")
    message, where, _ = only(refused(project, "extends: y.yaml\n"))
    assert message == "extends: goes round in a circle: x.yaml → y.yaml → x.yaml"
    assert where == "1:10"


def test_an_index_that_is_not_there_is_refused_by_the_name_of_its_flag(project: Path) -> None:
    (problem,) = refused(project, sets=["metrics.3.weight=1"])
    assert str(problem) == "--set metrics.3: metrics is a list and wants an index from 0 to 0, got '3'".replace(
        "--set metrics.3:", "--set metrics.3.weight:"
    )


def test_keys_and_database_urls_from_the_environment_stay_references(project: Path) -> None:
    env = {"PROMPTPROP_MODELS__TASK__API_KEY": "sk-1", "PROMPTPROP_DATABASE_URL": "postgresql://u:pw@h/x"}
    loaded = load(project, env=env)
    assert loaded.config.models.task.api_key == "${env:PROMPTPROP_MODELS__TASK__API_KEY}"
    assert loaded.config.database.url == "${env:PROMPTPROP_DATABASE_URL}"
    assert "sk-1" not in json.dumps(loaded.config.snapshot()) + repr(loaded)


def test_paths_of_a_setting_from_outside_are_relative_to_the_current_folder(project: Path) -> None:
    (project / "deep").mkdir()
    (project / "deep" / "z.yaml").write_text(WHOLE.replace("router.md", "../router.md"))
    loaded = load_config(project / "deep" / "z.yaml", ["data.file=rows.jsonl"], env={}, user_file=project / "none")
    assert loaded.config.data.file == str(project / "rows.jsonl")


def test_a_function_in_a_file_is_found_from_the_file_that_names_it(project: Path) -> None:
    loaded = load(project, WHOLE.replace("exact", "'python:./mine.py:tone'"))
    assert loaded.config.metrics[0].type == f"python:{project / 'mine.py'}:tone"
    assert loaded.config.metrics[0].id == "tone"


def test_show_lists_every_setting_with_its_origin_and_hides_keys(project: Path) -> None:
    text = WHOLE.replace("temperature: 0", "api_base: 'http://localhost:1/v1', api_key: sk-local")
    rows = {key: (value, origin) for key, value, origin in show(load(project, text, sets=["seed=3"]))}
    assert rows["seed"] == (3, "--set")
    assert rows["models.task.api_key"][0] == "******"
    assert rows["data.inputs"] == (["text"], f"{project / 'x.yaml'}:6:11")
    assert rows["max_error_rate"] == (0.1, "default")


def test_options_are_checked_without_a_file_too(project: Path) -> None:
    config = load(project).config.model_copy(update={"metrics": load(project, WHOLE, sets=[]).config.metrics})
    assert check_options(config, OPTIONS) == []
    snapshot = config.snapshot()
    snapshot["metrics"] = [{"type": "exact", "ignorecase": True}, {"type": "contain"}]
    assert check_options(RunConfig.model_validate(snapshot), OPTIONS) == [
        (("metrics", 0, "ignorecase"), "unknown key 'ignorecase'", "ignore_case"),
        (("metrics", 1, "type"), "unknown metric type 'contain'", "contains"),
    ]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=80), st.text("{}[]:,-.0aprompt= \n", max_size=40))
def test_random_files_and_settings_raise_nothing_but_a_config_error(project: Path, text: str, setting: str) -> None:
    (project / "r.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ConfigError):
        load_config(project / "r.yaml", [setting], env={}, user_file=project / "none", option_models=OPTIONS)
