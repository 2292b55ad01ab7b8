"""Uploads: kept while they come, read within limits by a process that knows little."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from promptprop.adapters.storage.store import open_store
from promptprop.bootstrap import uploads
from promptprop.bootstrap.uploads import Bounds, Busy, TooLarge, Uploads, Wanted
from promptprop.domain.errors import DataError, StorageError

BOUNDS = Bounds(size=100_000_000, rows=1000)
WANTED = Wanted("rows", "jsonl", {"inputs": ["text"], "expected": "label"})
ROWS = "".join(json.dumps({"text": f"t{n}", "label": "a"}) + "\n" for n in range(30)).encode()


async def parts(*given: bytes) -> AsyncIterator[bytes]:
    for part in given:
        yield part


async def read(body: bytes, wanted: Wanted = WANTED, bounds: Bounds = BOUNDS) -> dict[str, object]:
    desk = Uploads()
    async with desk.received(parts(body), bounds) as file:
        return await desk.read(file, wanted, bounds)


async def test_an_upload_is_a_file_as_long_as_it_is_needed() -> None:
    async with Uploads().received(parts(b"a" * 700_000, b"", b"b" * 700_000, b"c"), BOUNDS) as file:
        assert file.read_bytes() == b"a" * 700_000 + b"b" * 700_000 + b"c"
    assert not file.parent.exists()


async def test_no_more_uploads_are_under_way_than_there_is_room_for() -> None:
    desk = Uploads(waiting=1)
    async with desk.received(parts(b"x"), BOUNDS):
        with pytest.raises(Busy):
            async with desk.received(parts(b"x"), BOUNDS):
                pass
    async with desk.received(parts(b"x"), BOUNDS) as file:
        assert file.exists()


async def test_what_is_too_large_is_refused_while_it_comes_and_gives_its_room_back() -> None:
    desk, read_on = Uploads(waiting=1), []

    async def endless() -> AsyncIterator[bytes]:
        for number in range(100):
            read_on.append(number)
            yield b"x" * 10

    for _ in range(2):
        with pytest.raises(TooLarge):
            async with desk.received(endless(), replace(BOUNDS, size=25)):
                pass
    assert read_on == [0, 1, 2] * 2


async def test_a_reader_tells_rows_splits_and_what_is_odd() -> None:
    said = await read(ROWS)
    assert (said["rows"], said["columns"]) == (30, ["text"])
    assert said["splits"] == {"train": 12, "select": 9, "test": 9}


async def test_a_reader_tells_what_is_wrong_and_calls_the_file_upload() -> None:
    with pytest.raises(DataError) as caught:
        await read(b'{"text": "a", "label": "b"}\n[]\n')
    assert [str(one.place) for one in caught.value.problems] == ["upload:2"]


async def test_a_reader_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "READER", ("-c", "import time; time.sleep(60)"))
    with pytest.raises(DataError, match=r"longer than 0\.2 s"):
        await read(ROWS, bounds=replace(BOUNDS, seconds=0.2))


def written(mark: Path) -> int:
    """The number in a file, once it is there."""
    while not (mark.exists() and mark.read_text()):
        time.sleep(0.01)
    return int(mark.read_text())


async def test_a_reader_ends_with_the_request_that_it_works_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mark = tmp_path / "pid"
    code = f"import os, time; open({str(mark)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    monkeypatch.setattr(uploads, "READER", ("-c", code))
    task = asyncio.create_task(read(ROWS))
    pid = await asyncio.to_thread(written, mark)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_reader_takes_no_more_memory_than_it_is_given() -> None:
    body = json.dumps([{"text": "x" * 60_000_000, "label": "a"}]).encode()
    with pytest.raises(DataError, match="more memory"):
        await read(body, replace(WANTED, format="json"), replace(BOUNDS, memory=150_000_000))


@pytest.mark.parametrize(("code", "error"), [("import os; os.kill(os.getpid(), 9)", DataError), ("1/0", StorageError)])
async def test_a_reader_that_falls_is_told_from_one_that_found_something(
    monkeypatch: pytest.MonkeyPatch, code: str, error: type[Exception]
) -> None:
    monkeypatch.setattr(uploads, "READER", ("-c", code))
    with pytest.raises(error):
        await read(ROWS)


def test_a_reader_sees_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("PGPASSWORD", "secret")
    assert not {"OPENAI_API_KEY", "PGPASSWORD"} & uploads.environment_of("").keys()
    assert uploads.environment_of("sqlite:///x")["PROMPTPROP_DATABASE_URL"] == "sqlite:///x"
    assert "PGPASSWORD" in uploads.environment_of("postgresql://x")


async def test_a_reader_stores_in_the_servers_database(any_database_url: str) -> None:
    desk = Uploads()
    with closing(open_store(any_database_url)) as store:
        for name in ("first", "second"):
            async with desk.received(parts(ROWS), BOUNDS) as file:
                said = await desk.read(file, replace(WANTED, name=name), BOUNDS, any_database_url)
        heads = store.dataset_heads(10)
        assert [(head.id, head.name, head.size) for head in heads] == [(said["id"], "first", 30)]
        assert store.dataset_rows(heads[0].id, limit=1)[0].example.inputs == {"text": "t0"}
