"""Whatever is wrong with what people give: one clear error, the right exit code, one JSON envelope, no traceback."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

Change = Callable[[Path], list[str]]
OPTIMIZE = ["optimize", "small.yaml"]


def replaced(old: str, new: str, arguments: list[str] | None = None) -> Change:
    """A change of the configuration, which must hold the old text."""

    def change(folder: Path) -> list[str]:
        text = (folder / "small.yaml").read_text()
        assert old in text
        (folder / "small.yaml").write_text(text.replace(old, new))
        return arguments or OPTIMIZE

    return change


def data(text: str, arguments: list[str] | None = None) -> Change:
    def change(folder: Path) -> list[str]:
        (folder / "support.jsonl").write_text(text)
        return arguments or OPTIMIZE

    return change


def prompt(text: str) -> Change:
    def change(folder: Path) -> list[str]:
        (folder / "prompt.md").write_text(text)
        return OPTIMIZE

    return change


def given(*arguments: str) -> Change:
    return lambda _folder: list(arguments)


def newer_database(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "new.db")) as connection, connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")
        connection.execute("CREATE TABLE run_calls (id INTEGER)")
    connection.close()
    return [*OPTIMIZE, "--db", f"sqlite:///{folder}/new.db"]


def below_a_file(folder: Path) -> list[str]:
    (folder / "file").write_text("in the way")
    return [*OPTIMIZE, "--db", f"sqlite:///{folder}/file/runs.db"]


def semicolons(folder: Path) -> list[str]:
    (folder / "support.csv").write_text("id;text;label;customer\na;x;sales;c\n")
    return ["validate", "small.yaml", "--set", "data.file=support.csv"]


def one_row_a_customer(folder: Path) -> list[str]:
    row = {"id": "a", "text": "x", "label": "sales", "customer": "c"}
    rows = [{**row, "id": str(number)} for number in range(9)]
    (folder / "support.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    return ["validate", "small.yaml"]


ROW = '{"id": "s1", "text": "a", "label": "sales", "customer": "c1"}\n'
CASES: dict[str, tuple[Change, str, str]] = {
    "an unknown key": (replaced("budget:", "budgte:"), "config", "small.yaml:12:1"),
    "a wrong type": (replaced("calls: 2000", "calls: many"), "config", "small.yaml:12"),
    "a text that is left out": (replaced("task: Route each", "task:\n# Route each"), "config", "task: expected a text"),
    "money below zero": (
        given(*OPTIMIZE, "--max-usd", "-1"),
        "config",
        "--max-usd: must be at least 0, got the number -1",
    ),
    "a key that a flag names already": (
        given(*OPTIMIZE, "--set", "budget.calls=x"),
        "config",
        "calls: expected a whole",
    ),
    "an empty configuration": (given("validate", "/dev/null"), "config", "quickstart.yaml"),
    "columns apart by semicolons": (semicolons, "data", "separate columns by commas"),
    "a prompt file that is not there": (
        given("eval", "small.yaml", "--prompt", "absent.md"),
        "usage",
        "no file absent.md",
    ),
    "a duplicate key": (replaced("version: 1", "version: 1\nversion: 1"), "config", "small.yaml:2"),
    "no such configuration": (given("optimize", "absent.yaml"), "config", "absent.yaml"),
    "no such data file": (replaced("support.jsonl", "absent.jsonl"), "config", "no such file"),
    "an empty dataset": (data(""), "data", "support.jsonl"),
    "a missing column": (replaced("expected: label", "expected: lable"), "data", "label"),
    "an unknown template variable": (prompt("Answer {{ txet }}"), "config", "text"),
    "two rows with one id": (data(ROW * 2), "data", "s1"),
    "no rows in a split": (one_row_a_customer, "data", "ends empty"),
    "a model without a key": (replaced("offline/task", "openai/gpt-4o-mini"), "config", "OPENAI_API_KEY"),
    "a folder that cannot be made": (below_a_file, "not_writable", "--db"),
    "a database of a newer version": (newer_database, "database_too_new", "update PromptProp"),
    "resuming where no run exists": (given(*OPTIMIZE, "--resume", "latest"), "run_not_found", "no run"),
    "an unknown option": (given(*OPTIMIZE, "--max-call", "3"), "usage", "--max-calls"),
    "an unknown command": (given("optimise"), "usage", "optimize"),
    "a command of a group at the top": (given("show"), "usage", "runs show"),
    "an option that wants a number": (given(*OPTIMIZE, "--max-calls", "few"), "usage", "few"),
    "no configuration": (given("optimize"), "usage", "CONFIG"),
    "no budget": (replaced("budget: {calls: 2000}\n", ""), "usage", "--unlimited"),
    "a budget too small for FINISH": (given(*OPTIMIZE, "--max-calls", "20"), "usage", "budget.calls"),
    "an impossible time": (given(*OPTIMIZE, "--max-time", "soon"), "config", "--max-time"),
    "an unknown verdict": (given(*OPTIMIZE, "--require", "best"), "usage", "better"),
    "an unknown format": (given(*OPTIMIZE, "--format", "xml"), "usage", "json"),
    "quiet and verbose": (given(*OPTIMIZE, "-q", "-v"), "usage", "-q"),
    "retrying what never began": (given(*OPTIMIZE, "--retry-errors"), "usage", "--resume"),
    "an unknown split": (given("eval", "small.yaml", "--split", "dev"), "usage", "select"),
    "an unknown prompt": (given("eval", "small.yaml", "--prompt", "absent@3"), "usage", "prompts list"),
    "a file that is not there": (given("diff", "absent.md", "small.yaml"), "usage", "absent.md"),
    "a setting without a value": (given(*OPTIMIZE, "--set", "seed"), "config", "key=value"),
}
WITHOUT_REMEDY = {
    "a wrong type",
    "a text that is left out",
    "money below zero",
    "a key that a flag names already",
    "no such configuration",
    "an impossible time",
}  # the message says it all


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_is_told_once_with_its_remedy(name: str, cli_project: Path, run_cli: Any) -> None:
    change, code, said = CASES[name]
    arguments = change(cli_project)
    ended = run_cli(*arguments)
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.count("error:") == 1
    assert said in ended.err
    assert "→" in ended.err or name in WITHOUT_REMEDY
    assert "Traceback" not in ended.err
    if "--format" in arguments:
        return
    envelope = run_cli(*arguments, "--json").json
    assert envelope["exit_code"] == 2
    assert envelope["error"]["code"] == code
    assert said in json.dumps(envelope["error"])
    assert set(envelope) == {"error", "exit_code"}
    for problem in envelope["error"]["problems"]:
        assert set(problem) == {"message", "file", "line", "column", "remedy"}


def test_nothing_is_left_of_a_run_that_could_not_begin(cli_project: Path, run_cli: Any) -> None:
    assert run_cli(*OPTIMIZE, "--max-calls", "20").code == 2
    assert run_cli("runs", "list", "--json").json == []


def test_every_problem_is_told_at_once(cli_project: Path, run_cli: Any) -> None:
    (cli_project / "prompt.md").write_text("{{ txet }}")
    (cli_project / "support.jsonl").write_text(ROW * 2)
    envelope = run_cli("validate", "small.yaml", "--json").json
    messages = " ".join(problem["message"] for problem in envelope["error"]["problems"])
    assert "txet" in messages
    assert "s1" in messages


def test_metrics_that_cannot_be_made_or_called_are_told_before_anything_is_spent(
    cli_project: Path, run_cli: Any
) -> None:
    (cli_project / "mine.py").write_text(
        "class Tone:\n    def __init__(self):\n        raise OSError('no model file')\n"
        "class Silent:\n    pass\n"
        "async def later(output):\n    return 1.0\n"
    )
    metrics = [f"python:./mine.py:{name}" for name in ("Tone", "Silent", "later")]
    config = (cli_project / "small.yaml").read_text().replace("[{id: label, type: exact}]", json.dumps(metrics))
    (cli_project / "small.yaml").write_text(config)
    for command in (("validate", "small.yaml"), OPTIMIZE):
        ended = run_cli(*command, "--json")
        assert ended.code == 2
        problems = ended.json["error"]["problems"]
        assert [problem["message"].partition(": ")[0] for problem in problems] == [
            "metric `Tone`", "metric `Silent`", "metric `later`",
        ]  # fmt: skip
        assert all(problem["remedy"] for problem in problems)
    assert run_cli("runs", "list", "--json").json == []


def test_an_error_nobody_foresaw_is_called_a_bug_and_logged(
    cli_project: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr("promptprop.bootstrap.configuration.schema", broken)
    (cli_project / ".promptprop").mkdir()
    ended = run_cli("schema")
    assert ended.code == 70
    assert "this is a bug in PromptProp: ZeroDivisionError: by nothing" in ended.err
    assert "Traceback" not in ended.err
    log = cli_project / ".promptprop/logs/promptprop.log"
    assert str(log) in ended.err
    assert "ZeroDivisionError" in log.read_text()
    assert "Traceback" in run_cli("schema", "-vv").err
