"""Named prompts over HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import yaml
from serving import Finished, Station


async def saved(client: httpx.AsyncClient, text: str = "Which desk? {{ text }}", **more: Any) -> dict[str, Any]:
    answer = await client.post("/prompts", json={"name": "desk", "text": text, **more})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/api/v1/prompts/desk/versions/{found['version']}"
    return found


async def test_a_prompt_is_saved_by_hand_listed_and_shown(server: Station) -> None:
    async with server.client() as client:
        first = await saved(client)
        again = await saved(client)
        second = await saved(client, "Desk for {{ text }}?", aliases=["candidate"])
        listed = (await client.get("/prompts")).json()["items"]
        versions = (await client.get("/prompts/desk/versions")).json()["items"]
        shown = [(await client.get(f"/prompts/desk/versions/{mark}")).json() for mark in ("2", "candidate", "latest")]
    assert (first["version"], again["version"], second["version"]) == (1, 1, 2)
    assert [(one["name"], one["version"], one["versions"], one["aliases"]) for one in listed] == [
        ("desk", 2, 2, {"candidate": 2})
    ]
    assert [one["version"] for one in versions] == [2, 1]
    assert shown == [second] * 3
    assert second["prompt"]["steps"][0]["messages"] == [{"role": "user", "content": "Desk for {{ text }}?"}]


async def test_prompts_and_versions_come_by_the_page(server: Station) -> None:
    async with server.client() as client:
        for name in ("c", "a", "b"):
            for text in ("one {{ x }}", "two {{ x }}"):
                await client.post("/prompts", json={"name": name, "text": text})
        first = (await client.get("/prompts", params={"limit": 2})).json()
        rest = (await client.get("/prompts", params={"cursor": first["next_cursor"]})).json()
        newest = (await client.get("/prompts/a/versions", params={"limit": 1})).json()
        oldest = (await client.get("/prompts/a/versions", params={"cursor": newest["next_cursor"]})).json()
    assert [one["name"] for one in first["items"] + rest["items"]] == ["a", "b", "c"]
    assert [one["version"] for one in newest["items"] + oldest["items"]] == [2, 1]
    assert (rest["next_cursor"], oldest["next_cursor"]) == (None, None)


async def test_the_prompts_of_a_run_say_which_run_found_them(full_server: Station, finished: Finished) -> None:
    async with full_server.client() as client:
        shown = (await client.get("/prompts/desks/versions/latest")).json()
    assert shown["run_id"] == finished.optimization


async def test_aliases_move_and_go(server: Station) -> None:
    async with server.client() as client:
        await saved(client)
        await saved(client, "Desk for {{ text }}?")
        moved = await client.put("/prompts/desk/aliases/live", json={"version": 1})
        assert (moved.status_code, moved.json()["aliases"]) == (200, ["live"])
        assert (await client.get("/prompts/desk/versions/live")).json()["version"] == 1
        assert (await client.put("/prompts/desk/aliases/live", json={"version": 9})).status_code == 404
        assert (await client.put("/prompts/desk/aliases/7", json={"version": 1})).status_code == 400
        assert (await client.delete("/prompts/desk/aliases/live")).status_code == 204
        assert (await client.delete("/prompts/desk/aliases/live")).json()["code"] == "alias_not_found"


@pytest.mark.parametrize(
    "path", ["/prompts/no/versions", "/prompts/no/versions/1", "/prompts/desk/versions/2", "/prompts/a@b/versions/1"]
)
async def test_what_no_prompt_answers_to_is_not_found(server: Station, path: str) -> None:
    async with server.client() as client:
        await saved(client)
        answer = await client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "prompt_not_found")


async def test_a_name_with_a_slash_is_reached(server: Station) -> None:
    async with server.client() as client:
        answer = await client.post("/prompts", json={"name": "team/desk ü", "text": "{{ x }}"})
        assert (await client.get(answer.headers["location"].removeprefix("/api/v1"))).json() == answer.json()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"text": "a {{ x }}", "messages": [{"role": "user", "content": "a"}]}, 400),
        ({"text": "{{ x"}, 422),
        ({"text": "{% include 'x' %}"}, 422),
        ({"text": "  "}, 422),
        ({"file": "/etc/passwd"}, 422),
        ({"messages": [{"role": "robot", "content": "a"}]}, 422),
        ({"steps": [{"id": "a", "text": "{{ x }}"}, {"id": "a", "text": "{{ x }}"}]}, 400),
        ({"text": "{{ x }}", "aliases": ["7"]}, 400),
        ({"text": "{{ x }}", "name": "a@b"}, 422),
    ],
)
async def test_what_is_no_prompt_is_refused(server: Station, body: dict[str, Any], status: int) -> None:
    async with server.client() as client:
        answer = await client.post("/prompts", json={"name": "desk", **body})
        assert answer.status_code == status, answer.text
        assert (await client.get("/prompts")).json()["items"] == []


async def test_a_chain_is_saved_and_a_step_of_it_filled(server: Station) -> None:
    steps = [{"id": "sum", "text": "Shorten {{ text }}"}, {"id": "desk", "text": "Desk? {{ sum }}"}]
    async with server.client() as client:
        answer = await client.post("/prompts", json={"name": "chain", "steps": steps})
        assert [step["id"] for step in answer.json()["prompt"]["steps"]] == ["sum", "desk"]
        path = "/prompts/chain/versions/1/render"
        first = (await client.post(path, json={"variables": {"text": {"a": [1, None]}}})).json()
        second = (await client.post(path, json={"variables": {"sum": "x"}, "step": "desk"})).json()
        absent = await client.post(path, json={"variables": {}, "step": "no"})
    assert first == {
        "step": "sum",
        "messages": [{"role": "user", "content": 'Shorten {"a": [1, null]}'}],
        "used": ["text"],
    }
    assert second["messages"][0]["content"] == "Desk? x"
    assert (absent.status_code, absent.json()["code"]) == (404, "step_not_found")


async def test_a_prompt_that_lacks_a_value_says_which(server: Station) -> None:
    async with server.client() as client:
        await saved(client)
        answer = await client.post("/prompts/desk/versions/1/render", json={"variables": {}})
    assert answer.status_code == 422
    assert "text" in answer.json()["detail"]


async def test_what_differs_is_told_by_lines_and_by_words(server: Station) -> None:
    async with server.client() as client:
        await saved(client, "Which desk?\n{{ text }}")
        await saved(client, "Which one desk?\n{{ text }}")
        found = (await client.get("/prompts/diff", params={"from": "desk@1", "to": "desk"})).json()
        same = (await client.get("/prompts/diff", params={"from": "desk@2", "to": "desk"})).json()
        unknown = await client.get("/prompts/diff", params={"from": "desk@3", "to": "desk"})
        a_file = await client.get("/prompts/diff", params={"from": "desks.jsonl", "to": "desk"})
    step = found["steps"][0]
    assert (found["before"], found["after"], found["equal"]) == ("desk@1", "desk@2", False)
    assert "-Which desk?" in step["lines"]
    assert "+Which one desk?" in step["lines"]
    assert {"kind": "added", "text": "one "} in step["words"]
    assert same["equal"] is True
    assert (unknown.status_code, a_file.status_code) == (404, 404)


async def test_long_texts_are_compared_by_lines_alone(server: Station) -> None:
    async with server.client() as client:
        await saved(client, "a " * 20_000 + "{{ text }}")
        await saved(client, "a " * 19_000 + "{{ text }}")
        step = (await client.get("/prompts/diff", params={"from": "desk@1", "to": "desk@2"})).json()["steps"][0]
    assert step["words"] is None
    assert len(step["lines"]) == 5


async def test_a_version_is_exported_in_every_format(server: Station) -> None:
    async with server.client() as client:
        await saved(client)
        path = "/prompts/desk/versions/1/export"
        found = {
            name: await client.get(path, params={"format": name})
            for name in ("json", "yaml", "python", "markdown", "txt")
        }
        assert (await client.get(path, params={"format": "pdf"})).status_code == 422
    assert found["json"].json() == yaml.safe_load(found["yaml"].text)
    assert found["txt"].text == "Which desk? {{ text }}"
    assert found["python"].headers["content-disposition"] == 'attachment; filename="desk-1.py"'
    assert [one.status_code for one in found.values()] == [200] * 5


async def test_readers_fill_prompts_but_save_none(server: Station) -> None:
    reader = await server.token("read")
    async with server.client() as client:
        await saved(client)
    async with server.client(reader, stranger=True) as client:
        path = "/prompts/desk/versions/1/render"
        assert (await client.post(path, json={"variables": {"text": "x"}})).status_code == 200
        for method, path, body in (
            ("POST", "/prompts", {"name": "a", "text": "b"}),
            ("PUT", "/prompts/desk/aliases/live", {"version": 1}),
            ("DELETE", "/prompts/desk/aliases/live", None),
        ):
            assert (await client.request(method, path, json=body)).json()["code"] == "scope"


async def test_a_prompt_that_is_sent_twice_under_a_key_is_answered_alike(server: Station) -> None:
    async with server.client(Idempotency_Key="k1") as client:
        first = await client.post("/prompts", json={"name": "desk", "text": "{{ x }}"})
        await server.store.save_prompt("desk", (await other()), None)
        again = await client.post("/prompts", json={"name": "desk", "text": "{{ x }}"})
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"


async def other() -> Any:
    from promptprop.domain.models import Candidate, Prompt

    return Candidate({"main": Prompt.of("another {{ x }}")})
