"""Datasets over HTTP: uploaded, looked at, listed, read and split."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import Finished, Station, config, station

from promptprop.domain.serve_config import ServeConfig

ROWS = [{"id": f"r{n}", "text": f"message {n}", "label": "ab"[n % 2]} for n in range(40)]
JSONL = "".join(json.dumps(row) + "\n" for row in ROWS)
COLUMNS = {"inputs": "text", "expected": "label", "id": "id"}
KIND = {"Content-Type": "application/x-ndjson"}


async def upload(
    client: httpx.AsyncClient, body: Any = JSONL, kind: str = KIND["Content-Type"], path: str = "/datasets", **more: Any
) -> httpx.Response:
    return await client.post(path, params={**COLUMNS, **more}, content=body, headers={"Content-Type": kind})


def csv(rows: list[dict[str, str]]) -> str:
    return "id,text,label\n" + "".join(f"{row['id']},{row['text']},{row['label']}\n" for row in rows)


def parquet(rows: list[dict[str, str]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


async def test_a_dataset_is_uploaded_listed_shown_and_read(server: Station) -> None:
    async with server.client() as client:
        made = await upload(client, name="support")
        assert made.status_code == 201, made.text
        detail = made.json()
        assert made.headers["location"] == f"/api/v1/datasets/{detail['id']}"
        assert (await client.get(f"/datasets/{detail['id']}")).json() == detail
        listed = (await client.get("/datasets")).json()["items"]
        first = (await client.get(f"/datasets/{detail['id']}/rows", params={"limit": 30})).json()
        rest = (
            await client.get(f"/datasets/{detail['id']}/rows", params={"limit": 30, "cursor": first["next_cursor"]})
        ).json()
    assert (detail["name"], detail["size"], detail["columns"]) == ("support", 40, ["text"])
    assert detail["splits"] == {"train": 0, "select": 0, "test": 0, "none": 40}
    assert [one["id"] for one in listed] == [detail["id"]]
    assert [row["id"] for row in first["items"] + rest["items"]] == [row["id"] for row in ROWS]
    assert (first["items"][0]["inputs"], first["items"][0]["expected"]) == ({"text": "message 0"}, "a")
    assert rest["next_cursor"] is None


async def test_what_is_sent_twice_is_stored_once_under_its_first_name(server: Station) -> None:
    async with server.client() as client:
        first = await upload(client, name="one")
        again = await upload(client, name="two")
        assert len((await client.get("/datasets")).json()["items"]) == 1
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()


FORMATS: list[tuple[Any, str, dict[str, str]]] = [
    (json.dumps(ROWS), "application/json", {}),
    (csv(ROWS), "text/csv", {}),
    (csv(ROWS).replace(",", "\t"), "text/tab-separated-values", {}),
    (json.dumps(ROWS), "application/yaml", {}),
    (parquet(ROWS), "application/vnd.apache.parquet", {}),
    (gzip.compress(JSONL.encode(), mtime=0), "application/x-ndjson", {}),
    (JSONL, "application/x-www-form-urlencoded", {"format": "jsonl"}),
]


async def test_every_format_gives_the_same_rows(server: Station) -> None:
    async with server.client() as client:
        plain = (await upload(client)).json()
        for body, kind, more in FORMATS:  # on one server: each upload starts a process
            other = await upload(client, body, kind, **more)
            assert (kind, other.status_code, other.json()) == (kind, 200, plain)


async def test_bad_rows_are_all_told_with_their_lines_and_nothing_is_stored(server: Station) -> None:
    body = '{"id": 1, "text": "a", "label": "x"}\n{"id": 1, "text": "b", "label": "x"}\nnot json\n{"id": 2}\n'
    async with server.client() as client:
        refused = await upload(client, body)
        assert (await client.get("/datasets")).json()["items"] == []
    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (422, "data")
    assert [one["place"].partition(":")[2].partition(":")[0] for one in problem["problems"]] == ["2", "3", "4", "4"]
    assert {one["place"].partition(":")[0] for one in problem["problems"]} == {"upload"}
    assert "/" not in refused.text.replace("application/problem+json", "")


@pytest.mark.parametrize(
    ("params", "kind", "status"),
    [
        ({}, "application/octet-stream", 415),
        ({}, "multipart/form-data; boundary=x", 415),
        ({"format": "pdf"}, "text/csv", 422),
        ({"inputs": ""}, "text/csv", 422),
        ({"inputs": ["a.b", "a_b", "a"]}, "application/x-ndjson", 422),
        ({"wrong": "x"}, "text/csv", 422),
    ],
)
async def test_what_does_not_say_what_it_is_is_refused(
    server: Station, params: dict[str, Any], kind: str, status: int
) -> None:
    async with server.client() as client:
        assert (await upload(client, JSONL, kind, **params)).status_code == status


@pytest.fixture
async def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Station]:
    """A server that takes a megabyte and 50 rows."""
    monkeypatch.chdir(tmp_path)
    serve = ServeConfig.model_validate({"limits": {"body_mb": 1, "rows": 50}})
    async with station(tmp_path, serve) as made:
        yield made


async def test_an_upload_is_bounded_in_bytes_in_rows_and_unpacked(small: Station) -> None:
    many = "".join(json.dumps({**ROWS[0], "id": n}) + "\n" for n in range(51))
    bomb = gzip.compress(b"x" * 50_000_000)
    async with small.client() as client:
        large = await upload(client, b"x" * 1_000_001)
        rows = await upload(client, many)
        packed = await upload(client, bomb)
        damaged = await upload(client, gzip.compress(JSONL.encode())[:-9])
    assert (large.status_code, large.json()["code"]) == (413, "too_large")
    assert (rows.status_code, "more than 50 rows" in rows.text) == (422, True)
    assert (packed.status_code, "larger than 1,000,000 bytes" in packed.text) == (422, True)
    assert (damaged.status_code, "damaged" in damaged.text) == (422, True)


async def test_a_row_that_no_model_reads_is_refused(server: Station) -> None:
    body = json.dumps({"id": "long", "text": "x" * 2_000_001, "label": "a"})
    async with server.client() as client:
        refused = await upload(client, body)
    assert (refused.status_code, "'long'" in refused.text) == (422, True)


async def test_rows_are_looked_at_and_not_stored(server: Station) -> None:
    twice = JSONL + json.dumps({"id": "r40", "text": "message 0", "label": "b"}) + "\n"
    async with server.client() as client:
        found = (await upload(client, twice, path="/datasets/validate")).json()
        few = (await upload(client, JSONL.splitlines()[0], path="/datasets/validate")).json()
        bad = await upload(client, "{}", path="/datasets/validate")
        assert (await client.get("/datasets")).json()["items"] == []
    assert (found["rows"], found["columns"], sum(found["splits"].values())) == (41, ["text"], 41)
    assert ("PD001", "error", 2) in [(one["id"], one["severity"], one["count"]) for one in found["findings"]]
    assert "ends empty" in few["split_problem"]
    assert bad.status_code == 422


async def test_a_split_is_told_before_a_run(server: Station) -> None:
    async with server.client() as client:
        dataset = (await upload(client)).json()["id"]
        path = f"/datasets/{dataset}/split"
        usual = (await client.get(path)).json()
        halves = (await client.get(path, params={"train": 0.5, "select": 0.25, "test": 0.25, "seed": 3})).json()
        short = await client.get(path, params={"train": 0.5, "select": 0.1, "test": 0.1})
        unknown = await client.get("/datasets/none/split")
    assert {name: usual[name]["rows"] for name in ("train", "select", "test")} == {
        "train": 16,
        "select": 12,
        "test": 12,
    }
    assert usual["train"]["labels"] == {"a": 8, "b": 8}
    assert (halves["train"]["rows"], halves["carried"]) == (20, False)
    assert (short.status_code, unknown.status_code) == (422, 404)


async def test_a_file_that_names_splits_keeps_them(server: Station) -> None:
    splits = ["train", "validation", "test", "test"]
    body = "".join(json.dumps({**row, "part": splits[n % 4]}) + "\n" for n, row in enumerate(ROWS))
    async with server.client() as client:
        detail = (await upload(client, body, split="part")).json()
        sealed = (await client.get(f"/datasets/{detail['id']}/rows", params={"split": "test", "limit": 500})).json()
        plan = (await client.get(f"/datasets/{detail['id']}/split")).json()
    assert detail["splits"] == {"train": 10, "select": 10, "test": 20, "none": 0}
    assert len(sealed["items"]) == plan["test"]["rows"] == 20
    assert plan["carried"] is True


async def test_a_page_of_large_rows_ends_early_and_goes_on(server: Station) -> None:
    body = "".join(json.dumps({"id": n, "text": "x" * 1_500_000, "label": "a"}) + "\n" for n in range(5))
    async with server.client() as client:
        dataset = (await upload(client, body)).json()["id"]
        first = (await client.get(f"/datasets/{dataset}/rows")).json()
        rest = (await client.get(f"/datasets/{dataset}/rows", params={"cursor": first["next_cursor"]})).json()
    assert [len(first["items"]), len(rest["items"])] == [3, 2]
    assert [row["id"] for row in first["items"] + rest["items"]] == ["0", "1", "2", "3", "4"]


async def test_a_run_takes_an_uploaded_dataset_and_a_simulated_model_its_own_world(
    server: Station, tmp_path: Path
) -> None:
    rows = (tmp_path / "desks.jsonl").read_bytes()
    lost = config()
    world = {"world": "desks.world.yaml"}
    told = config(models={role: {"model": f"offline/{role}", **world} for role in ("task", "critic", "rewriter")})
    async with server.client() as client:
        dataset = (await upload(client, rows)).json()["id"]
        refused = await client.post("/runs", json={"config": lost, "dataset": dataset})
        begun = await client.post("/runs", json={"config": told, "dataset": dataset})
    assert refused.status_code == 422, refused.text
    assert "world" in refused.text
    assert begun.status_code == 202, begun.text
    assert server.store.run(begun.json()["run_id"]).dataset_id == dataset


async def test_a_dataset_is_erased_by_an_admin_and_only_while_no_run_is_made_of_it(
    full_server: Station, finished: Finished
) -> None:
    used = full_server.store.run(finished.evaluation).dataset_id
    runner = await full_server.token("run")
    async with full_server.client() as client, full_server.client(runner, stranger=True) as other:
        unused = (await upload(client, JSONL.replace("message", "letter"))).json()["id"]
        assert (await other.delete(f"/datasets/{unused}")).json()["code"] == "scope"
        refused = await client.delete(f"/datasets/{used}")
        assert (refused.status_code, refused.json()["code"]) == (409, "not_possible")
        assert "2 runs were made of this dataset" in refused.json()["detail"]
        assert (await client.delete(f"/datasets/{unused}")).status_code == 204
        assert (await client.delete(f"/datasets/{unused}")).status_code == 404
        assert (await client.get(f"/datasets/{used}")).status_code == 200


async def test_readers_upload_nothing(server: Station) -> None:
    reader = await server.token("read")
    async with server.client(reader, stranger=True) as client:
        assert (await upload(client)).json()["code"] == "scope"
        assert (await client.get("/datasets")).status_code == 200
