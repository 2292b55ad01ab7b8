"""Taking up a run: what it takes over from its configuration, and what is said of the way on where it stops."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from promptprop.adapters.storage.store import open_store
from promptprop.cli import interrupts
from promptprop.cli.running import way_on
from promptprop.domain.errors import (
    AuthenticationFailed,
    ProviderDown,
    ReplayDiverged,
    StorageFull,
)
from promptprop.domain.history import History
from promptprop.domain.models import Json
from promptprop.domain.report import Report, Standing

CUT = ["eval", "small.yaml", "--set", "budget.calls=5"]


def snapshot_config(folder: Path, run_id: str) -> Any:
    store = open_store(f"sqlite:///{folder / '.promptprop/promptprop.db'}")
    try:
        return store.run(run_id).snapshot["config"]
    finally:
        store.close()


@pytest.fixture
def cut(cli_project: Path, run_cli: Any) -> str:
    """The id of an evaluation that its cap on calls has stopped."""
    ended = run_cli(*CUT, "--json")
    assert ended.code == 5, ended.err
    return str(ended.json["run"]["run_id"])


def test_a_run_taken_up_with_a_configuration_takes_over_what_may_differ_for_good(
    cut: str, cli_project: Path, run_cli: Any
) -> None:
    sets = [f"models.task.{setting}" for setting in ("patience=600", "retries=1", "concurrency=3")]
    given = [word for setting in [*sets, "budget.calls=9"] for word in ("--set", setting)]
    assert run_cli("optimize", "small.yaml", "--resume", cut, *given).code == 5
    for code, arguments in ((5, []), (0, ["--max-calls", "2000"])):
        config = snapshot_config(cli_project, cut)
        task: Json = config["models"]["task"]
        assert (task["patience"], task["retries"], task["concurrency"]) == (600, 1, 3)
        assert config["budget"]["calls"] == 5, "a cap is given with --max-calls, and is an intervention"
        assert run_cli("runs", "resume", cut, *arguments).code == code


def test_a_lower_cap_given_on_resume_admits_no_further_call(cut: str, run_cli: Any) -> None:
    again = run_cli("runs", "resume", cut, "--max-calls", "3", "--json")
    assert again.code == 5
    assert again.json["run"]["spend"]["total"]["calls"] == 5
    more = run_cli("runs", "resume", cut, "--max-calls", "8", "--json")
    assert more.code == 5
    assert more.json["run"]["spend"]["total"]["calls"] == 8


def test_why_a_run_stopped_and_how_to_go_on_are_told_once(cli_project: Path, run_cli: Any) -> None:
    ended = run_cli(*CUT)
    assert ended.code == 5
    said = " ".join(ended.err.split())
    assert said.count("runs resume") == 1
    assert said.count("leaves no room") == 1
    assert "--max-calls MORE" in said
    shown = run_cli("runs", "show", "latest")
    assert "runs resume" in shown.out, "where no error follows, the summary tells it"


def test_the_way_on_names_a_database_that_is_not_the_usual_one(cli_project: Path, run_cli: Any) -> None:
    url = "sqlite:///elsewhere.db"
    remedy = run_cli(*CUT, "--db", url, "--json").json["error"]["remedy"]
    assert f"--db {url} --max-calls MORE" in remedy


# --- the remedy of what stopped a run ---------------------------------------------------------------------------------


def report_of(activity: str = "optimize", failed: int = 0) -> Report:
    standing = Standing("c", "x", 1)
    history = History(activity=activity, status="stopped", stop_reason="failed")
    return Report("3f2a9c1b77", history, standing, standing, "untested", (), failed_calls=failed)


def test_a_finished_run_goes_on_only_as_a_new_run_whose_claim_says_that_it_is_a_second_look(
    cli_project: Path, run_cli: Any
) -> None:
    first = run_cli("optimize", "small.yaml", "--json").json
    assert first["earlier_looks"] == []
    refused = run_cli("runs", "resume", first["run_id"], "--max-calls", "2500", "--json")
    assert refused.code == 2
    assert "--second-look" in refused.json["error"]["remedy"]
    again = run_cli("runs", "resume", first["run_id"], "--second-look", "--max-calls", "2500", "--note", "be brief")
    assert again.code == 0, again.err
    assert "a second look: run" in again.out
    second = run_cli("runs", "show", "latest", "--json").json
    assert second["run_id"] != first["run_id"]
    assert second["earlier_looks"] == [first["run_id"]]
    assert second["notes_left"] == ["be brief"]
    assert second["spend"]["total"]["hits"] > 0
    assert "This is a second look" in run_cli("runs", "show", "latest", "--format", "md").out
    assert run_cli("runs", "show", first["run_id"], "--json").json["earlier_looks"] == []


def test_a_second_look_needs_a_first_one(cut: str, run_cli: Any) -> None:
    refused = run_cli("runs", "resume", cut, "--second-look", "--json")
    assert refused.code == 2
    assert "leave --second-look out" in refused.json["error"]["remedy"]


def test_what_is_wrong_with_a_model_may_be_mended_in_the_configuration_and_the_run_taken_up_with_it() -> None:
    said = way_on(AuthenticationFailed("no", remedy="check the key"), report_of(failed=2), "sqlite:///x.db")
    assert said.startswith("check the key; then `promptprop runs resume 3f2a9c1b --retry-errors --db sqlite:///x.db`")
    assert "`promptprop optimize CONFIG --resume 3f2a9c1b --db sqlite:///x.db`" in said
    of_eval = way_on(AuthenticationFailed("no", remedy="check the key"), report_of("evaluate"), "")
    assert "then `promptprop runs resume 3f2a9c1b` goes on" in of_eval
    assert "promptprop eval CONFIG" in of_eval


def test_a_remedy_that_names_the_way_on_is_not_told_a_second_one() -> None:
    own = "wait; then `promptprop runs resume 3f2a9c1b --retry-errors` goes on"
    said = way_on(ProviderDown("silent", remedy=own), report_of(), "sqlite:///x.db")
    assert said.count("runs resume") == 1
    assert "runs resume 3f2a9c1b --db sqlite:///x.db --retry-errors" in said


def test_a_run_stopped_by_its_storage_goes_on_and_one_that_diverged_does_not() -> None:
    full = way_on(StorageFull("full", remedy="free some space"), report_of(), "")
    assert full == "free some space; then `promptprop runs resume 3f2a9c1b` goes on"
    assert way_on(ReplayDiverged("differs", remedy="start afresh"), report_of(), "") == "start afresh"


# --- the second Ctrl-C ------------------------------------------------------------------------------------------------


def test_a_second_signal_ends_the_process_and_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    interrupts.stop_now(signal.SIGINT, "promptprop runs resume 3f2a9c1b")
    interrupts.stop_now(signal.SIGTERM)
    assert codes == [130, 143]
    said = capfd.readouterr().err.splitlines()
    assert said == ["stopped; go on with: promptprop runs resume 3f2a9c1b", "stopped"]


# --- no database, and a damaged one -----------------------------------------------------------------------------------


def test_an_empty_file_is_no_database(cli_project: Path, run_cli: Any) -> None:
    (cli_project / "empty.db").touch()
    for command in ("check", "upgrade"):
        ended = run_cli("db", command, "--db", "sqlite:///empty.db")
        assert ended.code == 2
        assert "there is no database at" in ended.err
        assert "db upgrade" not in ended.err
    assert run_cli(*CUT, "--db", "sqlite:///empty.db").code == 5, "the first run makes one of it"


def test_a_damaged_database_is_named_with_a_remedy_that_is_not_what_was_just_done(
    cli_project: Path, run_cli: Any
) -> None:
    (cli_project / "bad.db").write_bytes(b"SQLite format 3\x00" + b"\xff" * 5000)
    ended = run_cli("db", "check", "--db", "sqlite:///bad.db")
    assert ended.code == 2
    assert "bad.db" in ended.err
    assert "restore a backup" in ended.err
    assert "db check" not in ended.err
