"""What people decide, over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from serving import Finished, Station

REVIEW: dict[str, Any] = {
    "round": 1,
    "candidate": {
        "id": "c" * 16,
        "hypothesis": {"kind": "rule", "text": "say it"},
        "length": 9,
        "prompts": {"main": "be very kind {{ text }}"},
    },
    "parent": {
        "id": "p" * 16,
        "hypothesis": {"kind": "seed", "text": "as given"},
        "length": 9,
        "prompts": {"main": "be kind {{ text }}"},
    },
    "critiques": [{"step": "main", "cause": "rude", "fix": "be kind"}],
    "screened": {"mean": 0.1, "low": 0.0, "high": 0.2, "n": 4},
    "raced": {"mean": 0.1, "low": 0.0, "high": 0.2, "n": 8},
    "calls": 12,
}


async def test_a_note_waits_until_the_run_takes_it(server: Station) -> None:
    async with server.client() as client:
        run_id = await server.queued(client)
        answer = await client.post(f"/runs/{run_id}/interventions", json={"kind": "note", "text": "mind the tone"})
        assert answer.status_code == 202, answer.text
        left = answer.json()
        assert (left["kind"], left["state"], left["body"]) == ("note", "waiting", {"text": "mind the tone"})
        path = answer.headers["location"].removeprefix("/api/v1")
        assert (await client.get(path)).json() == left
        await server.store.settle_wish(left["id"])
        assert (await client.get(path)).json()["state"] == "taken"


async def test_each_kind_of_decision_is_left_as_its_event(server: Station) -> None:
    async with server.client() as client:
        run_id = await server.queued(client)
        await server.store.show_review(run_id, REVIEW)
        sent = [
            {"kind": "raise_caps", "caps": {"calls": 9000, "usd": "2.50"}},
            {"kind": "retry_errors"},
            {"kind": "approve", "reason": "good"},
            {"kind": "edit", "candidate": "cccc", "prompts": {"main": "be kind {{ text }}!"}},
            {"kind": "refuse"},
        ]
        for body in sent:
            answer = await client.post(f"/runs/{run_id}/interventions", json=body)
            assert answer.status_code == 202, answer.text
        whole = (await client.get(f"/runs/{run_id}/interventions")).json()["items"]
        first = (await client.get(f"/runs/{run_id}/interventions", params={"limit": 2})).json()
        cursor = {"cursor": first["next_cursor"]}
        rest = (await client.get(f"/runs/{run_id}/interventions", params=cursor)).json()
    assert [one["kind"] for one in whole] == [one["kind"] for one in sent]
    assert whole[0]["body"] == {"caps": {"calls": 9000, "usd": "2.50"}}
    assert whole[3]["body"]["candidate_id"] == "c" * 16
    assert first["items"] + rest["items"] == whole


async def test_a_run_takes_what_was_left_and_refuses_what_cannot_be(server: Station) -> None:
    async with server.client() as client:
        run_id = await server.queued(client)
        path = f"/runs/{run_id}/interventions"
        await client.post(path, json={"kind": "note", "text": "mind the tone"})
        ruling = {"candidate_id": "c", "action": "approve", "prompts": {}, "reason": ""}
        await server.store.leave_wish(run_id, "rewrite_reviewed", ruling)
        server.queue.take("here-0")
        await server.context.service.engine.run(run_id, inbox=server.store)
        settled = (await client.get(path)).json()["items"]
    assert [one["state"] for one in settled] == ["taken", "refused"]
    assert settled[1]["kind"] == "approve"
    assert "waits" in settled[1]["refused"]


async def test_a_rewrite_that_waits_is_shown_with_its_changes_and_approved(server: Station) -> None:
    from promptprop.bootstrap.assembly import inbox_reviewer

    async with server.client() as client:
        run_id = await server.queued(client, review=True)
        run = server.store.run(run_id)
        engine, reviewer = server.context.service.engine, inbox_reviewer(server.store, run)
        task = asyncio.create_task(engine.run(run_id, inbox=server.store, reviewer=reviewer))
        reviewed = []
        while not task.done():
            shown = await client.get(f"/runs/{run_id}/review")
            if shown.status_code == 200 and shown.json()["candidate"]["id"] not in reviewed:
                reviewed.append(shown.json()["candidate"]["id"])
                sent = {"kind": "approve", "candidate": reviewed[-1]}
                assert (await client.post(f"/runs/{run_id}/interventions", json=sent)).status_code == 202
                assert shown.json()["changes"]["main"]
            await asyncio.sleep(0.02)
        report = await task
        assert (await client.get(f"/runs/{run_id}/review")).json()["code"] == "no_review"
    assert reviewed
    assert [one.candidate_id for one in report.history.reviews] == reviewed


async def test_a_score_is_corrected_by_names_that_people_use(full_server: Station, finished: Finished) -> None:
    store = full_server.store
    await store.change_status(finished.optimization, ("finished",), "stopped", "paused")
    sent = {"kind": "override", "candidate": "seed", "row": "f1", "score": 1, "reason": "it is right"}
    async with full_server.client() as client:
        path = f"/runs/{finished.optimization}/interventions"
        answer = await client.post(path, json=sent)
        no_row = await client.post(path, json=sent | {"row": "none"})
        no_candidate = await client.post(path, json=sent | {"candidate": "none"})
    assert answer.status_code == 202, answer.text
    assert answer.json()["body"]["candidate_id"] == next(iter(store.candidates(finished.optimization)))
    assert (no_row.status_code, no_candidate.status_code) == (404, 404)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"kind": "note", "text": " "}, 422),
        ({"kind": "note", "text": "x" * 20_001}, 422),
        ({"kind": "raise_caps", "caps": {}}, 400),
        ({"kind": "raise_caps", "caps": {"usd": "-1"}}, 422),
        ({"kind": "override", "candidate": "seed", "row": "f1", "score": 2, "reason": "x"}, 422),
        ({"kind": "approve"}, 409),
        ({"kind": "edit", "prompts": {}}, 422),
        ({"kind": "paused"}, 422),
        ({}, 422),
    ],
)
async def test_what_can_never_be_is_refused_at_once(server: Station, body: dict[str, Any], status: int) -> None:
    async with server.client() as client:
        run_id = await server.queued(client)
        answer = await client.post(f"/runs/{run_id}/interventions", json=body)
        assert answer.status_code == status, answer.text
        assert (await client.get(f"/runs/{run_id}/interventions")).json()["items"] == []


async def test_a_finished_run_takes_nothing_more(full_server: Station, finished: Finished) -> None:
    async with full_server.client() as client:
        path = f"/runs/{finished.optimization}/interventions"
        answer = await client.post(path, json={"kind": "note", "text": "too late"})
    assert (answer.status_code, answer.json()["code"]) == (409, "not_possible")


async def test_who_may_only_read_decides_nothing(server: Station) -> None:
    token = await server.token("read")
    async with server.client() as local, server.client(token, stranger=True) as reader:
        run_id = await server.queued(local)
        path = f"/runs/{run_id}/interventions"
        assert (await reader.post(path, json={"kind": "retry_errors"})).status_code == 403
        assert (await reader.get(path)).status_code == 200


async def test_a_ruling_lets_a_run_go_on_that_has_paused_for_it(server: Station) -> None:
    from promptprop.bootstrap.assembly import inbox_reviewer
    from promptprop.domain.errors import Interrupted

    async with server.client() as client:
        run_id = await server.queued(client, review=True)
        reviewer = inbox_reviewer(server.store, server.store.run(run_id), patience=0)
        with pytest.raises(Interrupted):
            await server.context.service.engine.run(run_id, inbox=server.store, reviewer=reviewer)
        server.queue.take("here-0")
        server.queue.finish(run_id)
        detail = (await client.get(f"/runs/{run_id}")).json()
        assert (detail["status"], detail["stop_reason"], detail["waiting_for_review"]) == ("stopped", "paused", True)
        shown = (await client.get(f"/runs/{run_id}/review")).json()
        sent = {"kind": "refuse", "candidate": shown["candidate"]["id"], "reason": "too long"}
        assert (await client.post(f"/runs/{run_id}/interventions", json=sent)).status_code == 202
        assert (await client.get(f"/runs/{run_id}")).json()["status"] == "queued"
