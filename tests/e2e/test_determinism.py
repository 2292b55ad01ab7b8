"""A run is a function of configuration, data, seed and answers: never of latency, concurrency or arrival order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from runs_over_http import ROOT, SMALL, comparable_report, database_in, events_of, optimize, write_config
from world_server import WorldProcess

from promptprop.domain.errors import UsageError
from promptprop.domain.report import Report

QUICKSTART = ROOT / "configs" / "quickstart.yaml"
OFFLINE = ["tracking.mlflow=false", "optimizer.options.rounds=2"]
BRIEF = {"name": "backprop", "options": {**SMALL, "longest": 1000}}
CONCURRENCIES = (1, 8, 64)
ROOM = {"calls": 40, "tokens": 12_000, "rounds": 0}  # for the search, beyond what is held back for the proof


@pytest.fixture
def erratic_world() -> Iterator[WorldProcess]:
    """Answers after 0 to 30 ms, so that they overtake each other."""
    with WorldProcess(latency=(0.0, 0.03), seed=11) as process:
        yield process


async def offline(folder: Path, name: str, *sets: str) -> tuple[str, list[tuple[str, str]], Report]:
    """A run on a fresh database: its comparable JSON, its events, and the report."""
    report = await optimize(QUICKSTART, database_in(folder, name), [*OFFLINE, *sets])
    return comparable_report(report), events_of(folder / name), report


async def test_the_same_seed_on_two_fresh_databases_gives_the_same_result_byte_for_byte(tmp_path: Path) -> None:
    one, other = await offline(tmp_path, "one.db"), await offline(tmp_path, "other.db")
    assert one[:2] == other[:2]
    assert one[2].run_id != other[2].run_id


async def test_another_seed_takes_another_way(tmp_path: Path) -> None:
    one, other = await offline(tmp_path, "one.db"), await offline(tmp_path, "other.db", "seed=8")
    assert one[1][1:] != other[1][1:], "nothing but the seed itself differs"
    assert one[2].winner.prompt != other[2].winner.prompt


async def cap_of(folder: Path, url: str, name: str) -> dict[str, int]:
    """A budget that cuts the search short by this cap, or one that does not, where `name` is none."""
    if not ROOM[name]:
        return {"calls": 5000}
    config = write_config(folder, url, rows=60, budget={name: 1}, optimizer=BRIEF)
    with pytest.raises(UsageError) as caught:
        await optimize(config, database_in(folder, "refused.db"))
    (needed,) = re.findall(r"may take ([\d,]+)", caught.value.message)
    return {name: int(needed.replace(",", "")) + ROOM[name]}


@pytest.mark.slow
@pytest.mark.parametrize("ended_by", ROOM)
async def test_neither_latency_nor_concurrency_changes_a_result(
    erratic_world: WorldProcess, tmp_path: Path, ended_by: str
) -> None:
    results, overlaps = [], []
    budget = await cap_of(tmp_path, erratic_world.url, ended_by)
    for concurrency in CONCURRENCIES:
        model = {"concurrency": concurrency}
        config = write_config(tmp_path, erratic_world.url, rows=60, model=model, budget=budget, optimizer=BRIEF)
        before = erratic_world.stats()["requests"]
        report = await optimize(config, database_in(tmp_path, f"{concurrency}.db"))
        stats = erratic_world.stats()
        assert report.history.spend.total.calls == stats["requests"] - before
        assert report.history.search_ended == ended_by, report.history.spend
        results.append((comparable_report(report), events_of(tmp_path / f"{concurrency}.db")))
        overlaps.append(stats["most_in_flight"])
    assert results[0] == results[1] == results[2]
    assert overlaps[0] == 1
    assert overlaps[2] > overlaps[0], "the answers never overlapped, so that this test shows nothing"
