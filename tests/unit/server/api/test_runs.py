"""Runs over HTTP: begun, listed, shown."""

from __future__ import annotations

import asyncio

from server_process import frames
from serving import Finished, Station, config


async def test_a_run_is_begun_queued_worked_on_and_shown(server: Station) -> None:
    async with server.client() as client:
        run_id = await server.queued(client)
        assert server.queue.log == [("submit", run_id)]
        before = (await client.get(f"/runs/{run_id}")).json()
        assert (before["status"], before["job"]["status"]) == ("queued", "queued")
        await server.work(run_id)
        after = (await client.get(f"/runs/{run_id[:8]}")).json()
    assert after["status"] == "finished"
    assert after["report"]["run_id"] == run_id


async def test_a_stranger_needs_a_token_of_the_scope(server: Station) -> None:
    token = await server.token("read")
    async with server.client(stranger=True) as nobody, server.client(token, stranger=True) as reader:
        assert (await nobody.get("/runs")).status_code == 401
        assert (await reader.get("/runs")).status_code == 200
        refused = await reader.post("/runs", json={"config": {}})
    assert (refused.status_code, refused.json()["code"]) == (403, "scope")


async def test_runs_are_listed_newest_first(full_server: Station, finished: Finished) -> None:
    async with full_server.client() as client:
        listed = (await client.get("/runs")).json()
        one = (await client.get("/runs", params={"limit": 1})).json()
        rest = (await client.get("/runs", params={"cursor": one["next_cursor"]})).json()
    assert [item["run_id"] for item in listed["items"]] == [finished.evaluation, finished.optimization]
    assert one["items"] + rest["items"] == listed["items"]


async def test_a_request_that_is_sent_twice_under_one_key_begins_one_run(server: Station) -> None:
    async with server.client(Idempotency_Key="k-1") as client:
        first = await client.post("/runs", json={"config": config()})
        again = await client.post("/runs", json={"config": config()})
        other = await client.post("/runs", json={"config": config(), "priority": 3})
    assert (first.status_code, again.status_code, again.json()) == (202, 202, first.json())
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert len(server.store.run_page(10)) == 1


async def test_a_key_whose_request_is_under_way_is_refused_for_now(server: Station) -> None:
    async with server.client(Idempotency_Key="k-1") as client:
        body = {"config": config()}
        both = await asyncio.gather(client.post("/runs", json=body), client.post("/runs", json=body))
    assert sorted(answer.status_code for answer in both) == [202, 409]
    assert len(server.store.run_page(10)) == 1


async def test_a_request_that_failed_leaves_its_key_free(server: Station) -> None:
    async with server.client(Idempotency_Key="k-1") as client:
        assert (await client.post("/runs", json={"config": config(data__file="absent.jsonl")})).status_code == 422
        assert (await client.post("/runs", json={"config": config(data__file="absent.jsonl")})).status_code == 422


async def test_two_tokens_may_use_one_key(server: Station) -> None:
    one, other = await server.token(name="one"), await server.token(name="other")
    for token in (one, other):
        async with server.client(token, Idempotency_Key="k") as client:
            assert (await client.post("/runs", json={"config": config()})).status_code == 202
    assert len(server.store.run_page(10)) == 2


async def test_a_token_has_no_more_runs_at_once_than_it_may(server: Station) -> None:
    token = await server.token(max_runs=2)
    async with server.client(token) as client:
        for _ in range(2):
            await server.queued(client)
        refused = await client.post("/runs", json={"config": config()})
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_runs")
    assert len(server.store.run_page(10)) == 2


async def test_a_run_that_waits_is_cancelled_at_once_and_can_go_on(server: Station) -> None:
    async with server.client() as client:
        run_id = await server.queued(client)
        cancelled = await client.post(f"/runs/{run_id}/cancel")
        assert (cancelled.status_code, cancelled.json()["status"]) == (202, "cancelled")
        again = await client.post(f"/runs/{run_id}/resume", json={"priority": 5})
        assert (again.status_code, again.json()["status"]) == (202, "queued")
        await server.work(run_id)
        detail = (await client.get(f"/runs/{run_id}")).json()
    assert (detail["status"], detail["job"]["attempt"], detail["job"]["priority"]) == ("finished", 2, 5)


async def test_a_run_that_is_finished_can_neither_go_on_nor_end(full_server: Station, finished: Finished) -> None:
    async with full_server.client() as client:
        for verb in ("cancel", "pause", "resume"):
            refused = await client.post(f"/runs/{finished.optimization}/{verb}")
            assert (refused.status_code, refused.json()["code"]) == (409, "not_possible"), verb


async def test_a_run_is_removed_only_once_it_is_over_and_by_an_admin(full_server: Station, finished: Finished) -> None:
    token = await full_server.token("run")
    async with full_server.client() as client, full_server.client(token) as runner:
        waiting = await full_server.queued(client)
        assert (await client.delete(f"/runs/{waiting}")).status_code == 409
        assert (await runner.delete(f"/runs/{finished.evaluation}")).status_code == 403
        assert (await client.delete(f"/runs/{finished.evaluation}")).status_code == 204
        assert (await client.get(f"/runs/{finished.evaluation}")).status_code == 404


async def test_an_evaluation_is_broken_down_once_it_is_over(full_server: Station, finished: Finished) -> None:
    run_id, store = finished.evaluation, full_server.store
    async with full_server.client() as client:
        over = (await client.get(f"/runs/{run_id}")).json()["report"]
        await store.change_status(run_id, ("finished",), "running")
        going = (await client.get(f"/runs/{run_id}")).json()["report"]
        await store.change_status(run_id, ("running",), "finished")
        again = (await client.get(f"/runs/{run_id}")).json()["report"]
    assert len(over["breakdown"]) == 1
    assert going["breakdown"] == []
    assert again == over


async def test_filters_choose_runs(full_server: Station, finished: Finished) -> None:
    async with full_server.client() as client:
        chosen = (await client.get("/runs", params={"activity": "evaluate"})).json()["items"]
        none = (await client.get("/runs", params={"status": "running"})).json()["items"]
        unknown = await client.get("/runs", params={"status": "lost"})
        misspelt = await client.get("/runs", params={"stauts": "running"})
    assert [one["run_id"] for one in chosen] == [finished.evaluation]
    assert none == []
    assert (unknown.status_code, misspelt.status_code) == (422, 422)


async def test_the_events_of_a_run_come_as_a_stream_and_as_pages(full_server: Station, finished: Finished) -> None:
    async with full_server.client() as client:
        stream = (await client.get(f"/runs/{finished.optimization}/events")).text
        told = frames(stream)
        seqs = [seq for seq, _, _ in told if seq is not None]
        later = frames((await client.get(f"/runs/{finished.optimization}/events", params={"after": seqs[-2]})).text)
        pages, after = [], 0
        while True:
            page = (await client.get(f"/runs/{finished.optimization}/history?limit=7&after={after}")).json()
            pages += page["items"]
            if page["next_cursor"] is None:
                break
            after = int(page["next_cursor"])
    assert seqs == list(range(1, len(seqs) + 1))
    assert told[-1][1] == "end"
    assert [data for seq, _, data in told if seq is not None] == pages
    assert [seq for seq, _, _ in later] == [seqs[-1], None]


async def test_an_answer_that_has_not_changed_is_not_sent_again(full_server: Station, finished: Finished) -> None:
    async with full_server.client() as client:
        first = await client.get(f"/runs/{finished.optimization}")
        tag = {"If-None-Match": first.headers["etag"]}
        again = await client.get(f"/runs/{finished.optimization}", headers=tag)
    assert (again.status_code, again.content) == (304, b"")
