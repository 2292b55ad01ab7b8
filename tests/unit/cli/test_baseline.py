"""`baseline` and checks against what is stored: accepted, compared, refused by name, and answered without a network."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

FILE = Path("promptprop-baselines/small.json")
CALLS = Path("promptprop-baselines/small.calls.jsonl.gz")
JURY = """\
metrics:
  - {id: label, type: exact, weight: 0}
  - {id: quality, type: jury, jurors: [calm], rubric: Names the right desk.}
"""


def changed(project: Path, old: str = "Which desk is it?", new: str = "Which desk is it, please?") -> None:
    text = (project / "prompt.md").read_text()
    assert old in text
    (project / "prompt.md").write_text(text.replace(old, new))


def rows(project: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (project / "support.jsonl").read_text().splitlines()]


def write_rows(project: Path, found: list[dict[str, Any]]) -> None:
    (project / "support.jsonl").write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in found))


@pytest.mark.no_cover
def test_accepting_writes_two_files_and_later_checks_compare_with_them(accepted: Path, run_cli: Any) -> None:
    value = json.loads(FILE.read_text())
    assert len(value["rows"]) == 265
    assert {len(row["scores"]) for row in value["rows"]} == {2}
    unchanged = run_cli("check", "small.yaml")
    assert (unchanged.code, "nothing was asked" in unchanged.out) == (0, True)
    changed(accepted)
    ended = run_cli("check", "small.yaml", "--json")
    document = ended.json
    assert ended.code in (0, 3), ended.err
    assert document["baseline"]["label"] == "small"
    assert document["spend"]["total"]["calls"] in (265, 530), "only the candidate was asked"
    assert "the baseline's answers" in " ".join(ended.err.split())
    assert {flip["baseline_answer"] == "" for flip in [*document["worse"], *document["better"]]} <= {False}
    again = run_cli("baseline", "accept", "small.yaml", "--json").json
    assert again["before"] == value["score"] or abs(again["before"] - value["score"]) < 1e-3
    assert again["calls"] == 530


def test_accepting_the_same_again_changes_no_byte(accepted: Path, run_cli: Any) -> None:
    before = FILE.read_bytes(), CALLS.read_bytes()
    ended = run_cli("baseline", "accept", "small.yaml", "-q")
    assert ended.code == 0
    assert (FILE.read_bytes(), CALLS.read_bytes()) == before


def test_baselines_are_listed_shown_and_removed(accepted: Path, run_cli: Any) -> None:
    (listed,) = run_cli("baseline", "list", "--json").json
    assert (listed["name"], listed["rows"], listed["answers"], listed["models"]) == (
        "small", 265, 2, {"task": "offline/task"}
    )  # fmt: skip
    assert "offline/task" in run_cli("baseline", "list").out
    shown = run_cli("baseline", "show", "small")
    for said in ("task: offline/task (temperature 0.0, max_tokens 64)", "metrics  label", "worst rows", "{{ text }}"):
        assert said in shown.out
    assert len(run_cli("baseline", "show", str(FILE), "--json").json["scores"]) == 265
    assert run_cli("baseline", "rm", "small").code == 0
    assert not FILE.exists()
    assert not CALLS.exists()
    assert "no baseline yet" in run_cli("baseline", "list").out
    for command in (["show", "small"], ["rm", "small"]):
        ended = run_cli("baseline", *command)
        assert (ended.code, "there is no baseline" in ended.err) == (6, True)


def test_a_baseline_that_cannot_be_read_is_listed_as_such_and_the_others_stay(accepted: Path, run_cli: Any) -> None:
    FILE.with_name("torn.json").write_text("<<<<<<< HEAD")
    ended = run_cli("baseline", "list", "--json")
    assert (ended.code, [one["name"] for one in ended.json]) == (6, ["small"])
    assert "torn.json:1: this is no JSON" in ended.err


def test_one_row_that_changed_stops_the_comparison_and_is_named(accepted: Path, run_cli: Any) -> None:
    found = rows(accepted)
    write_rows(accepted, [{**found[0], "text": "Hm. " + found[0]["text"]}, *found[1:]])
    ended = run_cli("check", "small.yaml")
    assert ended.code == 6
    assert f"1 row changed: {found[0]['id']}" in ended.err
    assert "--allow-diff rows" in ended.err
    allowed = run_cli("check", "small.yaml", "--allow-diff", "rows")
    assert (allowed.code, "264" in allowed.out) == (0, True)


def test_an_id_that_was_renamed_stops_it_and_is_named(accepted: Path, run_cli: Any) -> None:
    found = rows(accepted)
    write_rows(accepted, [{**found[3], "id": "renamed"}, *found[:3], *found[4:]])
    ended = run_cli("check", "small.yaml", "--json")
    assert (ended.code, ended.json["error"]["code"]) == (6, "not_comparable")
    assert f"1 row renamed: {found[3]['id']} → renamed" in ended.json["error"]["message"]


@pytest.mark.no_cover
def test_another_parameter_of_the_model_stops_it_unless_models_may_differ(accepted: Path, run_cli: Any) -> None:
    setting = ("--set", "models.task.temperature=0.7")
    ended = run_cli("check", "small.yaml", *setting)
    assert ended.code == 6
    assert "models.task.temperature: 0.0 before, 0.7 now" in ended.err
    allowed = run_cli("check", "small.yaml", *setting, "--allow-diff", "model", "--json")
    assert allowed.code in (0, 1, 3)
    assert allowed.json["differences"] == ["models.task.temperature: 0.0 before, 0.7 now"]
    assert allowed.json["looks"], "the same prompt is asked again, since another model answers it"
    told = run_cli("check", "small.yaml", *setting, "--allow-diff", "model", "--format", "md").out
    assert "models.task.temperature: 0.0 before, 0.7 now" in told


@pytest.mark.no_cover
def test_another_judge_stops_it_whatever_is_allowed(cli_project: Path, run_cli: Any) -> None:
    text = (cli_project / "small.yaml").read_text().replace("metrics: [{id: label, type: exact}]\n", JURY)
    jury = "  jury: [{name: calm, model: offline/juror-strict}, {name: other, model: offline/juror-kind}]\nmetrics:"
    (cli_project / "small.yaml").write_text(text.replace("metrics:", jury, 1) + "gate: {replicates: [1]}\n")
    first = run_cli("baseline", "accept", "small.yaml", "--split", "test")
    assert first.code == 0, first.err
    arguments = ("check", "small.yaml", "--split", "test", "--allow-diff", "model,rows")
    assert run_cli(*arguments).code == 0
    ended = run_cli(*arguments, "--set", "models.jury.0.temperature=0.3")
    assert ended.code == 6, ended.err
    assert "judges.juror.calm.temperature: nothing before, 0.3 now" in ended.err
    metric = run_cli(*arguments, "--set", "metrics.0.casefold=true")
    assert metric.code == 6
    assert "metrics.label" in metric.err


def test_a_split_that_is_another_one_stops_it(accepted: Path, run_cli: Any) -> None:
    ended = run_cli("check", "small.yaml", "--split", "test")
    assert (ended.code, "the split: all before, test now" in ended.err) == (6, True)


@pytest.mark.no_cover
def test_an_unchanged_prompt_is_asked_again_where_drift_is_looked_for(accepted: Path, run_cli: Any) -> None:
    document = run_cli("check", "small.yaml", "--rerun", "--json").json
    assert document["spend"]["total"]["calls"] >= 265, "answers on record would only repeat the baseline's"
    assert document["verdict"] == "PASS"


@pytest.mark.no_cover
def test_without_a_network_a_changed_prompt_needs_its_calls_recorded(accepted: Path, run_cli: Any) -> None:
    assert run_cli("check", "small.yaml", "--offline").code == 0, "the accepted prompt is no change"
    changed(accepted)
    ended = run_cli("check", "small.yaml", "--offline")
    assert ended.code == 6
    assert "the recording promptprop-baselines/small.calls.jsonl.gz lacks at least " in ended.err
    assert "calls: those of the rows s" in ended.err
    assert "promptprop check CONFIG --record" in ended.err
    online = run_cli("check", "small.yaml", "--record", "--json")
    offline = run_cli("check", "small.yaml", "--offline", "--json", "--db", "sqlite:///fresh.db")
    assert (offline.code, offline.json["verdict"]) == (online.code, online.json["verdict"])
    assert offline.json["looks"] == online.json["looks"]
    assert offline.json["spend"]["total"]["calls"] == 0
    CALLS.unlink()
    ended = run_cli("check", "small.yaml", "--offline")
    assert (ended.code, "there is no recording" in ended.err) == (6, True)


@pytest.mark.no_cover
def test_a_change_that_stores_a_baseline_of_its_own_is_held_against_the_one_before_it(
    accepted: Path, run_cli: Any
) -> None:
    def git(*arguments: str) -> None:
        author = ("-c", "user.email=a@example.com", "-c", "user.name=a")
        subprocess.run(["git", *author, *arguments], cwd=accepted, check=True, capture_output=True)

    git("init", "-q")
    git("add", "promptprop-baselines")
    git("commit", "-qm", "before")
    changed(accepted)
    assert run_cli("baseline", "accept", "small.yaml").code == 0
    own = run_cli("check", "small.yaml", "--json").json
    assert own["looks"] == [{"replicates": 0, "verdict": "PASS", "metrics": {}}], "compared with itself"
    before = f"git:HEAD:{FILE}"
    ended = run_cli("check", "small.yaml", "--baseline", before, "--json")
    assert ended.json["looks"][0]["replicates"] == 1, ended.err
    assert ended.json["baseline"]["label"] == before
    offline = run_cli("check", "small.yaml", "--baseline", before, "--offline", "--db", "sqlite:///o.db", "--json")
    assert offline.json["looks"] == ended.json["looks"]
    gone = run_cli("check", "small.yaml", "--baseline", f"git:nowhere:{FILE}")
    assert (gone.code, "git has no small.json at 'nowhere'" in gone.err) == (6, True)


@pytest.mark.no_cover
def test_recorded_answers_are_scored_again_without_a_network(accepted: Path, run_cli: Any) -> None:
    ended = run_cli("baseline", "accept", "small.yaml", "--offline", "--db", "sqlite:///fresh.db", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["score"] == pytest.approx(json.loads(FILE.read_text())["score"], abs=1e-4)
    changed(accepted)
    before = FILE.read_bytes()
    ended = run_cli("baseline", "accept", "small.yaml", "--offline", "--db", "sqlite:///other.db")
    assert (ended.code, "small.calls.jsonl.gz lacks at least" in ended.err) == (6, True)
    assert FILE.read_bytes() == before


@pytest.mark.no_cover
def test_a_prompt_of_git_can_be_recorded_and_checked_without_a_network(accepted: Path, run_cli: Any) -> None:
    (accepted / "old.md").write_text((accepted / "prompt.md").read_text())
    changed(accepted)
    online = run_cli("check", "small.yaml", "--baseline", "old.md", "--record", "--json")
    assert online.json["spend"]["total"]["calls"] >= 265
    offline = run_cli("check", "small.yaml", "--baseline", "old.md", "--offline", "--json", "--db", "sqlite:///n.db")
    assert offline.json["looks"] == online.json["looks"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["check", "small.yaml"], 6, "a check needs a baseline, and there is none stored as promptprop-baselines"),
        (["check", "small.yaml", "--baseline", "none.json"], 6, "there is no baseline none.json"),
        (["check", "small.yaml", "--baseline", "prompt.md", "--rerun"], 2, "--rerun needs a stored baseline"),
        (["check", "small.yaml", "--allow-diff", "judges"], 2, "--allow-diff 'judges' is not known"),
        (["check", "small.yaml", "--offline", "--record"], 2, "--offline asks no model"),
        (["check", "small.yaml", "--offline", "--baseline", "prompt.md"], 6, "there is no recording"),
        (["check", "small.yaml", "--set", "gate.guards.costs=2%"], 2, "there is no metric 'costs'"),
        (["baseline", "accept", "small.yaml", "--split", "odd"], 2, "there is no split 'odd'"),
        (["baseline", "accept", "small.yaml", "--offline"], 6, "there is no recording"),
    ],
)
def test_what_cannot_be_done_ends_with_its_code_and_a_reason(
    arguments: list[str], code: int, said: str, cli_project: Path, run_cli: Any
) -> None:
    ended = run_cli(*arguments)
    assert (ended.code, said in ended.err) == (code, True), ended.err


@pytest.mark.no_cover
def test_a_check_that_a_cap_stopped_is_resumed_to_its_verdict(accepted: Path, run_cli: Any) -> None:
    changed(accepted)
    stopped = run_cli("check", "small.yaml", "--max-calls", "100", "--inconclusive", "warn", "--json")
    assert stopped.code == 5, stopped.err
    run = stopped.json["run"]["run_id"]
    resumed = run_cli("runs", "resume", run, "--max-calls", "2000")
    assert resumed.code == 0, resumed.err
    assert resumed.out.startswith(("PASS: ", "INCONCLUSIVE: "))
    value = json.loads(FILE.read_text())
    FILE.write_text(json.dumps({**value, "rows": [{**row, "scores": [1, 1]} for row in value["rows"]]}))
    changed(accepted, "please", "kindly")
    stopped = run_cli("check", "small.yaml", "--max-calls", "100", "--json")
    resumed = run_cli("runs", "resume", stopped.json["run"]["run_id"], "--max-calls", "2000")
    assert (resumed.code, resumed.out.startswith("FAIL: ")) == (1, True)
