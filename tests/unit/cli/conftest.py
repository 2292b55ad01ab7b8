"""A small project to run commands in, and a way to run them inside the test's process."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

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


@pytest.fixture
def cli_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `small.yaml`, its prompt, data and world; the current folder of the test."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "small.yaml").write_text(CONFIG)
    (folder / "prompt.md").write_text((ROOT / "configs/prompts/support.md").read_text())
    for name in ("support.jsonl", "support.world.yaml"):  # the world names rows of the whole dataset
        (folder / name).write_text((ROOT / "datasets" / name).read_text())
    for name in [name for name in os.environ if name.startswith("PROMPTPROP_") or name.endswith("_API_KEY")]:
        monkeypatch.delenv(name)
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def run_cli(monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs one command line in this process, with streams that are no terminals."""

    def run(*arguments: str, encoding: str = "utf-8") -> Ended:
        pages = [io.BytesIO(), io.BytesIO()]
        out, err = (io.TextIOWrapper(page, encoding, write_through=True) for page in pages)
        with monkeypatch.context() as swapped:
            swapped.setattr(sys, "stdout", out)
            swapped.setattr(sys, "stderr", err)
            code = main(list(arguments))
        return Ended(code, *(page.getvalue().decode(encoding) for page in pages))

    yield run
    logging.captureWarnings(False)
    for logger in (logging.getLogger(), logging.getLogger("promptprop")):
        for handler in [one for one in logger.handlers if getattr(one, "of_promptprop", False)]:
            logger.removeHandler(handler)
            handler.close()
