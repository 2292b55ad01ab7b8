"""The front end's searches with `promptprop serve` and its worker in processes of their own, killed in the middle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai_server import Answer, Body, OpenAIServer
from page_server import JURORS, Page, frames_in, search, wait_for
from server_process import ServerProcess


def model(body: Body) -> Answer:
    """A jury that likes longer prompts better, and a refiner that writes them."""
    text = str(body["messages"][0]["content"])
    if text.startswith("You are a juror"):
        return Answer(json.dumps({"score": min(90, 40 + 10 * text.count("more")), "reason": "by length"}))
    if text.startswith("You improve a prompt"):
        current = text.partition('<prompt step="main">\n')[2].partition("\n</prompt>")[0]
        return Answer(
            json.dumps({"explanation": "short", "refinedPrompt": f"{current} more", "deltaReasoning": "it is"})
        )
    return Answer(text)


@pytest.fixture
def provider() -> Iterator[OpenAIServer]:
    with OpenAIServer(model, latency=0.05) as server:
        yield server


def started(folder: Path, provider: OpenAIServer) -> ServerProcess:
    return ServerProcess(folder, env={"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": provider.url})


def body_of(rows: int) -> dict[str, Any]:
    queries = [f"query {n}" for n in range(rows)]
    return search(*queries, juryMembers=JURORS[:1], convergenceThreshold=0, perfectScore=100, maxIterations=3)


def test_a_search_is_run_by_a_worker_and_told_by_the_server(tmp_path: Path, provider: OpenAIServer) -> None:
    with started(tmp_path, provider) as server:
        page = Page(server.port)
        answer = page.ask("POST", "/api/optimize", body_of(3))
        frames = frames_in(answer.body)
        assert [name for name, _ in frames[:2]] == ["start", "iteration_start"]
        assert frames[-1][0] == "complete"
        assert provider.stats.requests == 3 * 3 * 2 + 2
        assert "access-control-allow-credentials" not in answer.headers
        assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
        foreign = page.ask("POST", "/api/optimize", body_of(1), Origin="https://evil.example")
        assert foreign.status == 403
        assert isinstance(foreign.json["detail"], str)


@pytest.mark.slow
def test_a_server_that_is_killed_goes_on_with_its_searches_and_asks_nothing_twice(
    tmp_path: Path, provider: OpenAIServer
) -> None:
    with started(tmp_path, provider) as server:
        page = Page(server.port)
        with page.opened("POST", "/api/optimize", body_of(12)) as answer:
            experiment = json.loads(answer.readline() and answer.readline().removeprefix(b"data: "))["experimentId"]
            wait_for(lambda: provider.stats.requests > 30)
            server.kill()
    with started(tmp_path, provider) as again:
        page = Page(again.port)
        wait_for(lambda: bool(page.ask("GET", f"/api/experiments/{experiment}").json["isComplete"]), 60)
        found = page.ask("GET", f"/api/experiments/{experiment}").json
    assert [one["iterationNumber"] for one in found["promptVersions"]] == [1, 2, 3]
    assert [one["averageScore"] for one in found["promptVersions"]] == [40, 50, 60]
    in_flight = 12  # at the most, when the kill came
    assert provider.stats.requests <= 3 * 12 * 2 + 2 + in_flight
