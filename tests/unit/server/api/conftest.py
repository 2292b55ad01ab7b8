"""Servers for the tests of routes: an empty one, and one with an optimization and an evaluation that are over."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from serving import Finished, Station, station


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Station]:
    """A server in an empty project with 24 rows; the project is the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    async with station(tmp_path) as made:
        yield made


@pytest.fixture(scope="session")
def prototype(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Finished]:
    """A project whose runs are over, to be copied."""
    folder = tmp_path_factory.mktemp("served")

    async def fill() -> Finished:
        async with station(folder) as made:
            return Finished(await made.finished(), await made.finished(activity="evaluate", repeats=2))

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_CONFIG_HOME", str(folder / "home"))
        finished = asyncio.run(fill())
    return folder, finished


@pytest.fixture
def finished(prototype: tuple[Path, Finished]) -> Finished:
    """The runs of `full_server`."""
    return prototype[1]


@pytest.fixture
async def full_server(
    prototype: tuple[Path, Finished], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Station]:
    """A server whose database holds the finished runs, for this test alone."""
    folder = tmp_path / "full"
    shutil.copytree(prototype[0], folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "home"))
    async with station(folder) as made:
        yield made
