"""What end-to-end tests share: their module on the path, and the world in a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from world_server import WorldProcess


@pytest.fixture
def world() -> Iterator[WorldProcess]:
    """The support world behind a loopback server that counts, without latency."""
    with WorldProcess() as process:
        yield process
