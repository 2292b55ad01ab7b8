"""A small project to run commands in, and a way to run them inside the test's process."""

from __future__ import annotations

import copy
import functools
import io
import json
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from promptprop.cli.main import main

ROOT = Path(__file__).parents[3]
CONFIG = """\
version: 1
name: small
task: Route each customer message of an online shop to the one desk that has to deal with it.
prompt: {file: prompt.md}
data: {file: support.jsonl, inputs: [text], expected: label, id: id, cluster: customer}
models:
  task: {model: offline/task, temperature: 0, max_tokens: 64}
  critic: {model: offline/critic}
  rewriter: {model: offline/rewriter}
metrics: [{id: label, type: exact}]
optimizer: {name: backprop, options: {rounds: 1, children: 2, screen_rows: 3, headroom_rows: 6, shortlist: 1}}
budget: {calls: 2000}
"""


class Ended(NamedTuple):
    """How a command line ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> object:
        return json.loads(self.out)


Run = Callable[..., Ended]


def settle(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make `project` below this home the current folder, in an environment without anything of the developer's own."""
    for name in [name for name in os.environ if name.startswith("PROMPTPROP_") or name.endswith("_API_KEY")]:
        monkeypatch.delenv(name)
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    (home / "project").mkdir(exist_ok=True)
    monkeypatch.chdir(home / "project")
    return home / "project"


def fill(folder: Path) -> None:
    """Write `small.yaml`, its prompt, data and world."""
    (folder / "small.yaml").write_text(CONFIG)
    (folder / "prompt.md").write_text((ROOT / "configs/prompts/support.md").read_text())
    for name in ("support.jsonl", "support.world.yaml"):  # the world names rows of the whole dataset
        (folder / name).write_text((ROOT / "datasets" / name).read_text())


@pytest.fixture
def cli_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `small.yaml`, its prompt, data and world; the current folder of the test."""
    folder = settle(tmp_path, monkeypatch)
    fill(folder)
    return folder


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A home whose `project` holds a run that is over, with a copy of it in `kept`; and what that run answered."""
    home = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        fill(settle(home, patch))
        ended = run_here(patch, "optimize", "small.yaml", "--json", "-q")
    drop_handlers()
    assert ended.code == 0, ended.err
    assert ended.err == ""
    shutil.copytree(home / "project", home / "kept")
    return home, ended.json  # type: ignore[return-value]  # an object, as for every run


@pytest.fixture
def finished(finished_once: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a run answered that is over. The current folder is its project, as the run left it, whoever was here before.

    It stays where it was, since a run remembers paths.
    """
    home, found = finished_once
    shutil.rmtree(home / "project")
    shutil.copytree(home / "kept", home / "project")
    settle(home, monkeypatch)
    return copy.deepcopy(found)


@pytest.fixture(scope="session")
def accepted_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose `project` has a stored baseline of the configured prompt, with a copy of it in `kept`."""
    home = tmp_path_factory.mktemp("accepted")
    with pytest.MonkeyPatch.context() as patch:
        fill(project := settle(home, patch))
        text = (project / "small.yaml").read_text()
        (project / "small.yaml").write_text(f"{text}gate: {{replicates: [1, 2]}}\n")
        ended = run_here(patch, "baseline", "accept", "small.yaml")
    drop_handlers()
    assert ended.code == 0, ended.err
    shutil.copytree(project, home / "kept")
    return home


@pytest.fixture
def accepted(accepted_once: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project with a stored baseline of the configured prompt, as accepting left it, whoever was here before."""
    shutil.rmtree(accepted_once / "project")
    shutil.copytree(accepted_once / "kept", accepted_once / "project")
    return settle(accepted_once, monkeypatch)


def run_here(monkeypatch: pytest.MonkeyPatch, *arguments: str, encoding: str = "utf-8") -> Ended:
    """One command line in this process, with streams that are no terminals."""
    pages = [io.BytesIO(), io.BytesIO()]
    out, err = (io.TextIOWrapper(page, encoding, write_through=True) for page in pages)
    with monkeypatch.context() as swapped:
        swapped.setattr(sys, "stdout", out)
        swapped.setattr(sys, "stderr", err)
        code = main(list(arguments))
    return Ended(code, *(page.getvalue().decode(encoding) for page in pages))


@pytest.fixture
def run_cli(monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs one command line in this process, with streams that are no terminals."""
    yield functools.partial(run_here, monkeypatch)
    drop_handlers()


def drop_handlers() -> None:
    """Take what commands have set up of logging away again."""
    logging.captureWarnings(False)
    for logger in (logging.getLogger(), logging.getLogger("promptprop")):
        for handler in [one for one in logger.handlers if getattr(one, "of_promptprop", False)]:
            logger.removeHandler(handler)
            handler.close()
