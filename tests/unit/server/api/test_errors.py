"""Errors on the wire: one sentence, every problem with its place, and nothing that cannot be sent."""

from __future__ import annotations

import json
from unittest.mock import patch

import pytest
from serving import Station, config

from promptprop.bootstrap.service import Service
from promptprop.domain.errors import RunLocked

JSON = {"Content-Type": "application/json"}


async def test_a_single_problem_is_told_in_a_sentence_with_its_remedy(server: Station) -> None:
    async with server.client() as client:
        answer = (await client.post("/runs", json={"config": config(budget__call=3)})).json()
    assert answer["detail"] == "budget.call: " + answer["problems"][0]["message"]
    assert answer["remedy"] == answer["problems"][0]["remedy"] == "did you mean 'calls'?"


async def test_of_many_problems_the_sentence_tells_three(server: Station) -> None:
    wrong = config(**{f"budget__wrong{n}": 1 for n in range(5)})
    async with server.client() as client:
        answer = (await client.post("/runs", json={"config": wrong})).json()
    assert len(answer["problems"]) == 5
    assert answer["detail"].count("; ") == 3
    assert answer["detail"].endswith("and 2 more")


BODIES = (
    b'{"\\ud800": 1}',
    b'{"name": "\\ud800", "model": "\\ud800", "text": "\\ud800", "config": {"\\ud800": "\\ud800"}, "yaml": "\\ud800"}',
    b'{"name": "\\u0000", "text": "\\u0000", "config": {"task": "\\u0000"}, "model": "\\u0000"}',
    b'{"name": 1e999, "text": 1e999, "config": {"seed": 1e999}, "model": NaN}',
    b'{"config": {"seed": 1e99}, "name": 1e99}',
    json.dumps({"x" * 100_000: 1}).encode(),
    b"[]",
    b"nonsense",
    b"\xff\xfe",
    b"",
)


@pytest.mark.parametrize("path", ["/runs", "/prompts", "/tokens", "/models/ping", "/configs/validate", "/configs/plan"])
async def test_whatever_is_sent_is_answered_as_a_problem(server: Station, path: str) -> None:
    async with server.client() as client:
        answers = [await client.post(path, content=body, headers=JSON) for body in BODIES]
    for answer in answers:
        found = answer.json()
        assert answer.status_code == 422 or (answer.status_code, found.get("valid", False)) in (
            (200, False),
            (400, False),
        )
        assert len(answer.content) < 10_000


@pytest.mark.parametrize(
    "path",
    [
        "/prompts/{}/versions",
        "/prompts/{0}/versions/{0}",
        "/prompts/desk/versions/{}/export",
        "/prompts/diff?from={0}&to={0}",
        "/datasets/{}",
        "/datasets/{}/rows",
        "/datasets/{}/split",
        "/tokens/{}",
    ],
)
async def test_whatever_is_asked_for_is_found_or_not(server: Station, path: str) -> None:
    odd = ("%00", "%ff", "%ED%A0%80", "a%0d%0ab", "%F0%9F%92%A9", "9" * 40, "..%2f..%2fetc")
    async with server.client() as client:
        await client.post("/prompts", json={"name": "desk", "text": "{{ x }}"})
        answers = [await client.get(path.format(one)) for one in odd]
    assert {answer.status_code for answer in answers} <= {404, 422}
    assert {answer.headers["content-type"] for answer in answers} == {"application/problem+json"}


@pytest.mark.parametrize("path", ["/prompts", "/datasets", "/tokens", "/audit", "/prompts/desk/versions"])
async def test_a_cursor_that_is_none_of_ours_breaks_nothing(server: Station, path: str) -> None:
    odd = ("", "x", "W10", "WzFd", "WyJcdWQ4MDAiXQ", "WzFlOTk5XQ", "W1siYSJdXQ", "Wzk5OTk5OTk5OTk5OTk5OTk5OTk5XQ")
    async with server.client() as client:
        answers = [await client.get(path, params={"cursor": cursor}) for cursor in odd]
    assert {answer.status_code for answer in answers} <= {200, 400, 404}
    assert 400 in {answer.status_code for answer in answers}


@pytest.mark.parametrize("path", ["/runs", "/configs/plan"])
async def test_a_model_that_nobody_knows_is_the_requests_mistake(server: Station, path: str) -> None:
    async with server.client() as client:
        answer = await client.post(path, json={"config": config(models__task="offline/none")})
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_model")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/octet-stream", ""])
async def test_a_body_that_is_not_said_to_be_json_is_told_so(server: Station, kind: str) -> None:
    async with server.client() as client:
        answer = await client.post("/runs", content=b'{"config": {}}', headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["code"]) == (415, "media_type")
    assert "application/json" in answer.json()["remedy"]


@pytest.mark.parametrize("body", [b'{"yaml": "\xff"}', b'{"priority": ' + b"9" * 5000 + b"}"])
async def test_what_json_cannot_be_read_from_is_told_so(server: Station, body: bytes) -> None:
    async with server.client() as client:
        answer = await client.post("/runs", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["detail"]) == (400, "the body cannot be read as JSON in UTF-8")


async def test_a_sentence_names_the_place_of_a_problem_once(server: Station) -> None:
    async with server.client() as client:
        answer = (await client.post("/runs", json={"config": config(name="\0")})).json()
    assert answer["detail"] == "name: holds characters that cannot be stored"


async def test_a_run_that_another_process_holds_is_told_without_a_command_that_ends_it(server: Station) -> None:
    async with server.client() as client:
        run_id = await server.queued(client)
        with patch.object(Service, "end", side_effect=RunLocked("process 7", remedy="`kill -INT 7`")):
            answer = (await client.post(f"/runs/{run_id}/cancel")).json()
    assert (answer["status"], answer["code"]) == (409, "run_locked")
    assert "7" not in answer["detail"] + answer["remedy"]
