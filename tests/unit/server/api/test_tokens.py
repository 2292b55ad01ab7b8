"""Tokens, the audit log and the caller, over HTTP."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from serving import Station

from promptprop.ports import AuditRow


async def test_a_token_is_made_used_and_revoked(server: Station) -> None:
    async with server.client() as admin:
        answer = await admin.post("/tokens", json={"name": "ci", "scope": "run", "max_runs": 3})
        made = answer.json()
        assert answer.status_code == 201
        async with server.client(made["token"], stranger=True) as client:
            me = (await client.get("/me")).json()
            assert (me["id"], me["name"], me["scope"], me["limits"]["runs"]) == (made["id"], "ci", "run", 3)
            revoked = await admin.delete(answer.headers["location"].removeprefix("/api/v1"))
            assert revoked.json()["state"] == "revoked"
            assert (await client.get("/me")).status_code == 401
        again = await admin.delete(f"/tokens/{made['id']}")
        listed = (await admin.get("/tokens")).json()["items"]
    assert again.json() == revoked.json()
    assert listed == [{**revoked.json(), "used_at": listed[0]["used_at"]}]
    assert made["token"] not in str(listed)


async def test_a_secret_is_kept_nowhere(server: Station) -> None:
    async with server.client(Idempotency_Key="k") as admin:
        secret = (await admin.post("/tokens", json={"name": "ci"})).json()["token"]
        twice = await admin.post("/tokens", json={"name": "ci"})
    assert (twice.status_code, twice.json()["code"]) == (409, "token_exists")
    files = (server.context.settings.folder / ".promptprop").glob("promptprop.db*")
    assert not any(secret.encode() in file.read_bytes() for file in files)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "a", "expires_at": "2001-01-01T00:00:00Z"}, 400),
        ({"name": "a", "expires_at": "2030-01-01T00:00:00"}, 422),
        ({"name": "a", "expires_at": "0001-01-01T00:00:00+10:00"}, 422),
        ({"name": "a\nb"}, 400),
        ({"name": "a", "scope": "root"}, 422),
        ({"name": "a", "max_runs": -1}, 422),
        ({"name": "a", "secret": "x"}, 422),
    ],
)
async def test_what_no_token_can_be_is_refused(server: Station, body: dict[str, Any], status: int) -> None:
    async with server.client() as admin:
        assert (await admin.post("/tokens", json=body)).status_code == status
        assert (await admin.get("/tokens")).json()["items"] == []


async def test_tokens_end_and_come_by_the_page(server: Station) -> None:
    soon = datetime.now(timezone.utc) + timedelta(hours=1)
    async with server.client() as admin:
        for name in ("a", "b", "c"):
            await admin.post("/tokens", json={"name": name, "expires_at": soon.isoformat()})
        first = (await admin.get("/tokens", params={"limit": 2})).json()
        rest = (await admin.get("/tokens", params={"limit": 2, "cursor": first["next_cursor"]})).json()
        one = first["items"][0]
        assert (await admin.get(f"/tokens/{one['id']}")).json() == one
        assert (await admin.get("/tokens/c")).json()["code"] == "token_not_found"
    assert [token["name"] for token in first["items"] + rest["items"]] == ["c", "b", "a"]
    assert rest["next_cursor"] is None
    assert one["expires_at"].endswith("Z")


async def test_tokens_and_the_audit_are_for_admins(server: Station) -> None:
    runner = await server.token("run")
    async with server.client(runner, stranger=True) as client:
        for method, path in (("GET", "/tokens"), ("POST", "/tokens"), ("DELETE", "/tokens/x"), ("GET", "/audit")):
            answer = await client.request(method, path, json={"name": "a"} if method == "POST" else None)
            assert (answer.status_code, answer.json()["code"]) == (403, "scope")


async def test_the_audit_comes_by_the_page(server: Station) -> None:
    now = datetime.now(timezone.utc)
    rows = [AuditRow(now, f"r{n}", "local", "POST /api/v1/runs", "/api/v1/runs", 202, "127.0.0.1") for n in range(3)]
    await server.store.record_audit(rows)
    async with server.client() as admin:
        first = (await admin.get("/audit", params={"limit": 2})).json()
        rest = (await admin.get("/audit", params={"cursor": first["next_cursor"]})).json()
    assert [row["request_id"] for row in first["items"] + rest["items"]] == ["r2", "r1", "r0"]
    assert rest["next_cursor"] is None


async def test_what_was_just_done_is_in_the_audit_at_once(server: Station) -> None:
    now = datetime.now(timezone.utc)
    for n in range(5):
        server.context.trail.add(AuditRow(now, f"r{n}", "local", "POST /api/v1/runs", "/api/v1/runs", 202, "127.0.0.1"))
        async with server.client() as admin:
            [newest] = (await admin.get("/audit", params={"limit": 1})).json()["items"]
        assert newest["request_id"] == f"r{n}"


async def test_a_program_on_this_machine_is_told_what_it_may(server: Station) -> None:
    async with server.client() as client:
        await server.queued(client)
        me = (await client.get("/me")).json()
    assert (me["id"], me["scope"], me["live_runs"]) == ("", "admin", 1)
    assert me["limits"]["rows"] == 100_000
