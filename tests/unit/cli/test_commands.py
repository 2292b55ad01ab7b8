"""The commands in this process: what they answer, what they leave behind, and how they end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from promptprop.cli.registry import COMMANDS, GROUPS
from promptprop.domain.report import SIMULATED_NOTE


@pytest.mark.parametrize("name", [*COMMANDS, *GROUPS])
def test_every_command_tells_what_it_does(name: str, run_cli: Any) -> None:
    ended = run_cli(*name.split(), "--help")
    assert ended.code == 0
    assert ended.out.startswith(f"Usage: promptprop {name}")
    assert "Raises" not in ended.out
    assert "..." not in run_cli("--help").out.replace("[ARGS]...", "")


def test_without_arguments_the_help_is_shown(run_cli: Any) -> None:
    assert run_cli().code == 0
    assert run_cli().out == run_cli("--help").out
    assert run_cli("runs").code == 2


def test_a_command_with_others_below_it_takes_its_own_options_before_their_names(run_cli: Any) -> None:
    help_text = run_cli("worker", "--help").out
    assert help_text.index("Commands:") < help_text.index("Options:") < help_text.index("Common options:")
    assert "recover" in help_text
    assert run_cli("worker", "--concurrency", "0").code == 2
    misspelt = run_cli("worker", "recovery")
    assert (misspelt.code, "did you mean 'recover'?" in misspelt.err) == (2, True)


def test_an_optimization_answers_and_leaves_its_files(cli_project: Path, run_cli: Any) -> None:
    ended = run_cli("optimize", "small.yaml", "--json")
    assert ended.code == 0, ended.err
    found = ended.json
    assert {"run_id", "status", "stop_reason", "verdict", "seed", "winner", "delta", "spend", "paths"} <= set(found)
    assert found["status"] == "finished"
    assert found["simulated"] is True
    folder = cli_project / ".promptprop/runs" / found["run_id"][:8]
    assert found["paths"]["folder"] == str(folder)
    assert (folder / "prompt.md").read_text() == found["winner"]["prompt"] + "\n"
    assert SIMULATED_NOTE in (folder / "report.md").read_text()
    assert json.loads((folder / "result.json").read_text())["run_id"] == found["run_id"]
    assert "headroom" in ended.err
    assert "round 1" in ended.err
    assert "\x1b" not in ended.out + ended.err


def test_a_finished_run_is_shown_in_every_way(finished: dict[str, Any], run_cli: Any) -> None:
    short = finished["run_id"][:8]
    listed = run_cli("runs", "list", "--json").json
    assert [run["run_id"] for run in listed] == [finished["run_id"]]
    assert short in run_cli("runs", "list").out
    assert run_cli("runs", "show", short, "--json").json["verdict"] == finished["verdict"]
    for arguments in (["runs", "show", short], ["report", "latest"], ["runs", "resume", "latest"]):
        shown = run_cli(*arguments)
        assert shown.code == 0
        assert SIMULATED_NOTE.split(":")[0] in shown.out
        assert finished["verdict"] in shown.out
    assert run_cli("report", "small", "--md").out.startswith("# small")
    assert run_cli("runs", "export", short, "--format", "md").out.startswith("# small")
    exported = run_cli("runs", "export", short).json
    assert [event["seq"] for event in exported["events"]] == list(range(1, len(exported["events"]) + 1))
    assert exported["prompts"][0]["id"] == finished["seed"]["id"]


def test_prompts_are_listed_shown_exported_and_compared(finished: dict[str, Any], run_cli: Any) -> None:
    short = finished["run_id"][:8]
    assert any("seed" in one["aliases"] for one in run_cli("prompts", "list", "--json").json)
    assert run_cli("prompts", "show", f"{short}:seed").out == finished["seed"]["prompt"] + "\n"
    assert run_cli("prompts", "export", short).out == finished["winner"]["prompt"]
    assert run_cli("prompts", "export", "latest", "-o", "out.json").out == ""
    exported = json.loads(Path("out.json").read_text())
    assert exported["steps"][0]["messages"][0]["content"] == finished["winner"]["prompt"]
    for kind in ("json", "yaml", "python", "markdown", "md", "txt"):
        assert run_cli("prompts", "export", short, "--format", kind).code == 0
    assert run_cli("diff", f"{short}:seed", "prompt.md").out == "no difference\n"
    compared = run_cli("diff", "prompt.md", f"{short}:winner", "--json").json
    assert compared["equal"] is (finished["seed"]["prompt"] == finished["winner"]["prompt"])


def test_a_run_is_removed_only_with_consent(finished: dict[str, Any], run_cli: Any) -> None:
    assert run_cli("runs", "rm", "latest").code == 2
    assert len(run_cli("runs", "list", "--json").json) == 1
    assert run_cli("runs", "rm", "latest", "--purge", "-y").code == 0
    assert run_cli("runs", "list", "--json").json == []
    assert not Path(finished["paths"]["folder"]).exists()


def test_resuming_what_is_finished_refuses_new_caps(finished: dict[str, Any], run_cli: Any) -> None:
    assert run_cli("optimize", "--resume", "latest", "--max-calls", "2000").code == 0
    assert run_cli("optimize", "--resume", "latest", "--max-calls", "2001").code == 2


def test_resuming_with_another_configuration_is_refused(finished: dict[str, Any], run_cli: Any) -> None:
    assert run_cli("optimize", "small.yaml", "--resume", "latest").code == 0
    ended = run_cli("optimize", "small.yaml", "--resume", "latest", "--seed", "9", "--json")
    assert ended.code == 2
    assert ended.json["error"]["code"] == "snapshot_mismatch"


def test_a_winner_is_applied_only_where_it_is_better(finished: dict[str, Any], run_cli: Any) -> None:
    before = Path("prompt.md").read_text()
    ended = run_cli("optimize", "small.yaml", "--resume", "latest", "--apply", "--json")
    assert ended.code == 0
    assert ended.json["applied"] is (finished["verdict"] == "better")
    after = Path("prompt.md").read_text()
    assert after == (finished["winner"]["prompt"] + "\n" if finished["verdict"] == "better" else before)


def test_a_file_that_has_changed_is_not_overwritten(finished: dict[str, Any], run_cli: Any) -> None:
    Path("prompt.md").write_text("mine now: {{ text }}\n")
    ended = run_cli("runs", "resume", "latest", "--apply")
    assert ended.code == 0
    assert "not applied" in ended.out
    assert Path("prompt.md").read_text() == "mine now: {{ text }}\n"


def test_apply_is_refused_before_the_run_where_there_is_no_single_file(cli_project: Path, run_cli: Any) -> None:
    ended = run_cli("optimize", "small.yaml", "--set", "prompt.text=Route {{ text }}", "--apply", "--json")
    assert ended.code == 2
    assert "single text file" in ended.json["error"]["message"]
    assert not (cli_project / ".promptprop").exists()


def test_requiring_better_ends_with_three_where_it_is_not(cli_project: Path, run_cli: Any) -> None:
    (cli_project / "prompt.md").write_text("Say nothing but x. {{ text }}")
    kept = ["--set", "optimizer.options.headroom_rows=2", "--set", "optimizer.options.passing=0.01"]
    ended = run_cli("optimize", "small.yaml", "--require", "better", "--json", *kept)
    assert ended.code == (0 if ended.json["verdict"] == "better" else 3)


def test_a_prompt_is_scored_without_a_claim(cli_project: Path, run_cli: Any) -> None:
    ended = run_cli("eval", "small.yaml", "--split", "test", "--repeats", "2", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["activity"] == "evaluate"
    assert ended.json["seed"]["test"]["n"] > 0
    (cli_project / "other.md").write_text("Which desk? {{ text }}")
    other = run_cli("eval", "small.yaml", "--prompt", "other.md", "--split", "test")
    assert other.code == 0
    assert "score" in other.out


def test_planning_and_validating_leave_nothing_behind(cli_project: Path, run_cli: Any) -> None:
    before = {path.name for path in cli_project.iterdir()}
    plan = run_cli("plan", "small.yaml", "--json")
    assert plan.code == 0, plan.err
    assert plan.json["finish"]["max"]["calls"] > 0
    assert run_cli("plan", "small.yaml").code == run_cli("plan", "small.yaml", "--format", "md").code == 0
    assert run_cli("validate", "small.yaml").out.startswith("ok: small: 265 rows (")
    assert run_cli("schema").json["title"] == "PromptProp configuration"
    assert "small.yaml:2:" in run_cli("config", "show", "small.yaml", "--origin").out
    assert {path.name for path in cli_project.iterdir()} == before


def test_a_folder_that_cannot_be_written_costs_no_run(cli_project: Path, run_cli: Any) -> None:
    (cli_project / "file").write_text("in the way")
    ended = run_cli("optimize", "small.yaml", "--set", "output=file/below", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["paths"] == {}
    assert "not written" in ended.json["notes"][0]


def test_output_goes_into_a_file_instead(cli_project: Path, run_cli: Any) -> None:
    assert run_cli("plan", "small.yaml", "-o", "plan.txt").out == ""
    assert "finish" in (cli_project / "plan.txt").read_text()
    assert run_cli("plan", "small.yaml", "--json", "-o", "absent/plan.json").code == 2


def test_letters_that_an_encoding_lacks_are_replaced(cli_project: Path, run_cli: Any) -> None:
    ended = run_cli("plan", "small.yaml", encoding="ascii")
    assert ended.code == 0
    assert "|" in ended.out
    assert "->" in run_cli("optimise", encoding="ascii").err


def test_the_database_is_checked(finished: dict[str, Any], run_cli: Any) -> None:
    assert run_cli("db", "check").out == "ok: nothing is wrong\n"
    assert run_cli("db", "upgrade", "--json").json["revision"]


def test_a_completion_script_names_the_program(run_cli: Any) -> None:
    assert "promptprop" in run_cli("completion", "bash").out
    assert run_cli("completion", "tcsh").code == 2


def test_mlflow_needs_something_to_show(cli_project: Path, run_cli: Any) -> None:
    ended = run_cli("mlflow", "--json")
    assert ended.code == 2
    assert "nothing has been tracked" in ended.json["error"]["message"]


def test_a_database_with_many_flaws_is_told_in_brief(run_cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    flaws = ["integrity: in database main", *(f"Page {page} is never used" for page in range(99))]
    monkeypatch.setattr("promptprop.adapters.storage.migrate.check", lambda _url: ["\n".join(flaws)])
    ended = run_cli("db", "check")
    assert ended.code == 1
    assert len(ended.out.splitlines()) == 21
    assert "80 more" in ended.out
    assert run_cli("db", "check", "--json").json["problems"] == ["\n".join(flaws)]


def test_the_latest_prompt_is_that_of_an_optimization(finished: dict[str, Any], run_cli: Any) -> None:
    assert run_cli("eval", "small.yaml", "--split", "test", "-q").code == 0
    assert run_cli("report", "latest", "--json").json["activity"] == "evaluate"
    assert run_cli("prompts", "export", "latest").out == finished["winner"]["prompt"]
    assert run_cli("diff", "latest:seed", "latest:winner", "--json").json["before"].startswith(finished["run_id"][:8])
