"""The candidates of a run, over HTTP."""

from __future__ import annotations

import json

import pytest
from serving import Finished, Station


async def test_candidates_come_in_the_order_in_which_they_were_made(full_server: Station, finished: Finished) -> None:
    stored = full_server.store.candidates(finished.optimization)
    async with full_server.client() as client:
        whole = (await client.get(f"/runs/{finished.optimization}/candidates")).json()
        first = (await client.get(f"/runs/{finished.optimization}/candidates", params={"limit": 1})).json()
    assert [one["id"] for one in whole["items"]] == list(stored)
    assert first["items"] == whole["items"][:1]
    assert first["next_cursor"]
    assert (whole["items"][0]["is_seed"], whole["items"][0]["state"]) == (True, "seed")
    assert whole["items"][0]["scores"]["select"]["n"] > 0


async def test_a_candidate_shows_its_texts_and_what_led_to_it(full_server: Station, finished: Finished) -> None:
    stored = full_server.store.candidates(finished.optimization)
    child = next(one for one in stored.values() if one.critiques)
    async with full_server.client() as client:
        shown = (await client.get(f"/runs/{finished.optimization}/candidates/{child.candidate.id[:8]}")).json()
    assert shown["text"] == child.candidate.text
    assert shown["steps"][0]["messages"][0]["content"] == child.candidate.prompts["main"].messages[0].content
    assert shown["parents"] == list(child.candidate.parents)
    assert shown["critiques"][0]["cause"] == child.critiques[0].cause


async def test_seed_and_winner_are_compared_unless_others_are_named(full_server: Station, finished: Finished) -> None:
    stored = list(full_server.store.candidates(finished.optimization))
    async with full_server.client() as client:
        path = f"/runs/{finished.optimization}/diff"
        whole = (await client.get(path)).json()
        same = (await client.get(path, params={"from": stored[1], "to": stored[1]})).json()
    assert [whole[name].rpartition(":")[2] for name in ("before", "after")] == ["seed", "winner"]
    assert same["equal"]
    assert same["steps"][0]["lines"] == []


@pytest.mark.parametrize("form", ["json", "yaml", "python", "markdown", "txt"])
async def test_a_winner_is_exported_in_every_format(full_server: Station, finished: Finished, form: str) -> None:
    async with full_server.client() as client:
        answer = await client.get(f"/runs/{finished.optimization}/export", params={"format": form})
        winner = (await client.get(f"/runs/{finished.optimization}/candidates/winner")).json()
    assert answer.status_code == 200
    assert answer.headers["content-disposition"].startswith("attachment")
    assert "{{ text }}" in answer.text
    if form == "json":
        assert json.loads(answer.text)["id"] == winner["id"]


@pytest.mark.parametrize("path", ["candidates/none", "candidates/%00", "diff?from=none", "export?candidate=none"])
async def test_an_unknown_candidate_is_not_found(full_server: Station, finished: Finished, path: str) -> None:
    async with full_server.client() as client:
        answer = await client.get(f"/runs/{finished.optimization}/{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
