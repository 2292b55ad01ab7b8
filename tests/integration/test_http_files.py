"""http/*.http: every request of every file does what it says, and every operation of the API stands in one."""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from http_files import Document, Runner, requests_in
from mutations import mutated
from openai_server import Answer, Body, OpenAIServer
from server_process import ServerProcess, project

pytestmark = [pytest.mark.slow, pytest.mark.no_cover]
FOLDER = Path(__file__).parents[2] / "http"
SHARE = float(os.environ.get("PROMPTPROP_MUTATIONS", "0.02"))  # of the requests with something odd in them
FILES = sorted(FOLDER.glob("*.http"))


def provider_says(body: Body) -> Answer:
    """A juror's vote, a refined prompt, or an answer, by what is asked."""
    text = "\n".join(str(message["content"]) for message in body["messages"])
    if text.startswith("You are a juror"):
        return Answer(json.dumps({"score": 70, "reason": "plain", "hard": []}))
    if text.startswith("You improve a prompt"):
        refined = {"explanation": "too short", "refinedPrompt": "Answer in one word.", "deltaReasoning": "says how"}
        return Answer(json.dumps(refined))
    return Answer("billing")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = project(tmp_path_factory.mktemp("http"))
    models = {"rewriter": {"model": "openai/gpt-4.1-mini"}}
    (folder / "serve.yaml").write_text(yaml.safe_dump({"serve": {"models": models}}), encoding="utf-8")
    with OpenAIServer(provider_says) as provider:
        environment = {"OPENAI_API_KEY": "of-the-test", "OPENAI_BASE_URL": provider.url}
        with ServerProcess(folder, "serve.yaml", env=environment) as made:
            yield made


@pytest.fixture(scope="module")
def document(server: ServerProcess) -> Document:
    with server.http() as http:
        return Document(http.get("/api/v1/openapi.json").json())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_request_of_a_file_answers_as_it_says(file: Path, server: ServerProcess, document: Document) -> None:
    runner = Runner({"host": server.url})
    count = 0
    with httpx.Client(timeout=60) as http:
        for request in requests_in(file):
            answer = runner.run(request, http)
            assert answer.status_code in request.expected, f"{request}\n{answer.text}"
            operation = document.operation(request.method, answer.request.url.path)
            assert document.flaws(operation, answer) == [], str(request)
            count += 1
    assert count > 2


def test_no_request_with_something_odd_in_it_makes_the_server_fail(server: ServerProcess, document: Document) -> None:
    chosen = random.Random(7)
    count = 0
    with httpx.Client(timeout=60) as http:
        for file in FILES:
            runner = Runner({"host": server.url})
            for request in requests_in(file):
                asked = runner.run(request, http).request
                if asked.headers.get("content-type") != "application/json":
                    continue
                operation = document.operation(request.method, asked.url.path)
                headers = {name: value for name, value in asked.headers.items() if name != "idempotency-key"}
                headers.pop("content-length")
                for way, body in mutated(json.loads(asked.content)):
                    if chosen.random() > SHARE:
                        continue
                    content = json.dumps(body).encode()
                    answer = http.request(request.method, asked.url, content=content, headers=headers)
                    assert answer.status_code < 500, f"{request} with {way} changed: {content[:2000]!r}\n{answer.text}"
                    assert document.flaws(operation, answer) == [], f"{request} with {way} changed"
                    if (
                        answer.status_code == 202 and "run_id" in answer.json()
                    ):  # four that wait for a word hold a worker
                        http.post(f"{server.url}/api/v1/runs/{answer.json()['run_id']}/cancel")
                    count += 1
    assert count > 100


def test_every_operation_of_the_api_stands_in_some_file(document: Document) -> None:
    found = {
        document.operation(
            one.method, re.sub(r"\{\{[^{}]+\}\}", "x", one.url.removeprefix("{{host}}")).partition("?")[0]
        )
        for file in FILES
        for one in requests_in(file)
    }
    assert document.operations() - found == set()


def test_files_stay_in_what_both_editors_read() -> None:
    for file in FILES:
        text = file.read_text(encoding="utf-8")
        assert text.startswith("# "), "how to run it is said at the top"
        assert "@host = http://127.0.0.1:8000" in text
        assert not re.search(r"\{%|%\}|\{\{\$|# @prompt|^<@", text, re.MULTILINE), file.name
        names = [one.name for one in requests_in(file) if one.name]
        assert len(names) == len(set(names)), file.name
        assert all(one.title for one in requests_in(file)), file.name


def test_an_answer_that_does_not_fit_the_document_is_found(document: Document) -> None:
    wrong: Any = {"status": "well", "version": 1}
    assert len(document.flaws("GET /healthz", httpx.Response(200, json=wrong))) == 2
    assert document.flaws("GET /healthz", httpx.Response(418, json={})) == ["the status 418 is not documented"]
    assert document.flaws("GET /healthz", httpx.Response(200, text="ok")) != []
