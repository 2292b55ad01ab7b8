"""A few random storms against the whole stack; `nox -s campaigns` runs many, and some on PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest
from storm import weather

from promptprop.adapters.storage.store import open_store

SEEDS = [1145, 1331, 1402, *range(3)]  # the first three once found a fault, of the stack or of these checks


@pytest.mark.no_cover
@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_totals_caps_and_order_hold_in_a_storm_over_all_sessions(tmp_path: Path, seed: int) -> None:
    courses = weather(seed, f"sqlite:///{tmp_path}/runs.db", open_store)
    assert all(course.ends for course in courses)
