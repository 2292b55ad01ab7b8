"""Runs over HTTP: begun, listed, shown."""

from __future__ import annotations

from serving import Finished, Station


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
