"""Laboratories, with their stores closed afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from interruptions import laboratories
from laboratory import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A laboratory whose stores are closed afterwards."""
    made = Lab(tmp_path)
    yield made
    for store in made.stores:
        store.close()


@pytest.fixture
def new_lab(tmp_path: Path) -> Iterator[Callable[[str], Lab]]:
    """Makes laboratories, each with a database of its own."""
    with laboratories(tmp_path) as make:
        yield make
