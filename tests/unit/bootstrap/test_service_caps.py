"""What a server's caps hold against: requests to begin, to resume and to raise them."""

from __future__ import annotations

from pathlib import Path

import pytest
from serving import config, station

from promptprop.domain.serve_config import ServeConfig

CAPPED = ServeConfig.model_validate({"budget": {"calls": 50}})


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def test_a_run_gets_no_larger_budget_than_the_server_lets_it(here: Path) -> None:
    async with station(here, CAPPED) as server, server.client() as client:
        run_id = await server.queued(client)
        assert server.store.run(run_id).snapshot["config"]["budget"]["calls"] == 50


async def test_no_cap_is_raised_past_the_servers_by_resuming_or_by_a_decision(here: Path) -> None:
    async with station(here, CAPPED) as server, server.client() as client:
        run_id = await server.queued(client)
        wanted = {"kind": "raise_caps", "caps": {"calls": 51}}
        answers = [
            await client.post(f"/runs/{run_id}/resume", json={"caps": {"calls": 51}}),
            await client.post(f"/runs/{run_id}/interventions", json=wanted),
        ]
        assert [(answer.status_code, answer.json()["problems"][0]["place"]) for answer in answers] == [
            (422, "caps.calls"),
            (422, "caps.calls"),
        ]
        assert server.store.wishes(run_id) == []


async def test_an_optimization_without_any_cap_is_not_begun(here: Path) -> None:
    async with station(here) as server, server.client() as client:
        answer = await client.post("/runs", json={"config": config(budget={})})
        assert (answer.status_code, answer.json()["problems"][0]["place"]) == (422, "budget")
        assert (
            await client.post("/runs", json={"config": config(budget={}), "activity": "evaluate"})
        ).status_code == 202
    async with station(here, CAPPED) as server, server.client() as client:
        assert (await client.post("/runs", json={"config": config(budget={})})).status_code == 202
