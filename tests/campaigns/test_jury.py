"""Ten thousand judged rows, of which half repeat: how often jurors are asked."""

from __future__ import annotations

import json
import time
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path

import pytest
from fake_clients import FakeClient
from laboratory import Lab
from workbench_kit import Kit

from promptprop.domain.models import Candidate, Cell, Example, ModelRequest, Program, Prompt, Reply, Step, Usage
from promptprop.metrics.base import Seat, Setting
from promptprop.metrics.scoring import MetricSpec, build_scorer
from promptprop.ports import RunRow

NOON = datetime(2026, 1, 2, tzinfo=timezone.utc)
ROWS = 5000


def world(request: ModelRequest, _nth: int) -> Reply:
    """Every prompt gets the same answer to a row; every juror has the same to say."""
    if request.role == "task":
        return Reply(f"answer to {request.messages[-1].content.rpartition(' ')[2]}", Usage(5, 2), 90, "stop", "m")
    return Reply(json.dumps({"score": 80, "reason": "fine"}), Usage(9, 9), 90, "stop", "m")


@pytest.mark.campaign
async def test_ten_thousand_judged_rows_of_which_half_repeat_take_half_of_the_calls(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    examples = [Example(f"r{n}", {"text": f"t{n}"}) for n in range(ROWS)]
    dataset = await lab.store.put_dataset("rows", examples)
    await lab.store.create_run(RunRow("run", "rows", "optimize", "created", 1, NOON, NOON, {}, dataset))
    kit = Kit(lab, FakeClient(world), Program((Step("main", "answer"),)), {})
    kit.scorer = build_scorer([MetricSpec("panel", "jury")], Path(), Setting("x", (Seat("a"), Seat("b"))))
    candidates = [Candidate({"main": Prompt.of(f"{verb} {{{{ text }}}}")}) for verb in ("say", "tell")]
    began = time.monotonic()
    results = await kit.bench().evaluate([Cell(one, row.id) for one in candidates for row in examples])
    seconds = time.monotonic() - began
    asked = Counter(request.endpoint for request in kit.client.requests)
    print(f"\n{len(results):,} judged rows in {seconds:.1f} s: {dict(asked)}")
    assert len(results) == 2 * ROWS
    assert {one.score for one in results} == {0.8}
    assert asked["juror.a"] == asked["juror.b"] == ROWS
    for store in lab.stores:
        store.close()
