"""What end-to-end tests share: their module on the path, and the world in a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from world_server import WorldProcess


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Coverage traces none of these: they are for behaviour, and what they run has tests of its own."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("no_cover")


@pytest.fixture
def world() -> Iterator[WorldProcess]:
    """The support world behind a loopback server that counts, without latency."""
    with WorldProcess() as process:
        yield process
