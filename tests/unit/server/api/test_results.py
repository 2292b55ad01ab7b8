"""What a run measured, over HTTP."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx
import pytest
from serving import Finished, Station
from store_rows import NOON

from promptprop.bootstrap import results
from promptprop.domain.events import ScoreOverridden, StoredEvent
from promptprop.domain.models import Evaluation, Failure


async def pages(client: httpx.AsyncClient, path: str, items: str = "items", **params: Any) -> list[Any]:
    """All items of a list, page by page."""
    found: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await client.get(path, params={**params, **cursor})
        assert answer.status_code == 200, answer.text
        found += answer.json()[items]
        if answer.json()["next_cursor"] is None:
            return found
        cursor = {"cursor": answer.json()["next_cursor"]}


async def test_evaluations_come_whole_and_once_however_small_the_pages(
    full_server: Station, finished: Finished
) -> None:
    stored = list(full_server.store.evaluations(finished.evaluation))
    async with full_server.client() as client:
        path = f"/runs/{finished.evaluation}/evaluations"
        whole = await pages(client, path)
        assert await pages(client, path, limit=7) == whole
    assert [(one["row"], one["replicate"], one["output"]) for one in whole] == [
        (one.example_id, one.replicate, one.output) for one in stored
    ]
    assert len(whole) == 48
    assert set(whole[0]["metrics"]) == {"label"}
    assert whole[0]["trace"] == [{"step": "main", "output": whole[0]["output"]}]


async def test_evaluations_are_filtered_by_candidate_row_split_and_missing_score(
    full_server: Station, finished: Finished
) -> None:
    run = finished.optimization
    failed = Evaluation("lost", "f1", 0, error=Failure("timeout", "no answer"))
    await full_server.store.commit_block(run, [failed], [], "f")
    async with full_server.client() as client:
        path = f"/runs/{run}/evaluations"
        everything = await pages(client, path)
        of_seed = await pages(client, path, candidate="seed")
        assert 0 < len(of_seed) < len(everything)
        assert of_seed == [one for one in everything if one["candidate"] == of_seed[0]["candidate"]]
        row = of_seed[0]["row"]
        assert await pages(client, path, row=row) == [one for one in everything if one["row"] == row]
        missing = await pages(client, path, only_missing=True)
        assert [one["error"]["code"] for one in missing] == ["timeout"]
        by_split = [await pages(client, path, split=name, limit=3) for name in ("train", "select", "test")]
        assert sum(map(len, by_split)) == len([one for one in everything if one["candidate"] != "lost"]) + 1
        assert all(by_split)


async def test_a_page_of_a_split_that_has_few_answers_is_short_and_goes_on(
    full_server: Station, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "MOST_LOOKED", 5)
    async with full_server.client() as client:
        path = f"/runs/{finished.evaluation}/evaluations"
        first = (await client.get(path, params={"split": "test"})).json()
        assert len(first["items"]) < 5
        assert first["next_cursor"]
        found = await pages(client, path, split="test")
        monkeypatch.setattr(results, "MOST_LOOKED", 5000)
        assert found == await pages(client, path, split="test")


async def test_long_answers_make_short_pages(
    full_server: Station, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "MOST_LETTERS", 10)
    async with full_server.client() as client:
        path = f"/runs/{finished.evaluation}/evaluations"
        assert len((await client.get(path)).json()["items"]) < 5
        assert len(await pages(client, path)) == 48


async def test_a_corrected_score_stands_beside_the_measured_one(full_server: Station, finished: Finished) -> None:
    run, store = finished.evaluation, full_server.store
    first = next(iter(store.evaluations(run)))
    before = [one.score for one in store.evaluations(run) if one.example_id == first.example_id]
    event = ScoreOverridden(first.candidate_id, first.example_id, 0.25, "half of it is right")
    await store.append(StoredEvent(run, store.last_seq(run) + 1, NOON, event, {}))
    async with full_server.client() as client:
        shown = await pages(client, f"/runs/{run}/evaluations", row=first.example_id)
        matrix = await pages(client, f"/runs/{run}/matrix", "rows")
    assert [(one["score"], one["measured"]) for one in shown] == [(0.25, measured) for measured in before]
    assert shown[0]["metrics"]["person"] == {"score": 0.25, "feedback": "half of it is right"}
    assert [row["scores"] for row in matrix if row["row"] == first.example_id] == [[0.25]]


async def test_a_row_shows_what_each_candidate_was_asked_and_answered(full_server: Station, finished: Finished) -> None:
    run = finished.optimization
    proposals = full_server.store.candidates(run)
    blamed = next(one for proposal in proposals.values() for one in proposal.critiques if one.examples)
    async with full_server.client() as client:
        path = f"/runs/{run}/rows/{quote(blamed.examples[0], safe='')}"
        row = (await client.get(path)).json()
        assert await pages(client, path, limit=1) == row["items"]
    assert row["split"] == "train"
    assert {"cause": blamed.cause, "fix": blamed.fix}.items() <= row["critiques"][0].items()
    assert row["inputs"]["text"] in row["items"][0]["asked"][0]["messages"][0]["content"]
    assert {one["row"] for item in row["items"] for one in item["answers"]} == {row["row"]}


async def test_a_matrix_has_the_mean_of_each_cell_and_leaves_out_rows_that_nobody_answered(
    full_server: Station, finished: Finished
) -> None:
    run = finished.optimization
    async with full_server.client() as client:
        whole = (await client.get(f"/runs/{run}/matrix")).json()
        assert await pages(client, f"/runs/{run}/matrix", "rows", limit=2) == whole["rows"]
        test = await pages(client, f"/runs/{run}/matrix", "rows", split="test")
    assert test == [row for row in whole["rows"] if row["split"] == "test"]
    assert test
    cells = {(one.candidate_id, one.example_id) for one in full_server.store.evaluations(run)}
    shown = {
        (name, row["row"])
        for row in whole["rows"]
        for name, count in zip(whole["candidates"], row["answers"], strict=True)
        if count
    }
    assert shown == cells


@pytest.mark.parametrize("path", ["evaluations?candidate=none", "rows/none", "rows/%00%ED%A0%80", "rows/a/b"])
async def test_what_is_not_there_is_told_as_not_found(full_server: Station, finished: Finished, path: str) -> None:
    async with full_server.client() as client:
        answer = await client.get(f"/runs/{finished.optimization}/{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "cursor", ["x", "WzFd", "Wy0xXQ", "WyIxIl0", "WzFlOTk5XQ", "WzEwMDAwMDAwMDAwMDAwMDAwMDAwMDAwXQ"]
)
async def test_cursors_of_strangers_do_no_harm(full_server: Station, finished: Finished, cursor: str) -> None:
    async with full_server.client() as client:
        for path in ("evaluations", "matrix", "candidates", "rows/f1"):
            answer = await client.get(f"/runs/{finished.optimization}/{path}", params={"cursor": cursor})
            assert answer.status_code in (200, 400), answer.text
