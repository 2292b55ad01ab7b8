"""The Python interface, used as a notebook and a production service would use it."""

from __future__ import annotations

from pathlib import Path

import pytest

import promptprop
from promptprop.adapters.models.offline.worldfile import load_world
from promptprop.domain.errors import BaselineMissing, ConfigError, UsageError

ROOT = Path(__file__).parents[2]
SMALL = ["optimizer.options.rounds=2", "tracking.mlflow=false"]


@pytest.mark.no_cover
def test_optimize_returns_a_report_and_its_winner_can_be_loaded(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'runs.db'}"
    report = promptprop.optimize(ROOT / "configs/quickstart.yaml", sets=SMALL, database=database)
    assert report.verdict == "better"
    assert report.delta is not None
    assert report.delta.low > 0
    loaded = promptprop.load_prompt("support-router", "winner", database=database)
    assert loaded.candidate.text == report.winner.prompt
    (message,) = loaded.render(text="Where is my parcel?")
    assert message["role"] == "user"
    assert "Where is my parcel?" in message["content"]


def test_a_row_that_looks_like_a_template_is_not_evaluated(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'runs.db'}"
    promptprop.optimize(ROOT / "configs/quickstart.yaml", sets=SMALL, database=database)
    loaded = promptprop.load_prompt("support-router", "seed", database=database)
    (message,) = loaded.render(text="{{ 7 * 7 }}")
    assert "{{ 7 * 7 }}" in message["content"]
    with pytest.raises(ConfigError, match="text"):
        loaded.render(message="the wrong name")


def test_evaluate_scores_a_split_without_touching_others(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'runs.db'}"
    report = promptprop.evaluate(
        ROOT / "configs/quickstart.yaml", split="train", sets=["tracking.mlflow=false"], database=database
    )
    score = report.history.record(report.seed.id).scores["train"]
    assert score.n == report.history.spend.total.calls
    assert 0.2 < score.mean < 0.7


def test_an_unknown_prompt_is_a_usage_error(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'runs.db'}"
    promptprop.evaluate(ROOT / "configs/quickstart.yaml", sets=["tracking.mlflow=false"], database=database)
    with pytest.raises(UsageError):
        promptprop.load_prompt("nobody", database=database)


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = promptprop.nonsense


@pytest.mark.no_cover
def test_check_returns_a_report_whatever_the_verdict(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'runs.db'}"
    world = load_world(ROOT / "datasets/support.world.yaml")
    rules = "".join(f"- {rule.says[0]}\n" for rule in world.rules.values())
    better = tmp_path / "better.md"
    better.write_text((ROOT / "configs/prompts/support.md").read_text().replace("Which desk is it?", rules))
    sets = ["tracking.mlflow=false", "gate.replicates=[1]"]
    report = promptprop.check(ROOT / "configs/quickstart.yaml", str(better), sets=sets, database=database)
    assert (report.verdict, report.sentence.startswith("FAIL: ")) == ("FAIL", True)
    assert len(report.worse) > len(report.better)
    document = report.as_json()
    assert document["verdict"] == "FAIL"
    assert "--set tracking.mlflow=false" in document["worse"][0]["command"]
    assert document["worse"][0]["command"].endswith(f"--db {database}")


def test_a_check_without_a_baseline_or_of_no_split_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BaselineMissing, match="needs a baseline"):
        promptprop.check(ROOT / "configs/quickstart.yaml", sets=["tracking.mlflow=false"])
    with pytest.raises(UsageError, match="no split 'odd'"):
        promptprop.check(ROOT / "configs/quickstart.yaml", "x.md", split="odd")
