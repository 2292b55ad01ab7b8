"""What a run says that it has spent is what the provider's server has seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from runs_over_http import database_in, integrity, optimize, write_config
from world_server import WorldProcess

from promptprop.domain.report import Report, report_json, spend_json

FAULTS: list[dict[str, Any]] = [
    {"kind": "rate_limit", "retry_after": 0.05},
    *({"kind": kind} for kind in ("server_error", "server_error", "overloaded", "drop", "drop", "drop_midway")),
    {"kind": "truncated_json"},
    {"kind": "hang", "seconds": 60.0},
]
UNCONFIRMED = ("drop", "drop_midway", "truncated_json", "hang")
SHARE = 0.15


def answered_by_role(report: Report) -> dict[str, dict[str, int]]:
    """Reported tokens of answered calls, by role."""
    roles = spend_json(report.history)["roles"]
    return {name: {kind: role[kind] for kind in ("prompt_tokens", "completion_tokens")} for name, role in roles.items()}


def seen_by_role(stats: dict[str, Any]) -> dict[str, dict[str, int]]:
    """The same as the server counted it."""
    kinds = ("prompt_tokens", "completion_tokens")
    return {role: {kind: stats[f"{kind}_by"][role] for kind in kinds} for role in sorted(stats["models"])}


def calls_by_role(report: Report) -> dict[str, int]:
    """Reported calls, by role."""
    return {name: role["calls"] for name, role in spend_json(report.history)["roles"].items()}


async def test_calls_and_tokens_of_a_run_equal_the_counters_of_the_server(world: WorldProcess, tmp_path: Path) -> None:
    report = await optimize(write_config(tmp_path, world.url), database_in(tmp_path))
    stats, total = world.stats(), spend_json(report.history)["total"]
    assert total["calls"] == stats["requests"] == stats["answered"]
    assert total["tokens"] == stats["tokens"]
    assert calls_by_role(report) == dict(sorted(stats["models"].items()))
    assert answered_by_role(report) == seen_by_role(stats)
    assert total["unconfirmed_calls"] == 0
    assert set(stats["models"]) == {"task", "critic", "rewriter"}


async def test_the_winner_beats_the_seed_on_the_sealed_test(world: WorldProcess, tmp_path: Path) -> None:
    report = await optimize(write_config(tmp_path, world.url), database_in(tmp_path))
    assert report.verdict == "better"
    assert report.changed
    assert report.delta is not None
    assert report.delta.low > 0
    shown = report_json(report)
    assert shown["winner"]["test"]["mean"] > shown["seed"]["test"]["mean"]
    assert shown["seed"]["test"]["n"] == shown["rows"]["test"]


@pytest.mark.slow
async def test_totals_stay_exact_where_one_request_in_seven_fails(world: WorldProcess, tmp_path: Path) -> None:
    model = {"retries": 8, "timeout": 4.0, "concurrency": 32}
    config = write_config(tmp_path, world.url, rows=60, model=model)
    world.fail_share(SHARE, FAULTS, seed=3)
    report = await optimize(config, database_in(tmp_path))
    stats, total = world.quiet_stats(), spend_json(report.history)["total"]
    failed = sum(stats["faults"].values())
    assert 0.08 < failed / stats["requests"] < 0.25
    assert total["calls"] == stats["requests"]
    assert calls_by_role(report) == dict(sorted(stats["models"].items()))
    assert answered_by_role(report) == seen_by_role(stats)
    unconfirmed = sum(stats["faults"].get(kind, 0) for kind in UNCONFIRMED)
    assert total["unconfirmed_calls"] == unconfirmed > 0
    assert total["tokens"] == stats["tokens"] + total["unconfirmed_tokens"]
    assert total["unconfirmed_tokens"] > stats["lost_tokens"]
    assert report.history.finished
    assert integrity(tmp_path / "runs.db") == "ok"


async def test_answers_of_an_earlier_run_are_free_and_shown_as_hits(world: WorldProcess, tmp_path: Path) -> None:
    config = write_config(tmp_path, world.url, rows=100)
    first = await optimize(config, database_in(tmp_path))
    seen = world.stats()["requests"]
    again = await optimize(config, database_in(tmp_path))
    assert world.stats()["requests"] == seen
    assert again.history.spend.total.calls == 0
    assert again.history.spend.hits == seen == first.history.spend.total.calls
    assert again.delta == first.delta
