"""Ctrl-C at awkward moments: while modules load, before a run's first event, after its last one; and locked runs."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from promptprop.adapters.storage.locks import run_lock
from promptprop.adapters.storage.store import open_store
from promptprop.domain.events import StoredEvent
from promptprop.ports import Tick

OPTIMIZE = ["optimize", "small.yaml"]


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


class TroubledSink:
    """Stands in for MLflow; Ctrl-C is pressed at an event of this number, or while it closes."""

    problem: str | None = None

    def __init__(self, at_event: int | None = None, *, at_close: bool = False) -> None:
        self.at_event, self.at_close = at_event, at_close

    def accept(self, event: StoredEvent) -> None:
        if event.seq == self.at_event:
            press_ctrl_c()

    def tick(self, tick: Tick) -> None:
        pass

    async def close(self) -> None:
        if self.at_close:
            press_ctrl_c()
            await asyncio.sleep(60)


def track(monkeypatch: pytest.MonkeyPatch, make: Callable[..., object]) -> None:
    monkeypatch.setattr("promptprop.bootstrap.outputs.build_tracking", make)


def database(folder: Path) -> str:
    return f"sqlite:///{folder / '.promptprop/promptprop.db'}"


@pytest.fixture
def stopped(cli_project: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of a run that was interrupted at its fourth event."""
    with monkeypatch.context() as troubled:
        track(troubled, lambda *_: TroubledSink(at_event=4))
        ended = run_cli(*OPTIMIZE, "--json")
    assert ended.code == 130, ended.err
    return str(ended.json["run"]["run_id"])


def test_ctrl_c_in_a_command_is_told_and_json_stays_json(run_cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("promptprop.bootstrap.configuration.schema", interrupted)
    assert run_cli("schema")[:] == (130, "", "error: interrupted\n")
    assert run_cli("schema", "--json").json["exit_code"] == 130


def test_ctrl_c_while_modules_load_leaves_no_traceback(run_cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("promptprop.cli.main._open_streams", interrupted)
    assert run_cli("schema")[:] == (130, "", "error: interrupted\n")


def test_a_run_that_is_over_keeps_its_result_when_tracking_is_interrupted(
    cli_project: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    track(monkeypatch, lambda *_: TroubledSink(at_close=True))
    ended = run_cli(*OPTIMIZE, "--json")
    assert ended.code == 0, ended.err
    assert ended.json["status"] == "finished"
    assert Path(ended.json["paths"]["prompt"]).is_file()
    assert "its result is complete" in " ".join(ended.json["notes"])


def test_nothing_is_left_of_a_run_interrupted_before_its_first_event(
    cli_project: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def troubled(*_: object, **__: object) -> None:
        press_ctrl_c()
        await asyncio.sleep(60)  # the signal arrives

    with monkeypatch.context() as patched:
        patched.setattr("promptprop.services.engine.Engine.run", troubled)
        ended = run_cli(*OPTIMIZE)
    assert ended.code == 130
    assert "nothing was begun" in ended.err
    assert run_cli("runs", "list", "--json").json == []


def test_a_run_interrupted_before_it_goes_on_says_so_and_stays_as_it_was(
    stopped: str, run_cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def troubled(*_: object, **__: object) -> None:
        press_ctrl_c()
        await asyncio.sleep(60)  # the signal arrives

    with monkeypatch.context() as patched:
        patched.setattr("promptprop.services.engine.Engine.run", troubled)
        ended = run_cli("runs", "resume", stopped)
    assert ended.code == 130
    assert "was interrupted before it went on" in ended.err
    [listed] = run_cli("runs", "list", "--json").json
    assert listed["status"] == "stopped"
    assert run_cli("runs", "resume", stopped).code == 0


def test_nothing_is_left_of_a_run_interrupted_while_it_is_stored(
    cli_project: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from promptprop.bootstrap import preparation

    real = preparation.create_run

    async def troubled(*given: Any) -> object:
        press_ctrl_c()
        await asyncio.sleep(0.05)  # the signal arrives
        return await real(*given)

    monkeypatch.setattr(preparation, "create_run", troubled)
    assert run_cli(*OPTIMIZE).code == 130
    assert run_cli("runs", "list", "--json").json == []


def test_a_run_of_another_process_is_left_alone(stopped: str, cli_project: Path, run_cli: Any) -> None:
    report = cli_project / ".promptprop/runs" / stopped[:8] / "report.md"
    report.unlink()
    with run_lock(database(cli_project), stopped):
        ended = run_cli("runs", "resume", stopped)
    assert ended.code == 2
    assert "is working on the run" in ended.err
    assert "goes on" not in ended.err
    assert "verdict" not in ended.err
    assert not report.exists()
    assert run_cli("runs", "resume", stopped).code == 0


def test_a_killed_run_is_listed_with_what_it_spent(stopped: str, cli_project: Path, run_cli: Any) -> None:
    async def forget() -> None:
        store = open_store(database(cli_project))
        await store.update_run(stopped, status="running", summary={})
        store.close()

    asyncio.run(forget())
    [listed] = run_cli("runs", "list", "--json").json
    spent = run_cli("report", stopped, "--json").json["spend"]["total"]
    assert listed["status"] == "killed"
    assert listed["calls"] == spent["calls"] > 0
    assert listed["usd"] == spent["usd"]


def test_what_a_metric_prints_does_not_get_into_the_data(cli_project: Path, run_cli: Any) -> None:
    source = "print('loading')\ndef score(output, example):\n    print('hm')\n    return 1\n"
    (cli_project / "loud.py").write_text(source)
    loud = ["--set", "metrics=[{id: loud, type: 'python:./loud.py:score'}]", "--json"]
    assert run_cli("validate", "small.yaml", *loud).json["ok"] is True
    assert run_cli("plan", "small.yaml", *loud).json["name"] == "small"
    scored = run_cli("eval", "small.yaml", "--split", "test", *loud)
    assert scored.json["candidates"][0]["scores"]["test"]["mean"] == 1
    assert "hm" in scored.err


def test_a_database_that_vanished_meanwhile_is_told(
    cli_project: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def troubled(*_: object) -> None:
        (cli_project / ".promptprop/promptprop.db").unlink()

    track(monkeypatch, troubled)
    ended = run_cli(*OPTIMIZE, "--json")
    assert ended.code == 0, ended.err
    assert "was removed while the run went on" in " ".join(ended.json["notes"])
    assert Path(ended.json["paths"]["prompt"]).is_file()
