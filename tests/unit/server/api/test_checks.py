"""Evaluations and checks as jobs."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from serving import Finished, Station, config

from promptprop.adapters.files.baselines import baseline_path, write_baseline
from promptprop.bootstrap.baselines import baseline_of
from promptprop.domain.baseline import Baseline, Conditions
from promptprop.domain.models import Candidate, Prompt

GATE = {"margin": 0.5, "replicates": [1]}
CONDITIONS = Conditions({}, {}, {}, [])
CHANGED = {"text": "You are of no use at all to anybody.\n\nMessage: {{ text }}"}


async def test_an_evaluation_is_a_run_of_that_activity(server: Station) -> None:
    async with server.client() as client:
        run_id = await server.queued(client, "/evaluations", split="test", repeats=2)
        await server.work(run_id)
        shown = (await client.get(f"/runs/{run_id}")).json()
    assert (shown["activity"], shown["status"]) == ("evaluate", "finished")


async def test_a_check_against_a_winner_comes_to_its_verdict(full_server: Station, finished: Finished) -> None:
    async with full_server.client() as client:
        baseline = f"{finished.optimization}:seed"
        sent = {"config": config(gate=GATE), "baseline": baseline}
        answer = await client.post("/checks", json=sent)
        assert answer.status_code == 202, answer.text
        begun = answer.json()
        assert answer.headers["location"] == f"/api/v1/checks/{begun['run_id']}"
        assert (begun["status"], begun["rows"]) == ("queued", 24)
        waiting = (await client.get(f"/checks/{begun['run_id']}")).json()
        assert (waiting["status"], waiting["document"]) == ("queued", None)
        early = await client.get(f"/checks/{begun['run_id']}", params={"format": "md"})
        assert (early.status_code, early.json()["code"]) == (409, "not_possible")
        await full_server.work(begun["run_id"])
        over = (await client.get(f"/checks/{begun['run_id']}")).json()
        text = await client.get(f"/checks/{begun['run_id']}", params={"format": "md"})
        junit = await client.get(f"/checks/{begun['run_id']}", headers={"Accept": "application/xml"})
    assert (over["verdict"], over["document"]["verdict"]) == ("PASS", "PASS")
    assert over["document"]["baseline"]["label"] == baseline
    assert "PASS" in text.text
    assert ET.fromstring(junit.text).tag == "testsuites"


async def test_a_worse_prompt_fails_and_the_rows_are_told_without_paths_of_the_server(
    full_server: Station, finished: Finished
) -> None:
    async with full_server.client() as client:
        sent = {
            "config": config(gate=GATE | {"margin": 0.01}, prompt=CHANGED),
            "baseline": f"{finished.optimization}:winner",
        }
        begun = (await client.post("/checks", json=sent)).json()
        await full_server.work(begun["run_id"])
        shown = await client.get(f"/checks/{begun['run_id']}")
        matrix = (await client.get(f"/runs/{begun['run_id']}/matrix")).json()
    document = shown.json()["document"]
    assert document["counts"]["worse"] == len(document["worse"])
    assert str(Path.cwd()) not in shown.text
    assert len(matrix["candidates"]) == 2
    assert all(count == 1 for row in matrix["rows"] for count in row["answers"])


async def test_a_stored_baseline_is_found_by_its_name(full_server: Station, finished: Finished) -> None:
    run = full_server.store.run(finished.evaluation)
    write_baseline(baseline_path("desks"), baseline_of(full_server.store, run, {}, "desks"))
    async with full_server.client() as client:
        for named in ({}, {"baseline": "desks"}):
            begun = await client.post("/checks", json={"config": config(gate=GATE), **named})
            assert begun.status_code == 202, begun.text
            await full_server.work(begun.json()["run_id"])
            shown = (await client.get(f"/checks/{begun.json()['run_id']}")).json()
            assert shown["verdict"] == "PASS"
        matrix = (await client.get(f"/runs/{begun.json()['run_id']}/matrix")).json()
    assert len(matrix["candidates"]) == 2  # the stored answers are a column


@pytest.mark.parametrize(
    "baseline",
    [
        "none",
        "git:HEAD",
        "git:HEAD:x.json",
        "./desks.jsonl",
        "secret.json",
        "../../etc/passwd",
        "a@b@c",
        "x:y",
        "@",
        ":",
    ],
)
async def test_a_baseline_of_a_request_is_neither_a_file_nor_a_revision(full_server: Station, baseline: str) -> None:
    write_baseline(Path("secret.json"), Baseline("secret", Candidate({"main": Prompt.of("x")}), "all", CONDITIONS, ()))
    async with full_server.client() as client:
        answer = await client.post("/checks", json={"config": config(gate=GATE), "baseline": baseline})
    assert (answer.status_code, answer.json()["code"]) == (409, "baseline_missing"), answer.text
    assert full_server.queue.jobs == {}


async def test_a_check_counts_among_the_runs_of_its_owner(full_server: Station, finished: Finished) -> None:
    token = await full_server.token("run", max_runs=1)
    sent = {"config": config(gate=GATE), "baseline": f"{finished.optimization}:winner"}
    async with full_server.client(token, stranger=True) as client:
        first = await client.post("/checks", json=sent, headers={"Idempotency-Key": "one"})
        again = await client.post("/checks", json=sent, headers={"Idempotency-Key": "one"})
        second = await client.post("/checks", json=sent)
    assert first.json() == again.json()
    assert first.json()["owner"] != ""
    assert second.status_code == 429


async def test_a_check_that_could_only_fail_is_not_begun(full_server: Station, finished: Finished) -> None:
    sent = {
        "config": config(gate=GATE, models={"task": "openai/gpt-5-mini"}),
        "baseline": finished.optimization + ":seed",
    }
    async with full_server.client() as client:
        no_key = await client.post("/checks", json=sent)
        metric = await client.post("/checks", json={**sent, "config": config(gate={"metric": "none"})})
        neither = await client.post("/checks", json={"baseline": "x@1"})
    assert [answer.status_code for answer in (no_key, metric, neither)] == [422, 422, 400]
    assert full_server.queue.jobs == {}


async def test_other_runs_are_no_checks(full_server: Station, finished: Finished) -> None:
    async with full_server.client() as client:
        answer = await client.get(f"/checks/{finished.optimization}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
