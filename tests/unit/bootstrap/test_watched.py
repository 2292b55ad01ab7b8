"""What a watch looks at, what it still may spend, and code that is loaded anew."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path

import pytest

from promptprop.bootstrap.configuration import load
from promptprop.bootstrap.watched import Code, Spent, files_of, for_one_run, no_bytecode, prompt_count
from promptprop.domain.budget import Budget, RoleSpend, Spend
from promptprop.domain.errors import UsageError
from promptprop.domain.history import History

ROOT = Path(__file__).parents[3]
CONFIG = """\
extends: base.yaml
prompt: {file: prompt.md}
data: {file: rows.jsonl, inputs: [text]}
metrics: [{id: form, type: json_schema, file: schema.json}, {id: own, type: 'python:./own.py:score'}]
roles: {critic: {template: critic.md}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.yaml").write_text(CONFIG)
    (tmp_path / "base.yaml").write_text("version: 1\ntask: Label.\nmodels: {task: {model: openai/gpt-5}}\n")
    for name in ("prompt.md", "rows.jsonl", "schema.json", "own.py", "critic.md"):
        (tmp_path / name).write_text("{}")
    return tmp_path


def names(paths: list[Path]) -> set[str]:
    return {path.name for path in paths}


def test_every_file_that_shapes_an_evaluation_is_watched(folder: Path) -> None:
    found = files_of(load("run.yaml"), None)
    expected = {"run.yaml", "base.yaml", ".env", "prompt.md", "rows.jsonl", "schema.json", "own.py", "critic.md"}
    assert names(found) == expected
    (folder / "other.env").write_text("")
    assert "other.env" in names(files_of(load("run.yaml", env_file=Path("other.env")), Path("other.env")))


def test_a_simulated_model_is_watched_by_its_worlds(folder: Path) -> None:
    found = names(files_of(load(ROOT / "configs/tickets.yaml"), None))
    assert {"tickets.world.yaml", "tickets-desk.world.yaml", "tickets-facts.world.yaml", "ticket-desk.md"} <= found


def test_rows_from_stdin_cannot_be_watched(folder: Path) -> None:
    with pytest.raises(UsageError, match="stdin"):
        files_of(load("run.yaml", ["data.file=-"]), None)


def test_a_run_gets_what_the_runs_before_it_have_left_and_no_tracker(folder: Path) -> None:
    sets = ["budget={calls: 10, usd: 1, tokens: 50}", "tracking.mlflow=true"]
    loaded = load("run.yaml", sets)
    spend = Spend(roles={"task": RoleSpend(calls=7, prompt_tokens=60, picousd=250_000_000_000, unpriced=1)})
    spent = Spent().after(History(spend=spend))
    assert spent == Spent(1, 7, 60, 250_000_000_000, 1)
    budget = for_one_run(loaded, spent).config.budget.budget
    assert (budget.calls, budget.tokens, budget.usd) == (3, 0, Decimal("0.75"))
    assert for_one_run(loaded, spent).config.tracking.mlflow is None
    over = spent.after(History(spend=spend))
    assert over.left(Budget(calls=10)) == {"calls": 0, "tokens": None, "usd": None}
    assert loaded.config.budget.calls == 10, "the configuration stays as it is"


def test_prompts_are_counted_and_a_chain_is_one(folder: Path) -> None:
    assert prompt_count(load("run.yaml").config) == 1
    assert prompt_count(load("run.yaml", ["prompt=[{text: 'a {{ text }}'}, {text: 'b {{ text }}'}]"]).config) == 2
    assert prompt_count(load(ROOT / "configs/tickets.yaml").config) == 1


def test_code_that_a_metric_brought_is_found_and_loaded_anew_and_nothing_else_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    helper = tmp_path / "helper_of_a_metric.py"
    helper.write_text("VALUE = 1\n")
    code = Code()
    with no_bytecode():
        import helper_of_a_metric

        assert helper_of_a_metric.VALUE == 1
        assert code.files(tmp_path) == [helper]
        assert code.files(tmp_path / "elsewhere") == []
        helper.write_text("VALUE = 2\n")
        loaded = set(sys.modules)
        code.forget(tmp_path)
        assert loaded - set(sys.modules) == {"helper_of_a_metric"}
        import helper_of_a_metric as anew

        assert anew.VALUE == 2
        assert Code().files(tmp_path) == [], "what was there before is nobody's"
    assert list(tmp_path.glob("__pycache__/*")) == []
    del sys.modules["helper_of_a_metric"]
