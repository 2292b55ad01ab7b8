"""The simulated manager writes criteria for the kind of task that it is shown, and is fallible."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from promptprop.adapters.models.offline.criteria import FEATURES, answer_manager
from promptprop.adapters.models.offline.task import shown_as
from promptprop.adapters.models.offline.worldfile import load_world
from promptprop.domain.models import Message
from promptprop.roles.registry import load_roles

DATASETS = Path(__file__).parents[5] / "datasets"


@pytest.mark.parametrize("name", ["support", "invoices", "replies"])
def test_its_rubrics_can_be_read_most_of_the_time(name: str) -> None:
    world = load_world(DATASETS / f"{name}.world.yaml")
    role = load_roles({})["manager"]
    rows = [
        {"inputs": dict(row.inputs), "expected": shown_as(world, row.right)} for row in list(world.rows.values())[:6]
    ]
    inputs = {"task": "x", "rows": rows, "most": 6}
    read = Counter[str]()
    for replicate in range(60):
        try:
            rubric = role.parse(answer_manager(world, role.messages(inputs), replicate), inputs)
        except ValueError:
            read["garbled"] += 1
            continue
        read["read"] += 1
        assert {one.id for one in rubric.features} <= {name for name, _, _ in FEATURES[world.task]}
    assert read["read"] > 50
    assert read["garbled"] > 0


def test_without_rows_it_writes_nothing() -> None:
    world = load_world(DATASETS / "support.world.yaml")
    assert "without having seen" in answer_manager(world, (Message("user", "Write criteria."),), 0)
