"""A project folder with a simulated world, a configuration to change, and a real database."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from promptprop.adapters.files.config import LoadedConfig
from promptprop.adapters.storage.store import SqlStore, open_store
from promptprop.bootstrap.configuration import load

WORLD = Path(__file__).parents[1] / "adapters" / "models" / "offline" / "data"
CONFIG: dict[str, Any] = {
    "version": 1,
    "name": "desks",
    "task": "Route each message to one desk.",
    "prompt": {"file": "prompt.md"},
    "data": {"file": "desks.jsonl", "inputs": ["text"], "expected": "label", "id": "id"},
    "models": {"task": "offline/task", "critic": "offline/critic", "rewriter": "offline/rewriter"},
    "metrics": [{"id": "label", "type": "exact"}],
    "budget": {"calls": 4000},
}

Load = Callable[..., LoadedConfig]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and a current folder with the desks world and a prompt."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    folder = tmp_path / "project"
    folder.mkdir()
    for name in ("desks.jsonl", "desks.world.yaml"):
        shutil.copy(WORLD / name, folder / name)
    (folder / "prompt.md").write_text("You route messages of customers to a desk.\n\nMessage: {{ text }}\n")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def load_changed(project: Path) -> Load:
    """Load the configuration with dotted keys replaced; the value `...` takes a key away."""

    def changed(**changes: Any) -> LoadedConfig:
        document = copy.deepcopy(CONFIG)
        for dotted, value in changes.items():
            *way, last = dotted.split(".")
            inner = document
            for key in way:
                inner = inner.setdefault(key, {})
            if value is ...:
                inner.pop(last, None)
            else:
                inner[last] = value
        path = project / "desks.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        return load(path)

    return changed


@pytest.fixture
def real_store(project: Path) -> Iterator[SqlStore]:
    """A new database in the project."""
    store = open_store(f"sqlite:///{project}/state/promptprop.db")
    yield store
    store.close()
