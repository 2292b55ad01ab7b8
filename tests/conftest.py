"""What all tests share: the folder of fixtures on the path, and a loopback server that counts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "fixtures"))

from openai_server import OpenAIServer


@pytest.fixture
def openai_server() -> Iterator[OpenAIServer]:
    """A server that echoes, on a free port; fail it with `fail_at`, `fail_share` or `fail_always`."""
    with OpenAIServer() as server:
        yield server
