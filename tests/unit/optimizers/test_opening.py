"""The opening: how much of the budget headroom takes."""

from __future__ import annotations

import pytest
from fake_bench import FakeBench, fake_brief

from promptprop.optimizers.opening import measure_headroom
from promptprop.optimizers.options import BackpropOptions
from promptprop.optimizers.scores import Scores


@pytest.mark.parametrize(
    ("calls", "once", "again"), [(None, 20, 10), (1000, 20, 10), (400, 20, 10), (200, 10, 5), (20, 6, 3)]
)
async def test_headroom_takes_few_rows_where_few_calls_may_be_spent(calls: int | None, once: int, again: int) -> None:
    bench = FakeBench(calls=calls)
    bench.hold(0, 1)
    headroom = await measure_headroom(bench, Scores(), fake_brief(), BackpropOptions())
    assert headroom.score.n == once
    assert sum(cell.replicate for cell in bench.asked) == again
