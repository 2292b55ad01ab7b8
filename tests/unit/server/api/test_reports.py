"""Reports and comparisons over HTTP."""

from __future__ import annotations

import pytest
from serving import Finished, Station


async def test_a_report_is_json_or_markdown_by_its_format_or_by_accept(
    full_server: Station, finished: Finished
) -> None:
    path = f"/runs/{finished.optimization}/report"
    async with full_server.client() as client:
        plain = await client.get(path)
        asked = await client.get(path, params={"format": "md"})
        accepted = await client.get(path, headers={"Accept": "text/html;q=0.2, text/markdown;q=0.9, */*;q=0.1"})
        anything = await client.get(path, headers={"Accept": "*/*, text/markdown;q=0.1"})
        detail = (await client.get(f"/runs/{finished.optimization}")).json()
    assert plain.json() == detail["report"] == anything.json()
    assert asked.headers["content-type"].startswith("text/markdown")
    assert asked.text == accepted.text
    assert asked.text.startswith("#")
    assert plain.headers["vary"] == "Accept"


async def test_two_prompts_are_compared_by_what_is_on_record(full_server: Station, finished: Finished) -> None:
    run = finished.optimization
    async with full_server.client() as client:
        found = (await client.get("/compare", params={"a": f"{run}:seed", "b": f"{run}:winner"})).json()
        narrow = (await client.get("/compare", params={"a": run, "b": finished.evaluation, "split": "select"})).json()
    assert found["before"]["label"] == f"{run[:8]}:seed"
    assert found["split"] == "test"
    assert found["worse_rows"] == len(found["worse"])
    assert narrow["split"] == "select"


@pytest.mark.parametrize(
    ("a", "status"), [("none", 404), ("desks.jsonl", 404), ("../x@1", 404), ("git:main", 404), ("\x00:\ud7ff", 404)]
)
async def test_a_comparison_of_what_is_not_there_is_not_found(
    full_server: Station, finished: Finished, a: str, status: int
) -> None:
    async with full_server.client() as client:
        answer = await client.get("/compare", params={"a": a, "b": finished.optimization})
    assert answer.status_code == status, answer.text


async def test_prompts_without_answers_cannot_be_compared(full_server: Station, finished: Finished) -> None:
    async with full_server.client() as client:
        saved = await client.post("/prompts", json={"name": "fresh", "text": "Which desk? {{ text }}"})
        assert saved.status_code == 201
        answer = await client.get("/compare", params={"a": "fresh@1", "b": finished.optimization})
    assert answer.status_code == 409
    assert answer.json()["code"] == "not_comparable"
