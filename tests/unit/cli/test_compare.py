"""`compare`: versions, runs and files held against each other without a call, and what cannot be compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from promptprop.bootstrap import comparing
from promptprop.domain.events import ScoreOverridden, StoredEvent
from promptprop.domain.history import History

BRIEF = "- Output just the label, in lower case, with no explanation."


def newest(run_cli: Any) -> str:
    return str(run_cli("runs", "list", "--json").json[0]["run_id"])[:8]


def evaluated(run_cli: Any, *options: str) -> str:
    """The id of an evaluation with these options."""
    assert run_cli("eval", "small.yaml", "-q", *options).code == 0
    return newest(run_cli)


@pytest.fixture
def files(cli_project: Path) -> tuple[str, str]:
    """The configured prompt, and one that asks for the label alone."""
    text = (cli_project / "prompt.md").read_text()
    (cli_project / "new.md").write_text(text.replace("Which desk is it?", f"Which desk is it?\n{BRIEF}"))
    return "prompt.md", "new.md"


def test_seed_and_winner_of_a_run_are_compared_on_rows_that_the_search_did_not_see(
    finished: dict[str, Any], run_cli: Any
) -> None:
    run = finished["run_id"][:8]
    calls = run_cli("runs", "list", "--json").json
    found = run_cli("compare", f"{run}:seed", f"{run}:winner", "--json").json
    assert (found["split"], found["flattered"], found["rows"]) == ("test", False, finished["seed"]["test"]["n"])
    assert found["before"]["label"] == f"{run}:seed"
    score = found["metrics"]["score"]
    assert score["before"]["mean"] == pytest.approx(finished["seed"]["test"]["mean"])
    assert score["after"]["mean"] == pytest.approx(finished["winner"]["test"]["mean"])
    assert set(found["metrics"]) == {"score"}
    assert run_cli("runs", "list", "--json").json == calls, "nothing was run"
    seen = run_cli("compare", f"{run}:seed", run, "--split", "select")
    assert "caution  a search saw these rows" in seen.out


@pytest.mark.no_cover
def test_files_are_compared_by_the_evaluations_that_are_on_record(files: tuple[str, str], run_cli: Any) -> None:
    first = evaluated(run_cli, "--repeats", "2")
    ended = run_cli("compare", *files)
    assert (ended.code, ended.out) == (6, "")
    assert "the record has no evaluation of new.md" in ended.err
    assert "promptprop eval CONFIG --prompt new.md" in ended.err
    second = evaluated(run_cli, "--prompt", files[1])
    shown = run_cli("compare", *files)
    assert shown.out.startswith("new.md is surely better: +3.4 points, surely above +")
    for said in (
        "rows     265 compared; left out: none", "answers  1 each", f"runs     evaluate {first} and evaluate {second}",
        "rows better", f"+{BRIEF}", "--- prompt.md", "$/1000 rows  $0.0", "simulated model",
    ):  # fmt: skip
        assert said in shown.out
    assert max(map(len, shown.out.partition("\n9 rows better")[0].splitlines())) <= 80
    other = run_cli("compare", second, first, "--json").json
    assert (other["verdict"], other["only_before"], other["after"]["run_id"][:8]) == ("worse", 0, first)
    assert other["worse"][0]["delta"] < 0
    assert run_cli("compare", *files, "--json").json["sentence"] == shown.out.splitlines()[0]
    markdown = run_cli("compare", *files, "--format", "md").out
    assert markdown.startswith("## prompt.md → new.md\n\n**new.md is surely better")
    assert "### Better: 9 rows" in markdown
    assert "### Worse" not in markdown


@pytest.mark.no_cover
def test_scores_of_different_metrics_are_not_compared(files: tuple[str, str], run_cli: Any) -> None:
    exact = evaluated(run_cli)
    others = {
        "metrics=[{id: label, type: contains}]": "label is exact and contains",
        "metrics=[{id: label, type: exact, casefold: true}]": "label has other options",
        "metrics=[{id: label, type: exact}, {id: size, type: length, most: 5}]": "has size",
    }
    for metrics, said in others.items():
        ended = run_cli("compare", exact, evaluated(run_cli, "--set", metrics))
        assert ended.code == 6, metrics
        assert said in ended.err
    document = run_cli("compare", exact, newest(run_cli), "--json").json
    assert (document["exit_code"], document["error"]["code"]) == (6, "not_comparable")


def test_a_metric_whose_file_changed_is_another_metric(files: tuple[str, str], cli_project: Path, run_cli: Any) -> None:
    own = ("--set", "metrics=[{id: own, type: 'python:./own.py:score'}]")
    (cli_project / "own.py").write_text("def score(output, example):\n    return 1\n")
    first = evaluated(run_cli, *own)
    (cli_project / "own.py").write_text("def score(output, example):\n    return 0\n")
    ended = run_cli("compare", first, evaluated(run_cli, *own))
    assert (ended.code, "a file or a template that they use has changed" in ended.err) == (6, True)


@pytest.mark.no_cover
def test_other_models_and_parameters_are_told_and_compared(files: tuple[str, str], run_cli: Any) -> None:
    first = evaluated(run_cli)
    second = evaluated(run_cli, "--set", "models.task.temperature=0.7")
    ended = run_cli("compare", first, second)
    assert ended.code == 0
    assert ended.out.startswith("different parameters of task: temperature 0.0 → 0.7\n")
    assert "both are the same prompt, word by word" in ended.out


@pytest.mark.no_cover
def test_another_model_is_told_by_the_name_that_it_was_called_by(
    files: tuple[str, str], run_cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, real = evaluated(run_cli), evaluated(run_cli), comparing.fold

    def named(events: list[StoredEvent]) -> History:
        history = real(events)
        other = history.run_id.startswith(second)
        return replace(history, models={"task": "offline/other"}) if other else history

    monkeypatch.setattr(comparing, "fold", named)
    told = run_cli("compare", first, second, "--json").json["differences"]
    assert told == ["different models: task offline/task → offline/other"]
    assert run_cli("compare", first, second).out.startswith(f"{told[0]}\n")


@pytest.mark.no_cover
def test_rows_that_changed_or_that_one_has_are_left_out_and_counted(files: tuple[str, str], run_cli: Any) -> None:
    first = evaluated(run_cli)
    second = evaluated(run_cli, "--split", "test", "--set", "data.soft_negatives=soft_negatives")
    found = run_cli("compare", first, second, "--json").json
    assert found["split"] == "all"
    assert found["changed"] > 0 == found["only_after"]
    assert found["rows"] + found["changed"] + found["only_before"] == 265
    shown = " ".join(run_cli("compare", first, second).out.split())
    assert f"{found['rows']} compared; left out: {found['only_before']} only in {first}:" in shown
    assert f"{found['changed']} with other contents" in shown
    narrow = run_cli("compare", first, second, "--split", "test", "--json").json
    assert (narrow["split"], narrow["only_before"], narrow["rows"]) == ("test", 0, found["rows"])
    train = evaluated(run_cli, "--split", "train")
    apart = run_cli("compare", train, second)
    assert (apart.code, "have no row in common: " in apart.err) == (6, True)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("prompt.md", "absent.md"), 2, "there is no file absent.md"),
        (("prompt.md", "nobody"), 2, "neither a prompt nor a run answers to 'nobody'"),
        (("prompt.md", "new.md", "--split", "odd"), 2, "there is no split 'odd'"),
        (("prompt.md", "new.md", "--format", "junit"), 2, "--format 'junit'"),
        (("prompt.md", "new.md"), 6, "no evaluation of new.md"),
    ],
)
def test_what_cannot_be_compared_says_why(
    files: tuple[str, str], run_cli: Any, arguments: tuple[str, ...], code: int, said: str
) -> None:
    evaluated(run_cli)
    ended = run_cli("compare", *arguments)
    assert (ended.code, said in ended.err) == (code, True), ended.err


@pytest.mark.no_cover
def test_a_check_stands_for_its_candidate(files: tuple[str, str], run_cli: Any) -> None:
    evaluated(run_cli)
    assert run_cli("check", "small.yaml", "--baseline", "new.md", "-q", "--exit-zero").code == 0
    found = run_cli("compare", "new.md", newest(run_cli), "--json").json
    assert found["after"]["activity"] == "check"
    assert BRIEF not in found["after"]["prompt"]
    assert BRIEF in found["before"]["prompt"]
    assert found["verdict"] == "worse"


def test_scores_that_a_person_corrected_count_as_corrected(
    finished: dict[str, Any], run_cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, seed = finished["run_id"][:8], finished["seed"]["id"]
    plain = run_cli("compare", f"{run}:seed", f"{run}:winner", "--json").json
    better, real = plain["better"][0]["row"], comparing.fold
    override = ScoreOverridden(seed, better, 1.0, "it is right")
    monkeypatch.setattr(comparing, "fold", lambda events: replace(real(events), overrides=(override,)))
    corrected = run_cli("compare", f"{run}:seed", f"{run}:winner", "--json").json
    assert len(corrected["better"]) == len(plain["better"]) - 1
