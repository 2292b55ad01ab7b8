"""Configurations over HTTP: checked, planned, described."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from serving import Station, config

PATHS = ("/configs/validate", "/configs/plan")


async def test_a_sound_configuration_is_valid_as_an_object_and_as_yaml(server: Station) -> None:
    async with server.client() as client:
        first = await client.post("/configs/validate", json={"config": config()})
        other = await client.post("/configs/validate", json={"yaml": yaml.safe_dump(config())})
    assert first.json() == other.json() == {
        "valid": True,
        "problems": [],
        "name": "desks",
        "rows": {"train": 10, "select": 7, "test": 7},
        "prompts": 1,
        "metrics": 1,
    }  # fmt: skip


async def test_everything_that_is_wrong_is_told_with_its_place(server: Station) -> None:
    wrong = config(data__fil="x.jsonl", budget__call=3)
    text = "name: x\nbudget: {calls: many}\n"
    async with server.client() as client:
        answer = (await client.post("/configs/validate", json={"config": wrong})).json()
        lines = (await client.post("/configs/validate", json={"yaml": text})).json()
    assert answer["valid"] is False
    assert {"data.fil", "budget.call"} <= {one["place"] for one in answer["problems"]}
    assert any(one["place"].startswith("config:2:") for one in lines["problems"])


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"data__file": "absent.jsonl"}, "no such file"),
        ({"data__expected": "nothing"}, "'nothing' is missing"),
        ({"prompt": {"text": "{{ nothing }}"}}, "no column supplies"),
        ({"models": {"task": "offline/task", "critic": "offline/critic"}}, "rewriter"),
        ({"models__task": "openai/gpt-5"}, "OPENAI_API_KEY"),
        ({"output": "/tmp/x"}, "cannot set this"),
    ],
)
async def test_what_would_keep_a_run_from_beginning_is_told_before(
    server: Station, changes: dict[str, Any], word: str
) -> None:
    async with server.client() as client:
        answer = await client.post("/configs/validate", json={"config": config(**changes)})
    assert answer.status_code == 200
    assert answer.json()["valid"] is False
    assert word in json.dumps(answer.json()["problems"])
    assert str(server.context.settings.folder) not in answer.text


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("body", [{}, {"config": {}, "yaml": ""}])
async def test_one_form_of_a_configuration_is_wanted(server: Station, path: str, body: dict[str, Any]) -> None:
    async with server.client() as client:
        answer = await client.post(path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "usage")


async def test_a_plan_is_free_and_stores_nothing(server: Station) -> None:
    async with server.client() as client:
        plan = (await client.post("/configs/plan", json={"config": config()})).json()
        scoring = (
            await client.post("/configs/plan", json={"config": config(), "activity": "evaluate", "repeats": 2})
        ).json()
        wrong = await client.post("/configs/plan", json={"config": config(data__expected="nothing")})
        assert (await client.get("/runs")).json()["items"] == []
        assert (await client.get("/datasets")).json()["items"] == []
    assert (plan["name"], plan["simulated"], plan["rows"]["train"]) == ("desks", True, 10)
    assert plan["total"]["likely"]["calls"] <= plan["total"]["max"]["calls"] <= 4000
    assert scoring["total"]["likely"]["calls"] == 48
    assert (wrong.status_code, wrong.json()["code"]) == (422, "data")


async def dataset_of(client: httpx.AsyncClient, rows: bytes) -> str:
    params = {"inputs": "text", "expected": "label", "id": "id", "format": "jsonl"}
    answer = await client.post("/datasets", params=params, content=rows)
    return str(answer.json()["id"])


async def test_a_stored_dataset_is_checked_and_planned(server: Station, tmp_path: Path) -> None:
    async with server.client() as client:
        dataset = await dataset_of(client, (tmp_path / "desks.jsonl").read_bytes())
        models = {role: {"model": f"offline/{role}", "world": "desks.world.yaml"} for role in ("task", "rewriter")}
        body = {"config": config(models=models), "dataset": dataset}
        valid = (await client.post("/configs/validate", json=body)).json()
        plan = await client.post("/configs/plan", json=body)
        unknown = (await client.post("/configs/validate", json={**body, "dataset": "none"})).json()
        strange = {**body, "config": config(models=models, prompt={"text": "{{ nothing }}"})}
        refused = (await client.post("/configs/validate", json=strange)).json()
    assert (valid["valid"], valid["rows"]) == (True, {"train": 10, "select": 7, "test": 7}), valid
    assert plan.json()["rows"]["test"] == 7
    assert "no dataset has the id" in json.dumps(unknown["problems"])
    assert "no column supplies" in json.dumps(refused["problems"])


async def test_the_schema_is_told_once(server: Station) -> None:
    async with server.client() as client:
        schema = await client.get("/configs/schema")
        again = await client.get("/configs/schema", headers={"If-None-Match": schema.headers["etag"]})
    assert "metrics" in schema.json()["properties"]
    assert again.status_code == 304


async def test_readers_see_the_schema_alone(server: Station) -> None:
    reader = await server.token("read")
    async with server.client(reader, stranger=True) as client:
        assert (await client.get("/configs/schema")).status_code == 200
        for path in PATHS:
            assert (await client.post(path, json={"config": config()})).json()["code"] == "scope"
