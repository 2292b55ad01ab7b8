"""The configurations in configs/ are valid as they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from promptprop.bootstrap.configuration import load

CONFIGS = sorted((Path(__file__).parents[3] / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_shipped_configuration_is_valid(path: Path) -> None:
    loaded = load(path)
    assert loaded.config.task
    assert not loaded.config.budget.budget.unlimited


def test_the_quickstart_needs_no_network() -> None:
    (quickstart,) = [path for path in CONFIGS if path.stem == "quickstart"]
    assert load(quickstart).config.simulated
