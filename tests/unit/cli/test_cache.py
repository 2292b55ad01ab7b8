"""The ledger from the command line: --cache, `cache stats`, `cache prune`, `db backup`, `db upgrade`."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from promptprop.adapters.storage.store import open_store
from promptprop.bootstrap.assembly import cache_of
from promptprop.domain.models import Attempts, Message, ModelRequest, Reply, Usage
from promptprop.ports import RunRow

GOLDEN = Path(__file__).parent / "golden"
NOON = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)
DATABASE = ".promptprop/promptprop.db"


def request_to(model: str, text: str) -> ModelRequest:
    return ModelRequest("task", model, (Message("user", text),))


async def fill(url: str) -> None:
    """Two runs: `kept` paid for two calls and took one from `gone`, which was removed and leaves two more behind."""
    with closing(open_store(url)) as store:
        for run_id in ("kept", "gone"):
            await store.create_run(RunRow(run_id, run_id, "evaluate", "finished", 7, NOON, NOON, {}, "d"))
        calls = [("gone", "openai/small", "a"), ("gone", "openai/small", "b"), ("gone", "local/model", "c")]
        for run_id, model, text in [*calls, ("kept", "openai/small", "d"), ("kept", "openai/small", "e")]:
            price = 1_500_000_000 if model.startswith("openai") else None
            reply = Reply(text, Usage(100, 20), price, "stop", model)
            await store.record_call(run_id, request_to(model, text), reply, Attempts())
        hit = request_to("openai/small", "a")
        found = store.find_call("kept", hit.key)
        assert found is not None
        await store.pin_call("kept", hit, found)
        await store.delete_run("gone")


@pytest.fixture
def filled(cli_project: Path) -> Path:
    """A project whose database holds five calls, two of them prunable."""
    asyncio.run(fill(f"sqlite:///{cli_project / DATABASE}"))
    return cli_project


def test_the_cache_is_counted(filled: Path, run_cli: Any) -> None:
    ended = run_cli("cache", "stats")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0].startswith("database")
    assert str(filled / DATABASE) in ended.out.replace("\n", "").replace(" ", "")
    golden = (GOLDEN / "cache_stats.txt").read_text("utf-8")
    assert "\n".join(lines[next(i for i, line in enumerate(lines) if line.startswith("calls")) :]) + "\n" == golden


def test_the_cache_is_counted_for_programs(filled: Path, run_cli: Any) -> None:
    found = run_cli("cache", "stats", "--json").json
    assert found.pop("size_bytes") > 10_000
    assert found.pop("database") == f"sqlite:///{filled / DATABASE}"
    price = {"calls": 4, "tokens": 480, "usd": "0.006", "unpriced_calls": 0}
    other = {"calls": 1, "tokens": 120, "usd": None, "unpriced_calls": 1}
    assert found == {
        "calls": 5, "tokens": 600, "usd": "0.006", "unpriced_calls": 1, "shared": 5, "pinned": 3, "prunable": 2,
        "saved": {"calls": 1, "tokens": 120, "usd": "0.0015", "unpriced_calls": 0},
        "models": [
            {"model": "openai/small", **price, "prunable": 1, "pinned": 3},
            {"model": "local/model", **other, "prunable": 1, "pinned": 0},
        ],
    }  # fmt: skip


@pytest.mark.parametrize("words", [["cache", "stats"], ["cache", "prune", "-y"], ["db", "backup"]])
def test_without_a_database_nothing_is_created(words: list[str], cli_project: Path, run_cli: Any) -> None:
    ended = run_cli(*words, "--json")
    assert ended.code == 2
    assert "there is no database" in ended.json["error"]["message"]
    assert not (cli_project / ".promptprop").exists()


def test_pruning_asks_first_and_where_nobody_can_be_asked_refuses(filled: Path, run_cli: Any) -> None:
    ended = run_cli("cache", "prune", "--json")
    assert ended.code == 2
    assert "2 calls that no run has consumed were not removed" in ended.json["error"]["message"]
    assert "-y" in ended.json["error"]["remedy"]
    dry = run_cli("cache", "prune", "--dry-run")
    assert (dry.code, dry.out.split(" (")[0]) == (0, "would remove 2 calls that no run has consumed")
    assert run_cli("cache", "stats", "--json").json["calls"] == 5


def test_pruning_removes_what_no_run_has_consumed_and_nothing_else(filled: Path, run_cli: Any) -> None:
    assert run_cli("cache", "prune", "--older-than", "1h", "-y", "--json").json["removed"] == 0
    assert run_cli("cache", "prune", "--model", "local/model", "-y", "--json").json["removed"] == 1
    done = run_cli("cache", "prune", "-y", "--json").json
    assert done.pop("freed_bytes") >= 0
    assert done == {
        "dry_run": False, "removed": 1, "note": "",
        "prunable": {"calls": 1, "tokens": 120, "usd": "0.0015", "unpriced_calls": 0},
    }  # fmt: skip
    found = run_cli("cache", "stats", "--json").json
    assert (found["calls"], found["pinned"], found["prunable"]) == (3, 3, 0)
    ended = run_cli("cache", "prune")
    assert (ended.code, ended.out) == (0, "nothing to remove: 0 calls that no run has consumed\n")
    assert run_cli("db", "check").code == 0


@pytest.mark.parametrize("age", ["30", "d", "-1d", "1.5d", "30y", "999999w", ""])
def test_an_age_that_is_none_is_refused(age: str, filled: Path, run_cli: Any) -> None:
    ended = run_cli("cache", "prune", f"--older-than={age}", "-y", "--json")
    assert ended.code == 2
    assert "--older-than" in ended.json["error"]["message"]


def test_a_backup_is_made_and_never_overwritten_unasked(filled: Path, run_cli: Any) -> None:
    ended = run_cli("db", "backup", "copy.db")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("ok: copy.db, ")
    before = (filled / "copy.db").read_bytes()
    refused = run_cli("db", "backup", "copy.db", "--json")
    assert (refused.code, refused.json["error"]["message"]) == (2, "copy.db exists already")
    assert (filled / "copy.db").read_bytes() == before
    assert run_cli("db", "backup", "copy.db", "-y").code == 0
    assert run_cli("cache", "stats", "--db", "sqlite:///copy.db", "--json").json["calls"] == 5
    found = run_cli("db", "backup", "--json").json
    assert Path(found["backup"]).parent == filled / ".promptprop/backups"
    assert found["size_bytes"] == Path(found["backup"]).stat().st_size


def test_a_backup_never_goes_to_a_device(filled: Path, run_cli: Any) -> None:
    ended = run_cli("db", "backup", os.devnull, "-y", "--json")
    assert ended.code == 2
    assert "is a device" in ended.json["error"]["message"]
    assert "-y" not in ended.json["error"]["remedy"]


def test_a_server_is_backed_up_by_its_own_tool(cli_project: Path, run_cli: Any) -> None:
    ended = run_cli("db", "backup", "--db", "postgresql://me:hunter2@127.0.0.1:1/runs", "--json")
    assert ended.code == 2
    assert "pg_dump" in ended.json["error"]["remedy"]
    assert "hunter2" not in ended.out + ended.err


def test_an_outdated_database_is_upgraded_on_request_and_copied_before(
    cli_project: Path, run_cli: Any, outdated: Callable[[Path], None]
) -> None:
    file = cli_project / DATABASE
    outdated(file)
    refused = run_cli("runs", "list", "--json")
    assert refused.code == 2
    assert refused.json["error"]["code"] == "database_outdated"
    assert "promptprop db upgrade" in refused.json["error"]["remedy"]
    kept = run_cli("db", "backup", "old.db", "--json").json
    assert kept["revision"] == "0001"
    ended = run_cli("db", "upgrade")
    assert ended.code == 0
    assert "from 0001" in ended.out
    [copy] = (file.parent / "backups").iterdir()
    assert str(copy) in ended.err
    again = run_cli("db", "upgrade", "--json").json
    assert again["backup"] is None
    assert again["before"] == again["revision"]
    assert run_cli("runs", "list", "--json").json == []


@pytest.fixture
def outdated() -> Callable[[Path], None]:
    """Makes a database at the first revision."""

    def make(file: Path) -> None:
        from alembic import command

        from promptprop.adapters.storage import migrate
        from promptprop.adapters.storage.connection import make_engine

        file.parent.mkdir()
        engine = make_engine(f"sqlite:///{file}", "migrate")
        with engine.begin() as connection:
            config = migrate._config(migrate.SCRIPTS)
            config.attributes["connection"] = connection
            command.upgrade(config, "0001")
        engine.dispose()

    return make


# --- --cache --------------------------------------------------------------------------------------------------------


def sums(project: Path) -> tuple[int, int, int]:
    """Calls stored, those that are shared, and hits."""
    with closing(sqlite3.connect(project / DATABASE)) as connection:
        calls = connection.execute("SELECT count(*), coalesce(sum(shared), 0) FROM calls").fetchone()
        hits = connection.execute("SELECT count(*) FROM run_calls WHERE NOT paid").fetchone()
    return (*calls, *hits)


def test_the_modes_of_the_cache_do_what_they_say(cli_project: Path, run_cli: Any) -> None:
    def spend(*words: str) -> int:
        ended = run_cli("eval", "small.yaml", "--split", "test", "--json", *words)
        assert ended.code == 0, ended.err
        return int(ended.json["spend"]["total"]["calls"])

    rows = spend()
    assert sums(cli_project) == (rows, rows, 0)
    assert spend() == 0
    assert spend("--cache", "off") == rows
    assert sums(cli_project) == (2 * rows, rows, rows)
    assert spend("--cache", "refresh") == rows
    assert sums(cli_project) == (3 * rows, 2 * rows, rows)
    assert spend("--cache", "read") == 0
    assert spend("--cache", "read", "--set", "models.task.max_tokens=65") == rows
    assert spend("--set", "models.task.max_tokens=65") == rows, "what `read` has asked answers nobody else"
    assert sums(cli_project) == (5 * rows, 3 * rows, 2 * rows)


def test_the_mode_of_a_run_is_stored_and_stays(cli_project: Path, run_cli: Any) -> None:
    ended = run_cli("optimize", "small.yaml", "--cache", "refresh", "--json", "-q")
    assert ended.code == 0, ended.err
    with closing(open_store(f"sqlite:///{cli_project / DATABASE}")) as store:
        assert store.run("latest").snapshot["options"] == {"cache": "refresh"}
    for words in (["optimize", "--resume", "latest"], ["optimize", "small.yaml", "--resume", "latest"]):
        refused = run_cli(*words, "--cache", "off", "--json")
        assert refused.code == 2
        assert "--cache cannot change a run that has begun" in refused.json["error"]["message"]


@pytest.mark.parametrize(
    ("options", "mode"), [({}, "read-write"), ({"cache": "off"}, "off"), ({"split": "all"}, "read-write")]
)
def test_a_resumed_run_keeps_its_mode_and_one_from_before_modes_shares(options: dict[str, str], mode: str) -> None:
    run = RunRow("r", "r", "evaluate", "stopped", 7, NOON, NOON, {"options": options}, "d")
    assert cache_of(run) == mode


@pytest.mark.parametrize("command", ["optimize", "eval"])
def test_a_mode_that_is_none_is_refused_before_anything_is_done(command: str, cli_project: Path, run_cli: Any) -> None:
    ended = run_cli(command, "small.yaml", "--cache", "readonly", "--json")
    assert ended.code == 2
    assert "read-write, read, off, refresh" in ended.json["error"]["remedy"]
    assert not (cli_project / ".promptprop").exists()
