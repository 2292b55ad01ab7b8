"""The client against a real server with a worker: all that it offers, once, and over a restart."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from server_process import SUPPORT, ServerProcess, project

from promptprop.client import AsyncClient, BadRequest, Client, Conflict, NotAllowed, NotFound, Retries

pytestmark = pytest.mark.slow
QUICK: dict[str, Any] = {
    **SUPPORT,
    "optimizer": {"name": "backprop", "options": {"rounds": 1}},
    "budget": {"calls": 600},
    "tracking": {"mlflow": False},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(project(tmp_path_factory.mktemp("server"))) as made:
        yield made


@pytest.fixture(scope="module")
def client(server: ServerProcess) -> Iterator[Client]:
    with Client(server.url, token="") as made:
        yield made


@pytest.fixture(scope="module")
def run_id(client: Client) -> str:
    return client.wait(client.runs.start(QUICK).run_id, timeout=60).run_id


def test_a_run_is_followed_to_its_end_each_event_once_and_in_order(client: Client) -> None:
    run = client.runs.start({**QUICK, "seed": 3})
    events = list(client.follow(run.run_id))
    assert [one.seq for one in events] == list(range(1, len(events) + 1))
    assert (events[0].kind, events[-1].kind) == ("run_started", "run_finished")
    assert [one.seq for one in client.follow(run.run_id, after=5)] == list(range(6, len(events) + 1))
    assert list(client.runs.history(run.run_id)) == events
    assert client.runs.get(run.run_id).status == "finished"


def test_runs_are_listed_and_refused_what_cannot_be(client: Client, run_id: str) -> None:
    assert run_id in [one.run_id for one in client.runs.list(status="finished", name="support")]
    with pytest.raises(Conflict) as caught:
        client.runs.cancel(run_id)
    assert (caught.value.status, caught.value.code) == (409, "not_possible")
    with pytest.raises(NotFound):
        client.runs.get("nothing-of-this-name")
    with pytest.raises(BadRequest) as refused:
        client.runs.start({"task": "t"})
    assert len(refused.value.problems) >= 3


def test_what_a_run_found_is_read(client: Client, run_id: str) -> None:
    candidates = list(client.results.candidates(run_id))
    seed = next(one for one in candidates if one.is_seed)
    assert client.results.candidate(run_id, seed.id).text == SUPPORT["prompt"]["text"]
    answers = list(client.results.evaluations(run_id, candidate=seed.id))
    assert answers
    assert {one.candidate for one in answers} == {seed.id}
    (told, *_) = client.results.row(run_id, answers[0].row)
    assert told.answers[0].output == answers[0].output
    scores = {one.row: one.scores[seed.id] for one in client.results.matrix(run_id)}
    assert scores[answers[0].row] is not None
    winner = next((one.id for one in candidates if one.is_winner), seed.id)
    assert client.results.diff(run_id, seed.id, winner).equal == (seed.id == winner)
    assert client.results.report(run_id)["run_id"] == run_id
    assert client.results.report_markdown(run_id).startswith("#")
    assert "Which desk" in client.results.export(run_id, "markdown", candidate="seed")


def test_people_steer_a_run_that_waits_for_them(client: Client) -> None:
    reviewed = client.runs.start({**QUICK, "name": "reviewed", "seed": 5}, review=True)
    note = client.people.note(reviewed.run_id, "Returns belong to billing.")
    for _ in client.follow(reviewed.run_id, timeout=60):
        if client.runs.get(reviewed.run_id).waiting_for_review:
            waiting = client.people.review(reviewed.run_id)["candidate"]["id"]
            client.people.refuse(reviewed.run_id, candidate=waiting, reason="not this one")
    assert client.people.get(reviewed.run_id, note.id).state == "taken"
    assert [one.kind for one in client.people.list(reviewed.run_id)].count("note") == 1
    with pytest.raises(NotFound):
        client.people.review(reviewed.run_id)


def test_prompts_are_saved_filled_compared_and_exported(client: Client) -> None:
    first = client.prompts.save("greeter", "Greet {{ name }}.", aliases=["candidate"])
    client.prompts.save("greeter", "Greet {{ name }} warmly.")
    assert [one.version for one in client.prompts.versions("greeter")] == [2, 1]
    assert client.prompts.get("greeter").text == "Greet {{ name }} warmly."
    assert client.prompts.set_alias("greeter", "production", 1).aliases != ()
    assert client.prompts.get("greeter", "production").id == first.id
    assert client.prompts.render("greeter", 1, {"name": "Ada"}).messages[0]["content"] == "Greet Ada."
    assert not client.prompts.diff("greeter@1", "greeter@2").equal
    assert "Greet" in client.prompts.export("greeter", 1, "txt")
    client.prompts.remove_alias("greeter", "production")
    assert "greeter" in [one.name for one in client.prompts.list()]


def test_a_dataset_is_uploaded_looked_at_and_run_on(client: Client, server: ServerProcess, tmp_path: Path) -> None:
    rows = server.folder / "datasets" / "support.jsonl"
    packed = tmp_path / "support.jsonl.gz"
    packed.write_bytes(gzip.compress(rows.read_bytes()))
    stored = client.datasets.upload(rows, ["text"], expected="label", id="id", cluster="customer")
    assert client.datasets.upload(packed, ["text"], expected="label", id="id", cluster="customer").id == stored.id
    assert (stored.name, stored.size, stored.columns) == ("support", 265, ("text",))
    assert len(list(client.datasets.rows(stored.id))) == 265
    assert client.datasets.get(stored.id) == stored
    assert client.datasets.split(stored.id, train=0.5, select=0.2, test=0.3)["test"]["rows"] > 0
    assert stored.id in [one.id for one in client.datasets.list()]
    found = client.datasets.validate(b'{"text": "a", "label": "x"}\n' * 2, ["text"], form="jsonl", expected="label")
    assert found["rows"] == 2
    with pytest.raises(BadRequest) as caught:
        client.datasets.upload(b'{"text": "a"}\n{', ["text"], form="jsonl")
    assert "2" in (caught.value.problems[0].place or "")
    other = client.datasets.upload(b'{"text": "a"}\n', ["text"], form="jsonl")
    client.datasets.remove(other.id)
    with pytest.raises(NotFound):
        client.datasets.get(other.id)
    models = {"task": {"model": "offline/task", "world": "datasets/support.world.yaml"}}
    config = {**{key: value for key, value in QUICK.items() if key != "data"}, "models": models}
    config["data"] = {"inputs": ["text"], "expected": "label"}
    run = client.runs.evaluate(config, dataset=stored.id, rows=["s001", "s002"])
    assert client.wait(run.run_id, timeout=60).status == "finished"
    with pytest.raises(Conflict, match="made of this dataset"):
        client.datasets.remove(stored.id)


def test_a_check_is_run_and_told(client: Client, run_id: str) -> None:
    begun = client.checks.start(QUICK, f"{run_id}:seed", split="test")
    assert begun.rows > 0
    client.wait(begun.run_id, timeout=60)
    check = client.checks.get(begun.run_id)
    assert check.document is not None
    assert check.verdict == "PASS"
    assert "PASS" in client.checks.report(begun.run_id)
    assert client.checks.report(begun.run_id, "junit").lstrip().startswith("<?xml")


def test_configurations_are_checked_and_planned_for_free(client: Client) -> None:
    assert client.configs.validate(QUICK).valid
    wrong = client.configs.validate("task: t\n")
    assert not wrong.valid
    assert wrong.problems
    assert client.configs.plan(QUICK)["rows"]
    assert client.configs.schema()["type"] == "object"
    assert "lent" in client.models.list()
    assert client.server.health()["status"] == "ok"
    assert client.server.ready()["status"] == "ready"
    assert "promptprop_runs" in client.server.metrics()


def test_a_token_lets_in_as_far_as_its_scope_goes(client: Client, server: ServerProcess) -> None:
    made = client.tokens.create("reader", "read")
    with Client(server.url, token=made.token) as reader:
        assert (reader.server.me().name, reader.server.me().scope) == ("reader", "read")
        with pytest.raises(NotAllowed) as caught:
            reader.runs.start(QUICK)
        assert caught.value.status == 403
    assert made.id in [one.id for one in client.tokens.list()]
    assert client.tokens.revoke(made.id).state == "revoked"
    assert client.tokens.get(made.id).state == "revoked"
    with Client(server.url, token=made.token) as revoked, pytest.raises(NotAllowed):
        revoked.server.me()
    assert made.token not in repr(made)
    assert any(one.status == 403 for one in client.tokens.audit())


def test_a_paused_run_goes_on_with_larger_caps_and_an_old_one_is_removed(client: Client) -> None:
    run = client.runs.start({**QUICK, "name": "paused", "seed": 11}, priority=-5)
    client.runs.pause(run.run_id)
    stopped = client.wait(run.run_id, timeout=60)
    if stopped.status == "stopped":
        resumed = client.runs.resume(run.run_id, calls=900)
        assert client.wait(resumed.run_id, timeout=60).status == "finished"
    client.runs.remove(run.run_id)
    with pytest.raises(NotFound):
        client.runs.get(run.run_id)
    assert run.run_id not in [one.run_id for one in client.runs.list(name="paused")]


async def test_the_awaited_client_does_the_same(server: ServerProcess, run_id: str) -> None:
    rows = server.folder / "datasets" / "support.jsonl"
    async with AsyncClient(server.url, token="") as client:
        runs = await asyncio.gather(*(client.runs.evaluate({**QUICK, "seed": seed}) for seed in range(3)))
        ended = await asyncio.gather(*(client.wait(run.run_id, timeout=60) for run in runs))
        assert {one.status for one in ended} == {"finished"}
        assert isinstance(ended[0].usd, Decimal)
        assert run_id in [one.run_id async for one in client.runs.list()]
        assert (await client.datasets.upload(rows, ["text"], id="id")).size == 265


def test_a_run_is_followed_over_a_restart_of_the_server(tmp_path: Path) -> None:
    with (
        ServerProcess(project(tmp_path)) as server,
        Client(server.url, token="", retries=Retries(attempts=50)) as client,
    ):
        run = client.runs.start({**QUICK, "name": "restarted"})
        seqs = []
        for event in client.follow(run.run_id, timeout=90):
            seqs.append(event.seq)
            if event.seq == 3:
                server.kill()
                server.start(server.port)
        assert seqs == list(range(1, len(seqs) + 1))
        assert client.runs.get(run.run_id).status == "finished"
