"""A provider that fails: at random, altogether, or for a while. Calls are counted, runs pause, stop and go on."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from runs_over_http import (
    comparable_report,
    database_in,
    events_of,
    integrity,
    optimize,
    resume,
    run,
    write_config,
)
from world_server import WorldProcess

from promptprop.domain.errors import ProviderDown
from promptprop.domain.report import report_json, spend_json

CLIENTS = ("litellm", "http")
ROWS = 60
MIXED: list[dict[str, Any]] = [
    {"kind": "rate_limit"},
    {"kind": "rate_limit", "retry_after": 0.05},
    *({"kind": kind} for kind in ("server_error", "server_error", "bad_gateway", "drop", "drop_midway")),
    *({"kind": kind} for kind in ("truncated_json", "empty_choices")),
    {"kind": "hang", "seconds": 60.0},
]
UNCONFIRMED = ("drop", "drop_midway", "truncated_json", "empty_choices", "hang")
LIFECYCLE = (
    "cap_raised",
    "errors_retried",
    "run_started",
    "run_resumed",
    "run_stopped",
    "run_finished",
    "endpoint_paused",
    "endpoint_recovered",
)


def missing_rows(file: Path) -> tuple[int, int]:
    """Evaluations without a score, and all of them."""
    with closing(sqlite3.connect(file)) as connection, connection:
        missing, rows = connection.execute("SELECT total(score IS NULL), count(*) FROM evaluations").fetchone()
    connection.close()
    return int(missing), int(rows)


def kinds_in(folder: Path, name: str = "runs.db") -> list[str]:
    """The kinds of all events of a database of one run."""
    return [kind for kind, _ in events_of(folder / name)]


def decisions_in(folder: Path, name: str = "runs.db") -> list[tuple[str, str]]:
    """What the optimizer decided, byte for byte."""
    return [(kind, body) for kind, body in events_of(folder / name) if kind not in LIFECYCLE]


def result_of(report: Any) -> dict[str, Any]:
    """A report without what failed attempts cost."""
    document = json.loads(comparable_report(report))
    del document["spend"]
    return dict(document)


@contextmanager
def outage(world: WorldProcess, begins: int, seconds: float, kinds: list[dict[str, Any]]) -> Iterator[threading.Event]:
    """From the request with this number on everything fails, for so long; yields whether it has been over."""
    over, leave = threading.Event(), threading.Event()

    def watch() -> None:
        while not leave.wait(0.005):
            if world.stats()["requests"] >= begins:
                world.fail_share(1.0, kinds)
                leave.wait(seconds)
                world.heal()
                over.set()
                return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield over
    finally:
        leave.set()
        thread.join()


@dataclass(frozen=True)
class Course:
    """What a run without any fault came to."""

    result: dict[str, Any]
    decisions: list[tuple[str, str]]
    winner: Any


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Course:
    """The run that all others here have to end like, whatever client they use and however long answers take."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with WorldProcess() as world:
        report = asyncio.run(optimize(write_config(folder, world.url, rows=ROWS), database_in(folder)))
    return Course(result_of(report), decisions_in(folder), report_json(report)["winner"])


@pytest.mark.slow
def test_with_thirty_percent_of_mixed_faults_a_run_finishes_with_two_percent_missing_at_most(tmp_path: Path) -> None:
    with WorldProcess() as for_http, WorldProcess() as for_litellm:
        config = stormy(tmp_path / "http", for_http, "http")
        code, out, err = run(
            "optimize", str(config), "--db", database_in(config.parent), "--json", "-q", folder=tmp_path
        )
        assert code == 0, err
        other = stormy(tmp_path / "litellm", for_litellm, "litellm")
        report = report_json(asyncio.run(optimize(other, database_in(other.parent))))
        for told, world, folder in ((json.loads(out), for_http, config.parent), (report, for_litellm, other.parent)):
            assert told["status"] == "finished"
            assert_all_is_counted(told["spend"]["total"], world.quiet_stats())
            missing, rows = missing_rows(folder / "runs.db")
            assert missing <= 0.02 * rows
            assert "endpoint_paused" not in kinds_in(folder), "faults at random are no outage"
            code, out, err = run("runs", "show", "latest", "--db", database_in(folder), folder=folder)
            assert "unconfirmed" in out + err


def stormy(folder: Path, world: WorldProcess, client: str) -> Path:
    """The configuration of a run of which three requests in ten fail."""
    folder.mkdir()
    world.fail_share(0.3, MIXED, seed=3)
    return write_config(folder, world.url, rows=ROWS, model={"timeout": 4, "concurrency": 32, "client": client})


def assert_all_is_counted(total: dict[str, Any], stats: dict[str, Any]) -> None:
    failed = sum(stats["faults"].values())
    assert 0.2 < failed / stats["requests"] < 0.4, "this is not the fault rate that the test is about"
    assert total["calls"] == stats["requests"]
    assert total["unconfirmed_calls"] == sum(stats["faults"].get(kind, 0) for kind in UNCONFIRMED) > 0
    assert total["tokens"] == stats["tokens"] + total["unconfirmed_tokens"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("client", "kind"),
    [
        ("litellm", "server_error"),
        ("http", "server_error"),
        ("http", "rate_limit"),
        ("litellm", "drop"),
        ("http", "hang"),
    ],
)
def test_an_outage_without_end_stops_the_run_and_says_why_and_it_goes_on_once_the_provider_is_back(
    world: WorldProcess, undisturbed: Course, tmp_path: Path, client: str, kind: str
) -> None:
    model = {"patience": 4, "timeout": 1.5, "retries": 1, "client": client}
    config, database = write_config(tmp_path, world.url, rows=ROWS, model=model), database_in(tmp_path)
    world.fail_share(1.0, [{"kind": kind, "seconds": 60.0}])
    error = refusal_of(config, database, client)
    assert error["code"] == "provider_down"
    assert "task" in error["message"]
    assert "answered nothing for" in error["message"]
    assert "--retry-errors" in error["remedy"]
    assert "patience" in error["remedy"]
    assert kinds_in(tmp_path) == ["run_started", "endpoint_paused", "run_stopped"]
    assert missing_rows(tmp_path / "runs.db") == (0, 0), "nothing may be remembered as failed for good"
    spent = world.quiet_stats()["requests"]

    world.heal()
    flags = ["--retry-errors"] if kind in ("server_error", "hang") else []
    if client == "litellm":
        resumed = report_json(asyncio.run(resume(database, retry_errors=bool(flags))))
    else:
        code, out, err = run("runs", "resume", "latest", *flags, "--db", database, "--json", "-q", folder=tmp_path)
        assert code == 0, err
        resumed = json.loads(out)
    sent = world.quiet_stats()["requests"]
    assert sent > spent
    assert resumed["spend"]["total"]["calls"] == sent
    assert decisions_in(tmp_path) == undisturbed.decisions
    assert resumed["winner"] == undisturbed.winner
    assert integrity(tmp_path / "runs.db") == "ok"


def refusal_of(config: Path, database: str, client: str) -> dict[str, Any]:
    """What a run says that ends without a provider; LiteLLM is loaded in this process only: it takes seconds."""
    if client == "litellm":
        with pytest.raises(ProviderDown) as caught:
            asyncio.run(optimize(config, database))
        return {name: getattr(caught.value, name) for name in ("code", "message", "remedy")}
    code, out, err = run("optimize", str(config), "--db", database, "--json", "-q", folder=config.parent)
    assert code == 4, err
    return dict(json.loads(out)["error"])


@pytest.mark.slow
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("begins", [16, 58])  # in the midst of many calls, and where only a few are under way
async def test_a_run_passes_through_an_outage_shorter_than_the_patience_to_the_same_result(
    undisturbed: Course, tmp_path: Path, client: str, begins: int
) -> None:
    with WorldProcess(latency=(0.01, 0.03), seed=1) as world:
        config = write_config(tmp_path, world.url, rows=ROWS, model={"patience": 60, "client": client})
        with outage(world, begins, 4.0, [{"kind": "server_error"}, {"kind": "drop"}]) as over:
            report = await optimize(config, database_in(tmp_path))
            assert over.is_set(), "the run was over before the outage was"
        assert report.history.finished
        assert report.history.paused == ()
        assert result_of(report) == undisturbed.result
        assert decisions_in(tmp_path) == undisturbed.decisions
        kinds = kinds_in(tmp_path)
        assert kinds.count("endpoint_paused") == kinds.count("endpoint_recovered")
        assert begins > 16 or "endpoint_paused" in kinds  # a few calls may wait their own retries out instead
        assert spend_json(report.history)["total"]["calls"] == world.quiet_stats()["requests"]
        assert missing_rows(tmp_path / "runs.db")[0] == 0


@pytest.mark.slow
async def test_the_record_of_a_run_with_a_pause_is_replayed_to_the_same_end(
    undisturbed: Course, tmp_path: Path
) -> None:
    with WorldProcess(latency=(0.01, 0.03), seed=1) as world:
        config, database = write_config(tmp_path, world.url, rows=ROWS, model={"patience": 6}), database_in(tmp_path)
        with outage(world, 16, 2.0, [{"kind": "server_error"}]) as over:
            watch = asyncio.create_task(asyncio.to_thread(_break_down_for_good, world, over))
            with pytest.raises(ProviderDown):
                await optimize(config, database)
            await watch
        assert "endpoint_recovered" in kinds_in(tmp_path)
        stopped = decisions_in(tmp_path)
        world.heal()
        report = await resume(database)
        assert result_of(report) == undisturbed.result
        assert decisions_in(tmp_path)[: len(stopped)] == stopped


def _break_down_for_good(world: WorldProcess, over: threading.Event) -> None:
    """After the first outage has passed and a few of many calls have been answered, the second one has no end."""
    over.wait(30)
    answered = world.stats()["answered"]
    while world.stats()["answered"] < answered + 3:
        time.sleep(0.01)
    world.fail_share(1.0, [{"kind": "server_error"}])


@pytest.mark.slow
@pytest.mark.parametrize("calls", [150, 170])
def test_a_cap_on_calls_is_not_overshot_by_an_outage(world: WorldProcess, tmp_path: Path, calls: int) -> None:
    model = {"patience": 30, "concurrency": 16}
    config = write_config(tmp_path, world.url, rows=ROWS, model=model, budget={"calls": calls})
    with outage(world, 12, 3.0, [{"kind": "server_error"}]):
        code, out, err = run("optimize", str(config), "--db", database_in(tmp_path), "--json", "-q", folder=tmp_path)
    assert code in (0, 4, 5), err
    stats = world.quiet_stats()
    assert stats["faults"]["server_error"] > 0
    assert stats["requests"] <= calls
    if code == 0:
        assert json.loads(out)["spend"]["total"]["calls"] == stats["requests"]
