"""The contract of the front end, spoken by a stand-in for its page with a live server and a counting provider."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openai_server import Answer, Body, OpenAIServer
from page_server import JURORS, RUNNER, SETTINGS, Page, PageServer, frames_in, row, search, wait_for

from promptprop.domain.serve_config import ServeConfig
from promptprop.ports import Scope

Frames = list[tuple[str, dict[str, Any]]]
REWRITER = {"models": {"rewriter": {"model": "openai/gpt-4.1-mini"}}}


def said(body: Body) -> str:
    return "\n".join(str(message["content"]) for message in body["messages"])


def model(body: Body) -> Answer:
    """Jurors score by how often the prompt says `better`; the refiner says it once more; the task model repeats."""
    text = said(body)
    if text.startswith("You are a juror"):
        answer = re.search(r'\{"answer":"(.*)"\}', text)
        score = 50 + 20 * (answer[1].count("better") if answer else 0) - (10 if body["model"] == "gpt-4o" else 0)
        hard = [1] if "hard_negatives>" in text and "bad" in text else []
        return Answer(json.dumps({"score": min(100, score), "reason": f"as {body['model']} sees it", "hard": hard}))
    if text.startswith("You improve a prompt"):
        current = re.search(r'<prompt step="main">\n(.*?)\n</prompt>', text, re.DOTALL)
        new = f"{current[1] if current else ''} better"
        return Answer(json.dumps({"explanation": "too short", "refinedPrompt": new, "deltaReasoning": "one word more"}))
    return Answer(f"answer to: {text}")


@pytest.fixture
def provider() -> Iterator[OpenAIServer]:
    with OpenAIServer(model) as server:
        yield server


@pytest.fixture
def page_server(provider: OpenAIServer, tmp_path: Path) -> Iterator[PageServer]:
    environment = {"OPENAI_API_KEY": "sk-secret-of-the-test", "OPENAI_BASE_URL": provider.url}
    with PageServer(tmp_path, environment, ServeConfig.model_validate(REWRITER)) as server:
        yield server


@pytest.fixture
def page(page_server: PageServer) -> Page:
    return page_server.page


def of_kind(frames: Frames, kind: str) -> list[dict[str, Any]]:
    return [data for name, data in frames if name == kind]


def test_a_search_is_told_in_the_order_of_the_contract(page: Page, provider: OpenAIServer) -> None:
    frames = page.optimize(search("a", "b", maxIterations=2))
    rows = ["inference_result", "jury_result"] * 2
    one = ["iteration_start", *rows, "iteration_complete"]
    assert [name for name, _ in frames] == ["start", *one, "refinement", *one, "complete"]


def test_a_search_is_the_same_on_postgresql(provider: OpenAIServer, tmp_path: Path, postgres_url: str) -> None:
    environment = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": provider.url}
    with PageServer(tmp_path, environment, url=postgres_url) as server:
        rows = {"experimentId": "e" * 32, "rows": [row("a"), row("b", split="test")]}
        assert server.page.ask("POST", "/api/dataset", rows).json["splits"]["train"] == 1
        frames = server.page.optimize(search(dataset=None, experimentId="e" * 32, maxIterations=2))
        assert frames[-1][1]["finalScore"] == 65
        listed = server.page.ask("GET", "/api/experiments").json
        assert (listed["total"], listed["experiments"][0]["id"]) == (1, "e" * 32)
        detail = server.page.ask("GET", f"/api/experiments/{'e' * 32}").json
    assert [one["averageScore"] for one in detail["promptVersions"]] == [45, 65]


def test_names_and_nulls_are_those_of_the_contract(page: Page) -> None:
    frames = page.optimize(search("a", maxIterations=1))
    data = {name: sorted(found) for name, found in frames}
    assert data == {
        "start": ["experimentId", "maxIterations", "totalJury", "totalRows"],
        "iteration_start": ["iteration", "promptText", "promptVersionId"],
        "inference_result": ["actualOutput", "iteration", "rowId", "rowIndex", "tokenUsage"],
        "jury_result": ["averageScore", "iteration", "rowId", "rowIndex", "scores"],
        "iteration_complete": [
            *("averageScore", "converged", "cumulativeTokens", "iteration", "iterationTokens", "metrics"),
            *("mlflowRunId", "results"),
        ],
        "complete": ["experimentId", "finalPrompt", "finalScore", "totalIterations", "totalTokens"],
    }
    (whole,) = of_kind(frames, "iteration_complete")
    (result,) = whole["results"]
    assert set(result) == {"rowId", "actualOutput", "scores", "averageScore", "combinedFeedback"}
    assert result["scores"] == [
        {"juryName": "Strict", "score": 40, "reasoning": "as gpt-4o sees it"},
        {"juryName": "Kind", "score": 50, "reasoning": "as gpt-4.1 sees it"},
    ]
    assert result["averageScore"] == whole["averageScore"] == 45
    assert set(whole["iterationTokens"]) == {"inference", "jury", "refinement"}
    assert set(whole["cumulativeTokens"]) == {"inference", "jury", "refinement", "total"}


def test_the_stream_is_bytes_of_the_form_that_the_page_reads(page: Page) -> None:
    answer = page.ask("POST", "/api/optimize", search("äöü \u2028 \ud83d\ude00"))
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-accel-buffering"] == "no"
    assert "content-encoding" not in answer.headers
    assert b"\r" not in answer.body
    assert answer.body.startswith(b"event: start\ndata: {")
    blocks = answer.body.split(b"\n\n")
    assert blocks[-1] == b""
    assert all(re.fullmatch(rb"event: [a-z_]+\ndata: \{.*\}", block) for block in blocks[:-1])


def test_every_call_is_counted_and_there_are_no_more_than_the_bound(page: Page, provider: OpenAIServer) -> None:
    frames = page.optimize(search("a", "b", "c", maxIterations=3, convergenceThreshold=0, perfectScore=100))
    (end,) = of_kind(frames, "complete")
    assert end["totalIterations"] == 3
    assert provider.stats.requests == 3 * 3 * (1 + 2) + 2 <= 3 * (3 * (1 + 2) + 1)
    assert end["totalTokens"]["total"] == provider.stats.tokens
    rounds = of_kind(frames, "iteration_complete")
    assert sum(sum(one["iterationTokens"].values()) for one in rounds) == provider.stats.tokens
    usage = [one["tokenUsage"]["total_tokens"] for one in of_kind(frames, "inference_result")]
    assert sum(usage) == end["totalTokens"]["inference"]
    (last,) = [one["cumulativeTokens"] for one in rounds[-1:]]
    assert last == end["totalTokens"]
    assert sum(one["tokenUsage"]["total_tokens"] for one in of_kind(frames, "refinement")) == last["refinement"]


def test_the_task_model_gets_one_message_and_no_brace_is_a_template(page: Page, provider: OpenAIServer) -> None:
    task, prompt, query = "Sum {{ up }} {% if %}", "Say {{ query }} {# no #}", "{{ instruction }} {{ 7 * 7 }} {x}"
    frames = page.optimize(search(query, taskDescription=task, basePrompt=prompt, maxIterations=1))
    assert frames[-1][0] == "complete"
    sent = next(body for body in provider.payloads if body["model"] == "gpt-4o-mini")
    expected = f"Task Context: {task}\n\nInstruction: {prompt}\n\nInput: {query}"
    assert sent["messages"] == [{"role": "user", "content": expected}]
    assert of_kind(frames, "iteration_start")[0]["promptText"] == prompt


def test_parameters_that_a_model_does_not_take_are_left_out(page: Page, provider: OpenAIServer) -> None:
    thinking = {"provider": "openai", "model": "o3", "settings": {"temperature": 0.5, "topP": 0.9, "topK": 40}}
    page.optimize(search("a", runnerModel=thinking, maxIterations=1))
    sent = {body["model"]: set(body) for body in provider.payloads}
    assert sent["o3"] == {"model", "messages", "max_completion_tokens"}
    assert sent["gpt-4o"] == {"model", "messages", "max_tokens"}, "a temperature of null is the provider's"


def test_equal_queries_are_rows_of_their_own(page: Page) -> None:
    frames = page.optimize(search("same", "same", "same", maxIterations=1))
    rows = of_kind(frames, "jury_result")
    assert [one["rowIndex"] for one in rows] == [0, 1, 2]
    assert len({one["rowId"] for one in rows}) == 3


def test_one_row_is_enough(page: Page) -> None:
    assert page.optimize(search("only"))[-1][0] == "complete"


def test_many_rows_come_in_their_order(page: Page) -> None:
    frames = page.optimize(search(*map(str, range(37)), maxIterations=1, juryMembers=JURORS[:1]))
    told = [(data["rowIndex"], name) for name, data in frames if name in ("inference_result", "jury_result")]
    assert told == [(n, name) for n in range(37) for name in ("inference_result", "jury_result")]
    found = page.ask("GET", f"/api/experiments/{frames[0][1]['experimentId']}").json
    assert [one["query"] for one in found["datasetRows"]] == list(map(str, range(37)))


def test_the_best_iteration_gives_the_final_prompt(page: Page, provider: OpenAIServer) -> None:
    def forgetful(body: Body) -> Answer:
        if "better better" in said(body) and said(body).startswith("You are a juror"):
            return Answer('{"score": 10, "reason": "too much"}')
        return model(body)

    provider.answers = forgetful
    frames = page.optimize(search("a", maxIterations=3))
    (end,) = of_kind(frames, "complete")
    means = [one["averageScore"] for one in of_kind(frames, "iteration_complete")]
    assert means == [45, 65, 10]
    assert (end["finalScore"], end["finalPrompt"]) == (65, "Say yes. better")


def test_a_search_that_is_good_enough_or_has_settled_says_so_and_ends(page: Page, provider: OpenAIServer) -> None:
    frames = page.optimize(search("a", perfectScore=45, passThreshold=100))
    assert [one["converged"] for one in of_kind(frames, "iteration_complete")] == [True]
    frames = page.optimize(search("a", "b", convergenceThreshold=20.5))
    assert [one["converged"] for one in of_kind(frames, "iteration_complete")] == [False, True]
    assert frames[-1][1]["totalIterations"] == 2


def test_a_hard_negative_keeps_a_score_under_40(page: Page) -> None:
    rows = [row("good better better"), row("bad better better", hardNegatives="says bad")]
    frames = page.optimize(search(dataset=rows, maxIterations=1))
    first, second = of_kind(frames, "jury_result")
    assert first["averageScore"] > 80
    assert second["averageScore"] < 40


def test_a_juror_that_fails_is_missing_and_the_others_stand(page: Page, provider: OpenAIServer) -> None:
    def silent(body: Body) -> Answer:
        return Answer("no JSON from me") if body["model"] == "gpt-4o" else model(body)

    provider.answers = silent
    frames = page.optimize(search("a", "b", maxIterations=1))
    assert [[one["juryName"] for one in row["scores"]] for row in of_kind(frames, "jury_result")] == [["Kind"]] * 2
    assert of_kind(frames, "iteration_complete")[0]["averageScore"] == 50
    assert frames[-1][0] == "complete"


def test_a_missing_row_is_no_error_and_no_mean_counts_it(page: Page, provider: OpenAIServer) -> None:
    def refusing(body: Body) -> Answer:
        text = said(body)
        if text.startswith("You are a juror") and '"query":"b"' in text:
            return Answer("nothing to read")
        return model(body)

    provider.answers = refusing
    frames = page.optimize(search("a", "b", "c", maxIterations=1))
    scores = [(one["scores"] != [], one["averageScore"]) for one in of_kind(frames, "jury_result")]
    assert scores == [(True, 45), (False, 0), (True, 45)]
    assert of_kind(frames, "iteration_complete")[0]["averageScore"] == 45
    assert frames[-1][0] == "complete"
    found = page.ask("GET", f"/api/experiments/{frames[0][1]['experimentId']}").json
    results = found["promptVersions"][0]["results"]
    assert [one["averageScore"] for one in results] == [45, None, 45]


def test_a_jury_that_cannot_be_read_at_all_is_an_error_of_the_jury(page: Page, provider: OpenAIServer) -> None:
    provider.answers = lambda body: Answer("hm") if said(body).startswith("You are a juror") else model(body)
    frames = page.optimize(search("a", "b"))
    name, data = frames[-1]
    assert (name, data["stage"], data["iteration"]) == ("error", "jury", 1)
    assert [one for one, _ in frames].count("error") == 1
    assert "complete" not in [one for one, _ in frames]


def test_a_refiner_that_cannot_be_read_is_an_error_of_the_refinement(page: Page, provider: OpenAIServer) -> None:
    provider.answers = lambda body: Answer("") if said(body).startswith("You improve") else model(body)
    name, data = page.optimize(search("a"))[-1]
    assert (name, data["stage"], data["iteration"]) == ("error", "refinement", 1)


def test_a_key_that_is_refused_is_an_error_of_inference_without_the_key(page: Page, provider: OpenAIServer) -> None:
    provider.fail_always("unauthorized")
    answer = page.ask("POST", "/api/optimize", search("a"))
    assert answer.body.count(b"event: error") == 1
    assert b'"stage": "inference"' in answer.body.split(b"event: error")[1]
    assert b"sk-secret" not in answer.body
    assert answer.body.endswith(b"}\n\n")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"experimentId": "f" * 32}, "no experiment has the id"),
        ({"experimentId": "../../etc/passwd"}, "no experiment has the id"),
        ({"dataset": None}, "dataset is missing"),
        ({"dataset": []}, "dataset is missing"),
        ({"juryMembers": []}, "juryMembers is missing"),
        ({"runnerModel": None}, "runnerModel is missing"),
        ({"basePrompt": "  "}, "basePrompt is missing"),
        ({"taskDescription": None}, "taskDescription is missing"),
        ({"runnerModel": {"model": "mystery", "provider": ""}}, "cannot be told"),
        ({"runnerModel": {"model": "claude-sonnet-4-5", "provider": ""}}, "ANTHROPIC_API_KEY"),
        ({"runnerModel": {"model": "openai/${env:HOME}", "provider": ""}}, "not the name of a model"),
        ({"runnerModel": {"model": "offline/task", "provider": ""}}, "simulated"),
    ],
)
def test_what_keeps_a_search_from_beginning_is_an_error_of_the_setup(
    page: Page, provider: OpenAIServer, changes: dict[str, Any], words: str
) -> None:
    ((name, data),) = page.optimize(search("a", **changes))
    assert (name, data["stage"]) == ("error", "setup")
    assert words in data["message"]
    assert provider.stats.requests == 0
    assert page.ask("GET", "/api/experiments").json["total"] == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"maxIterations": 0},
        {"maxIterations": 21},
        {"maxIterations": "many"},
        {"dataset": [{"query": "a"}]},
        {"dataset": "rows"},
        {"juryMembers": [{"name": "x"}]},
        {"runnerModel": {"model": "gpt-4o", "settings": {"temperature": -1}}},
        {"passThreshold": 101},
    ],
)
def test_a_body_that_does_not_fit_is_422_with_a_detail(page: Page, changes: dict[str, Any]) -> None:
    answer = page.ask("POST", "/api/optimize", search("a", **changes))
    assert answer.status == 422
    assert isinstance(answer.json["detail"], str)
    assert answer.json["detail"]


def test_null_means_default_and_unknown_fields_mean_nothing(page: Page) -> None:
    names = ("maxIterations", "convergenceThreshold", "passThreshold", "perfectScore", "managerModel")
    body = search("a", **dict.fromkeys(names), colour="red")
    assert of_kind(page.optimize(body), "start")[0]["maxIterations"] == 5


def test_a_dropped_connection_loses_no_run(page_server: PageServer, provider: OpenAIServer) -> None:
    provider.latency = 0.05
    page = page_server.page
    with page.opened("POST", "/api/optimize", search("a", "b", maxIterations=2)) as answer:
        line = answer.readline() + answer.readline()
    experiment = json.loads(line.split(b"data: ")[1])["experimentId"]

    def is_complete() -> bool:
        return bool(page.ask("GET", f"/api/experiments/{experiment}").json["isComplete"])

    wait_for(is_complete)
    found = page.ask("GET", f"/api/experiments/{experiment}").json
    assert [one["iterationNumber"] for one in found["promptVersions"]] == [1, 2]
    assert provider.stats.requests == 2 * 2 * 3 + 1


def test_lists_and_details_have_the_names_of_the_contract(page: Page) -> None:
    experiment = page.optimize(search("a", maxIterations=2))[0][1]["experimentId"]
    head = {"id", "name", "taskDescription", "basePrompt", "runnerModel", "isComplete", "createdAt", "updatedAt"}
    listed = page.ask("GET", "/api/experiments?limit=50&offset=0").json
    assert set(listed) == {"experiments", "total"}
    (one,) = listed["experiments"]
    assert set(one) == head | {"iterationCount", "bestScore", "finalScore", "datasetSize"}
    assert (one["iterationCount"], one["bestScore"], one["datasetSize"], one["isComplete"]) == (2, 65, 1, True)
    detail = page.ask("GET", f"/api/experiments/{experiment}").json
    assert set(detail) == head | {"juryMembers", "datasetRows", "promptVersions"}
    assert detail["runnerModel"] == {**RUNNER, "settings": {"temperature": 0.7, "topK": 40}}
    first, second = detail["promptVersions"]
    assert (first["refinementFeedback"], first["refinementMeta"]) == ("too short", {"deltaReasoning": "one word more"})
    assert second["refinementFeedback"] is None
    assert second["refinementMeta"] is None
    (result,) = second["results"]
    assert [one["juryMemberId"] for one in result["juryEvaluations"]] == [one["id"] for one in detail["juryMembers"]]
    assert result["datasetRowId"] == detail["datasetRows"][0]["id"]


def test_jurors_of_one_name_and_model_are_two(page: Page) -> None:
    twins = [{**JURORS[0], "name": "averageScore"}] * 2
    frames = page.optimize(search("a", juryMembers=twins, maxIterations=1))
    assert [one["juryName"] for one in of_kind(frames, "jury_result")[0]["scores"]] == ["averageScore"] * 2
    detail = page.ask("GET", f"/api/experiments/{frames[0][1]['experimentId']}").json
    votes = detail["promptVersions"][0]["results"][0]["juryEvaluations"]
    assert len({one["id"] for one in votes}) == len({one["juryMemberId"] for one in votes}) == 2
    assert {one["juryMemberId"] for one in votes} == {one["id"] for one in detail["juryMembers"]}


def test_answers_have_the_documented_shape(page: Page) -> None:
    document = page.ask("GET", "/api/v1/openapi.json").json
    experiment = page.optimize(search("a", maxIterations=2))[0][1]["experimentId"]
    rows = {"experimentId": "e" * 32, "rows": [row("a", split="val")]}
    asked = [
        ("GET", "/api/experiments", "/api/experiments", None),
        ("GET", "/api/experiments/{experiment_id}", f"/api/experiments/{experiment}", None),
        ("POST", "/api/dataset", "/api/dataset", rows),
        ("GET", "/api/dataset/{experiment_id}", f"/api/dataset/{experiment}", None),
        ("GET", "/api/dataset/{experiment_id}/{split}", f"/api/dataset/{experiment}/train", None),
        ("GET", "/api/experiments/{experiment_id}", f"/api/experiments/{'e' * 32}", None),
        ("GET", "/api/models", "/api/models?refresh=true", None),
        ("GET", "/health-check", "/health-check?deep=true", None),
        ("POST", "/api/metrics", "/api/metrics", {"experimentId": "x", "iteration": 1, "results": [{"score": 1}]}),
    ]
    for method, path, address, body in asked:
        answer = page.ask(method, address, body)
        assert answer.status == 200, answer.body
        schema = document["paths"][path][method.lower()]["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema.validate(answer.json, {**schema, "components": document["components"]})


def test_pages_of_the_list_do_not_overlap(page: Page) -> None:
    ids = [page.optimize(search(str(n), maxIterations=1))[0][1]["experimentId"] for n in range(3)]
    found = [page.ask("GET", f"/api/experiments?limit=2&offset={n}").json for n in (0, 2, 4)]
    assert [one["id"] for part in found for one in part["experiments"]] == ids[::-1]
    assert {part["total"] for part in found} == {3}
    assert page.ask("GET", "/api/experiments?limit=101").status == 422
    assert page.ask("GET", "/api/experiments?offset=-1").status == 422


@pytest.mark.parametrize("path", ["/api/experiments/none", "/api/dataset/none", "/api/dataset/none/train"])
def test_an_unknown_id_is_404_with_a_detail(page: Page, path: str) -> None:
    answer = page.ask("GET", path)
    assert (answer.status, type(answer.json["detail"])) == (404, str)


def test_rows_of_a_script_are_counted_read_by_split_and_learned_from(page: Page, provider: OpenAIServer) -> None:
    rows = [row("a", split="train"), row("b", split="val"), row("c", split="test"), row("d", softNegatives="long")]
    experiment = "3f2c8a54-11d2-4c6e-9a3b-0c1d2e3f4a5b"
    posted = page.ask("POST", "/api/dataset", {"experimentId": experiment, "rows": rows}).json
    assert posted["splits"] == {"train": 2, "val": 1, "test": 1, "total": 4}
    assert len(set(posted["rowIds"])) == 4
    assert page.ask("GET", f"/api/dataset/{experiment}").json == posted["splits"]
    (val,) = page.ask("GET", f"/api/dataset/{experiment}/val").json
    assert val == {
        "id": posted["rowIds"][1], "query": "b", "expectedOutput": "yes",
        "softNegatives": None, "hardNegatives": None, "split": "val",
    }  # fmt: skip
    more = page.ask("POST", "/api/dataset", {"experimentId": experiment, "rows": [row("e")]}).json
    assert more["splits"] == {"train": 3, "val": 1, "test": 1, "total": 5}
    (waiting,) = page.ask("GET", "/api/experiments").json["experiments"]
    assert (waiting["id"], waiting["isComplete"], waiting["datasetSize"]) == (experiment, False, 5)
    frames = page.optimize(search(dataset=None, experimentId=experiment, maxIterations=1))
    assert frames[0][1] == {"experimentId": experiment, "totalRows": 3, "totalJury": 2, "maxIterations": 1}
    inputs = [body["messages"][0]["content"].rpartition(" ")[2] for body in provider.payloads
              if body["model"] == "gpt-4o-mini"]  # fmt: skip
    assert sorted(inputs) == ["a", "d", "e"]
    detail = page.ask("GET", f"/api/experiments/{experiment}").json
    assert [one["split"] for one in detail["datasetRows"]] == ["train", "val", "test", "train", "train"]
    assert len(detail["promptVersions"][0]["results"]) == 3
    assert page.ask("GET", "/api/experiments").json["total"] == 1


def test_a_stored_run_is_searched_again_with_what_it_knows(page: Page) -> None:
    first = page.optimize(search("a", "b", maxIterations=1))[0][1]["experimentId"]
    body = {"experimentId": first, "maxIterations": 1, "basePrompt": "Say better yes."}
    frames = page.optimize(body)
    assert frames[0][1]["totalRows"] == 2
    assert frames[0][1]["experimentId"] != first
    assert of_kind(frames, "complete")[0]["finalScore"] == 65


def test_rows_are_shared_out_by_ratios(page: Page) -> None:
    body = {"experimentId": "e" * 32, "rows": [row(str(n)) for n in range(100)], "autoSplit": True}
    assert page.ask("POST", "/api/dataset", body).json["splits"] == {"train": 70, "val": 15, "test": 15, "total": 100}
    assert page.ask("POST", "/api/dataset", {**body, "trainRatio": 0.9}).status == 422
    assert page.ask("POST", "/api/dataset", {**body, "experimentId": "../x"}).status == 422
    assert page.ask("POST", "/api/dataset", {**body, "rows": []}).status == 422


def test_single_calls_answer_and_are_no_experiments(page: Page, provider: OpenAIServer) -> None:
    body = {
        "model": "gpt-4o-mini",
        "taskDescription": "T {{",
        "promptTemplate": "P {{ x }}",
        "query": "Q",
        "settings": None,
    }
    assert page.ask("POST", "/api/inference", body).json == {
        "output": "answer to: Task Context: T {{\n\nInstruction: P {{ x }}\n\nInput: Q"
    }
    judged = {"juryModel": "gpt-4.1", "jurySettings": SETTINGS, "taskDescription": "T", "row": row("q"),
              "actualOutput": "better"}  # fmt: skip
    assert page.ask("POST", "/api/jury", judged).json == {"score": 70, "reasoning": "as gpt-4.1 sees it"}
    hard = {**judged, "row": row("q", hardNegatives="bad words"), "actualOutput": "better better bad"}
    assert page.ask("POST", "/api/jury", hard).json["score"] < 40
    refined = {"taskDescription": "T", "currentPrompt": "P {{ x }}", "failures": "row 1: wrong"}
    assert page.ask("POST", "/api/refine", refined).json == {
        "explanation": "too short", "refinedPrompt": "P {{ x }} better", "deltaReasoning": "one word more",
    }  # fmt: skip
    assert provider.stats.requests == 4
    assert page.ask("GET", "/api/experiments").json["total"] == 0


@pytest.mark.parametrize("fault", ["unauthorized", "bad_request"])
def test_a_provider_that_fails_is_502_with_its_words(page: Page, provider: OpenAIServer, fault: str) -> None:
    provider.fail_always(fault)
    body = {"model": "gpt-4o", "taskDescription": "T", "promptTemplate": "P", "query": "Q", "settings": SETTINGS}
    answer = page.ask("POST", "/api/inference", body)
    assert answer.status == 502
    assert isinstance(answer.json["detail"], str)
    judged = {"juryModel": "gpt-4.1", "taskDescription": "T", "row": row("q"), "actualOutput": "a"}
    assert page.ask("POST", "/api/jury", judged).status == 502
    assert b"sk-secret" not in answer.body


def test_a_provider_that_cannot_be_reached_is_502_within_seconds(tmp_path: Path) -> None:
    environment = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
    body = {"model": "gpt-4o", "taskDescription": "T", "promptTemplate": "P", "query": "Q"}
    with PageServer(tmp_path, environment) as server:
        answer = server.page.ask("POST", "/api/inference", body)  # 60 seconds are the client's patience
    assert answer.status == 502
    assert "no connection" in answer.json["detail"]


def test_a_juror_that_cannot_be_read_is_502(page: Page, provider: OpenAIServer) -> None:
    provider.answers = lambda body: Answer("hm")
    judged = {"juryModel": "gpt-4.1", "taskDescription": "T", "row": row("q"), "actualOutput": "a"}
    answer = page.ask("POST", "/api/jury", judged)
    assert (answer.status, provider.stats.requests) == (502, 2)
    assert "no score" in answer.json["detail"]


def test_metrics_are_answered_for_any_experiment(page: Page) -> None:
    body = {"experimentId": "nobody knows", "iteration": 1, "results": [{"score": 80, "reasoning": ""}, {"score": 100}]}
    answer = page.ask("POST", "/api/metrics", {**body, "promptText": None, "tokenUsage": None})
    assert answer.status == 200
    assert answer.json["mlflowRunId"] is None
    assert answer.json["metrics"]["averageScore"] == 90
    assert page.ask("POST", "/api/metrics", {**body, "results": []}).json["metrics"] == {}


def test_models_are_those_whose_listing_worked(page: Page, provider: OpenAIServer) -> None:
    page.ask("POST", "/api/inference", {"model": "gpt-4o", "taskDescription": "", "promptTemplate": "P", "query": "Q"})
    (openai,) = page.ask("GET", "/api/models?refresh=true").json["providers"]
    assert openai == {"provider": "openai", "label": "OpenAI", "models": [{"id": "gpt-4o", "name": "gpt-4o"}]}


def test_the_health_check_asks_providers_only_when_it_is_deep(page: Page, provider: OpenAIServer) -> None:
    assert page.ask("GET", "/health-check").json == {"status": "healthy"}
    deep = page.ask("GET", "/health-check?deep=true").json
    assert deep["status"] == "healthy (with warnings)"
    assert deep["providers"]["openai"]["status"] == "ok"
    assert deep["providers"]["gemini"] == {"configured": False, "status": "not_configured", "message": "no key is set"}
    assert provider.stats.requests == 0, "no model was asked for an answer"


def test_who_is_not_on_this_machine_needs_a_token(page: Page) -> None:
    answer = page.ask("GET", "/api/experiments", **{"X-Forwarded-For": "203.0.113.9"})
    assert answer.status == 401
    assert isinstance(answer.json["detail"], str)
    assert page.ask("POST", "/api/optimize", search("a"), **{"X-Forwarded-For": "203.0.113.9"}).status == 401


def test_tokens_leave_the_page_alone_and_let_others_in_by_their_scope(page_server: PageServer, page: Page) -> None:
    def secret(scope: Scope) -> str:
        return asyncio.run(page_server.store.create_token(scope, scope))[1]

    reading, running = ({"X-Forwarded-For": "203.0.113.9", "Authorization": f"Bearer {secret(one)}"}
                        for one in ("read", "run"))  # fmt: skip
    assert page.optimize(search("a", maxIterations=1))[-1][0] == "complete"
    assert page.ask("GET", "/api/experiments", **reading).json["total"] == 1
    assert page.ask("POST", "/api/optimize", search("b"), **reading).status == 403
    answer = page.ask("POST", "/api/optimize", search("b", maxIterations=1), **running)
    assert frames_in(answer.body)[-1][0] == "complete"
    owners = [one.owner for one in page_server.store.runs()]
    assert (owners[1], len(owners[0])) == ("", len(page_server.store.tokens()[0].id))
