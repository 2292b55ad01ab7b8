"""docs/client.md: its examples run one after the other against a server, and its table names what there is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from server_process import ServerProcess, project

from promptprop.client import Client, Retries
from promptprop.client.groups import Group
from promptprop.client.stream import PATIENCE, SILENCE

PAGE = (Path(__file__).parents[2] / "docs" / "client.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerProcess]:
    monkeypatch.chdir(project(tmp_path))
    monkeypatch.delenv("PROMPTPROP_TOKEN", raising=False)
    with ServerProcess(tmp_path) as made:
        yield made


@pytest.mark.slow
def test_the_examples_run_in_order(server: ServerProcess, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    for example in EXAMPLES:
        exec(compile(example.replace("Client()", f"Client({server.url!r})"), "docs/client.md", "exec"), names)
    told = capsys.readouterr().out
    assert "run_finished" in told
    assert "finished better" in told
    assert "422 config" in told


def test_the_table_names_every_call() -> None:
    with Client(token="") as client:
        groups = {name: value for name, value in vars(client).items() if isinstance(value, Group)}
        for name, group in groups.items():
            calls = {one for one in vars(type(group)) if not one.startswith("_")}
            (row,) = re.findall(rf"^\| `client\.{name}` \| (.*) \|$", PAGE, re.MULTILINE)
            assert set(re.findall(r"`(\w+)`", row)) == calls, name


def test_the_figures_are_those_of_the_code() -> None:
    assert f"has come for {SILENCE:.0f} seconds" in PAGE
    assert PATIENCE == 5 * 60
    assert "sent up to five times" in PAGE
    assert Retries().attempts == 5
