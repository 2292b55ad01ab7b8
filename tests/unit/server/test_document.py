"""The OpenAPI document says what is so, and a wrong method is told the right ones."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from serving import station

METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """As a server gives it; no test changes it."""
    folder = tmp_path_factory.mktemp("document")

    async def ask() -> dict[str, Any]:
        async with station(folder) as here, here.client() as client:
            found: dict[str, Any] = (await client.get("/openapi.json")).json()
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return asyncio.run(ask())


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, value) for path, found in document["paths"].items() for method, value in found.items()]


async def test_every_operation_is_named_described_and_filed_under_a_known_tag(document: dict[str, Any]) -> None:
    found = operations(document)
    assert len(found) > 30
    names = Counter(value["operationId"] for _, _, value in found)
    assert [name for name, count in names.items() if count > 1] == []
    assert [name for name in names if not name.replace("_", "").isalnum()] == []
    known = {tag["name"] for tag in document["tags"]}
    for path, method, value in found:
        assert method in METHODS
        assert value["description"], path
        assert set(value["tags"]) <= known, path


async def test_every_error_has_the_one_form(document: dict[str, Any]) -> None:
    for path, method, value in operations(document):
        for status, answer in value["responses"].items():
            if int(status) >= 400 and path != "/readyz":
                assert set(answer["content"]) == {"application/problem+json"}, (path, method, status)
    assert "HTTPValidationError" not in document["components"]["schemas"]


async def test_a_token_is_not_said_to_be_needed_where_none_is(document: dict[str, Any]) -> None:
    told = [value.get("security") for path, _, value in operations(document) if path.startswith("/api/")]
    assert all(one == [{"token": []}, {}] for one in told), told


async def test_a_wrong_method_is_told_all_the_right_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with station(tmp_path) as here, here.client() as client:
        answer = await client.put("/runs", json={})
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
        assert answer.json()["code"] == "method_not_allowed"


async def test_schemas_are_named_as_a_reader_would(document: dict[str, Any]) -> None:
    assert [name for name in document["components"]["schemas"] if "__" in name] == []
