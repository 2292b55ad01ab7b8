"""Both clients against a server of canned answers: what they send, what they read, what they repeat."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from promptprop.client import AsyncClient, Client, NotFound, Retries, Run, Unreachable, Unreadable, WaitedTooLong
from promptprop.client.groups import AsyncGroup, Group
from promptprop.domain.models import Json

RUN: dict[str, Any] = {
    "run_id": "5f0c6a0e7b1f4c62",
    "name": "support",
    "activity": "optimize",
    "status": "running",
    "stop_reason": None,
    "verdict": None,
    "score": 1,
    "score_on": "select",
    "delta": None,
    "rounds": 3,
    "calls": 412,
    "tokens": 90312,
    "usd": "0.1234",
    "unpriced_calls": 0,
    "simulated": False,
    "seed": 7,
    "owner": "",
    "active_seconds": 31.5,
    "created_at": "2026-11-30T18:45:12Z",
    "updated_at": "2026-11-30T18:45:44Z",
}
DETAIL = RUN | {"status": "finished", "report": {}, "job": None, "progress": None, "waiting_for_review": False}
QUICK = Retries(attempts=3, first=0.0)
Answer = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


class Canned:
    """Answers in turn, and keeps what was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        return self.answer(request)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer

    async def acall(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        return self.answer(request)


class Bytes(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body in chunks, which may break off with an error."""

    def __init__(self, *chunks: bytes | Exception) -> None:
        self.chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.chunks:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self:
            yield chunk


class Either:
    """One of the two clients, to be used alike."""

    def __init__(self, kind: str, canned: Canned, **options: Any) -> None:
        options = {"retries": QUICK, "token": "", **options}
        if kind == "sync":
            self.client: Any = Client(transport=httpx.MockTransport(canned), **options)
        else:
            self.client = AsyncClient(transport=httpx.MockTransport(canned.acall), **options)
        self.sync = kind == "sync"

    async def of(self, value: Any) -> Any:
        return value if self.sync else await value

    async def all(self, items: Any) -> list[Any]:
        return list(items) if self.sync else [one async for one in items]

    async def close(self) -> None:
        await self.of(self.client.close())


@pytest.fixture(params=["sync", "async"])
async def either(request: pytest.FixtureRequest) -> AsyncIterator[Callable[..., Either]]:
    made: list[Either] = []

    def make(canned: Canned, **options: Any) -> Either:
        made.append(Either(request.param, canned, **options))
        return made[-1]

    yield make
    for one in made:
        await one.close()


def event(seq: int) -> bytes:
    body: Json = {"seq": seq, "at": "2026-01-02T03:04:05Z", "kind": "k", "body": {}, "active_seconds": None}
    return f"id: {seq}\nevent: k\ndata: {json.dumps(body)}\n\n".encode()


END = b'event: end\ndata: {"status": "finished"}\n\n'
HEAD = b"retry: 0\n\n"


def stream(*chunks: bytes | Exception) -> httpx.Response:
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Bytes(HEAD, *chunks))


async def test_a_run_is_started_with_a_key_and_read(either: Callable[..., Either]) -> None:
    canned = Canned(httpx.Response(202, json=RUN))
    here = either(canned, token="secret")
    run = await here.of(here.client.runs.start({"task": "t"}, dataset="d1", priority=3))
    assert isinstance(run, Run)
    assert (run.run_id, run.score, str(run.usd), run.over) == ("5f0c6a0e7b1f4c62", 1.0, "0.1234", False)
    (asked,) = canned.asked
    assert (asked.method, asked.url) == ("POST", "http://127.0.0.1:8000/api/v1/runs")
    assert json.loads(asked.content) == {
        "activity": "optimize",
        "config": {"task": "t"},
        "dataset": "d1",
        "priority": 3,
    }
    assert asked.headers["authorization"] == "Bearer secret"
    assert len(asked.headers["idempotency-key"]) == 32


async def test_a_request_that_is_sent_again_keeps_its_key(either: Callable[..., Either]) -> None:
    canned = Canned(httpx.ReadTimeout("slow"), httpx.Response(503), httpx.Response(202, json=RUN))
    here = either(canned)
    await here.of(here.client.runs.start("task: t\n"))
    assert len({asked.headers["idempotency-key"] for asked in canned.asked}) == 1
    assert len(canned.asked) == 3
    twice = Canned(httpx.Response(202, json=RUN), httpx.Response(202, json=RUN))
    other = either(twice)
    for _ in range(2):
        await other.of(other.client.runs.start("task: t\n"))
    assert len({asked.headers["idempotency-key"] for asked in twice.asked}) == 2


async def test_a_server_that_never_answers_is_said_to_be_unreachable(either: Callable[..., Either]) -> None:
    canned = Canned(*[httpx.ConnectError("refused")] * 3)
    here = either(canned, base_url="http://user:word@prompts.example:81")
    with pytest.raises(Unreachable) as caught:
        await here.of(here.client.runs.get("abc"))
    assert "http://prompts.example:81" in caught.value.message
    assert "word" not in str(caught.value)
    assert len(canned.asked) == 3


async def test_a_refusal_is_raised_at_once(either: Callable[..., Either]) -> None:
    canned = Canned(httpx.Response(404, json={"code": "run_not_found", "detail": "no run answers to 'a/b'"}))
    here = either(canned)
    with pytest.raises(NotFound, match="no run answers"):
        await here.of(here.client.runs.get("a/b"))
    assert canned.asked[0].url.raw_path == b"/api/v1/runs/a%2Fb"


async def test_an_answer_that_is_no_json_is_said_to_come_from_elsewhere(either: Callable[..., Either]) -> None:
    here = either(Canned(httpx.Response(200, html="<html>")))
    with pytest.raises(Unreadable, match="text/html"):
        await here.of(here.client.runs.get("abc"))


async def test_a_redirect_is_not_followed_with_the_token(either: Callable[..., Either]) -> None:
    canned = Canned(httpx.Response(307, headers={"location": "http://elsewhere.example/"}))
    here = either(canned, token="secret")
    with pytest.raises(Exception, match="307"):
        await here.of(here.client.runs.get("abc"))
    assert len(canned.asked) == 1


async def test_a_list_is_read_page_by_page_as_it_is_used(either: Callable[..., Either]) -> None:
    pages = [{"items": [RUN, RUN], "next_cursor": "c 2"}, {"items": [], "next_cursor": "c3"}, {"items": [RUN]}]
    canned = Canned(*(httpx.Response(200, json=page) for page in pages))
    here = either(canned)
    assert len(await here.all(here.client.runs.list(status="running"))) == 3
    assert [asked.url.params.get("cursor") for asked in canned.asked] == [None, "c 2", "c3"]
    assert {asked.url.params["status"] for asked in canned.asked} == {"running"}
    assert "name" not in canned.asked[0].url.params


async def test_events_go_on_after_the_last_one_where_a_connection_breaks(either: Callable[..., Either]) -> None:
    canned = Canned(
        stream(event(1), event(2)[:20], httpx.ReadError("cut")),
        httpx.ConnectError("restarting"),
        httpx.Response(503, headers={"retry-after": "0"}),
        stream(event(2), b": still here\n\n"),  # ends without an end: the server drains
        stream(event(2), event(3) + END),
    )
    here = either(canned)
    assert [one.seq for one in await here.all(here.client.follow("abc"))] == [1, 2, 3]
    assert [asked.headers["last-event-id"] for asked in canned.asked] == ["0", "1", "1", "1", "2"]


async def test_a_run_that_is_not_there_is_not_followed(either: Callable[..., Either]) -> None:
    here = either(Canned(httpx.Response(404, json={"code": "run_not_found", "detail": "none"})))
    with pytest.raises(NotFound):
        await here.all(here.client.follow("abc"))


async def test_waiting_ends_with_the_run_as_it_is_then(either: Callable[..., Either]) -> None:
    ticks: list[Any] = []
    tick = b'event: tick\ndata: {"done": 1}\n\n'
    canned = Canned(stream(event(1), tick, END), httpx.Response(200, json=DETAIL))
    here = either(canned)
    run = await here.of(here.client.wait("abc", on_tick=ticks.append))
    assert (run.status, run.over, ticks) == ("finished", True, [{"done": 1}])


async def test_a_wait_may_be_bounded(either: Callable[..., Either]) -> None:
    here = either(Canned(stream(event(1), b": still here\n\n")))
    with pytest.raises(WaitedTooLong, match="abc"):
        await here.of(here.client.wait("abc", timeout=0.0))


async def test_the_token_comes_from_the_environment_unless_another_is_given(
    either: Callable[..., Either], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMPTPROP_TOKEN", "of-the-environment")
    canned = Canned(*[httpx.Response(200, json=DETAIL)] * 3)
    for token in (None, "mine", ""):
        here = either(canned, token=token)
        await here.of(here.client.runs.get("abc"))
    sent = [asked.headers.get("authorization") for asked in canned.asked]
    assert sent == ["Bearer of-the-environment", "Bearer mine", None]


async def test_a_file_is_sent_as_yaml(either: Callable[..., Either], tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("task: ü\n", encoding="utf-8")
    canned = Canned(httpx.Response(202, json=RUN))
    here = either(canned)
    await here.of(here.client.runs.evaluate(tmp_path / "run.yaml", rows=["r1"], split="test"))
    sent = json.loads(canned.asked[0].content)
    assert sent == {"activity": "evaluate", "yaml": "task: ü\n", "rows": ["r1"], "split": "test"}
    with pytest.raises(ValueError, match="Path"):
        here.client.runs.start("run.yaml")


@pytest.mark.parametrize("packed", [False, True])
async def test_rows_are_sent_as_they_are_with_their_length_and_a_long_time_to_read_them(
    either: Callable[..., Either], tmp_path: Path, packed: bool
) -> None:
    rows = tmp_path / ("rows.csv.gz" if packed else "rows.csv")
    rows.write_bytes(b"x" * 600_000)
    stored = {"id": "d1", "name": "rows", "size": 1, "created_at": "2026-01-02T03:04:05Z", "columns": [], "splits": {}}
    canned = Canned(httpx.ReadError("cut"), httpx.Response(201, json=stored))
    here = either(canned)
    assert (await here.of(here.client.datasets.upload(rows, ["a", "b"], expected="c"))).id == "d1"
    for asked in canned.asked:
        assert asked.content == rows.read_bytes()
        assert asked.headers["content-length"] == "600000"
        assert asked.extensions["timeout"]["read"] == 240.0
        assert asked.url.params.multi_items() == [
            ("name", "rows"), ("format", "csv"), ("inputs", "a"), ("inputs", "b"), ("expected", "c"),
        ]  # fmt: skip


async def test_columns_that_there_are_not_are_refused_before_anything_is_sent(either: Callable[..., Either]) -> None:
    here = either(Canned())
    with pytest.raises(ValueError, match="lable"):
        here.client.datasets.upload(b"", ["a"], form="csv", lable="c")
    with pytest.raises(ValueError, match="list of columns"):
        here.client.datasets.upload(b"", "text", form="csv")
    with pytest.raises(ValueError, match="form="):
        here.client.datasets.upload(b"", ["a"])
    with pytest.raises(ValueError, match="empty"):
        here.client.runs.get("")


def test_a_client_closes_with_its_with_block() -> None:
    with Client(transport=httpx.MockTransport(Canned(httpx.Response(200, json=DETAIL)))) as client:
        assert client.runs.get("abc").name == "support"
    with pytest.raises(RuntimeError, match="closed"):
        client.runs.get("abc")


def groups_of(client: Client | AsyncClient, kind: type[Any]) -> dict[str, list[str]]:
    found = {name: value for name, value in vars(client).items() if isinstance(value, kind)}
    return {name: [one for one in vars(type(group)) if not one.startswith("_")] for name, group in found.items()}


async def test_both_clients_offer_the_same_under_the_same_names() -> None:
    plain, awaited = Client(token=""), AsyncClient(token="")
    assert groups_of(plain, Group) == groups_of(awaited, AsyncGroup) != {}
    public = [{name for name in vars(kind) if not name.startswith("_")} for kind in (Client, AsyncClient)]
    assert public[0] == public[1]
    assert plain.runs.start.__doc__ == awaited.runs.start.__doc__
    plain.close()
    await awaited.close()


def test_the_client_loads_nothing_of_the_server() -> None:
    import subprocess
    import sys

    probe = "import sys, promptprop.client; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    heavy = {"pydantic", "fastapi", "starlette", "sqlalchemy", "litellm", "mlflow", "dbos", "yaml", "typer"}
    assert heavy & set(done.stdout.split()) == set()
    assert "promptprop.client.blocking" in done.stdout.split()
