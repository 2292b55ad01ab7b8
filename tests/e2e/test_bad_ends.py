"""Everything that can end a run badly: one clear error, the documented exit code, and a way to go on."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from runs_over_http import (
    ROOT,
    committed,
    comparable_report,
    database_in,
    end,
    integrity,
    left_behind,
    optimize,
    resume,
    run,
    start,
    write_config,
)
from world_server import WorldProcess

from promptprop.domain.errors import StorageFull, UnknownModel

QUICKSTART = str(ROOT / "configs" / "quickstart.yaml")
OFFLINE = ["tracking.mlflow=false", "optimizer.options.rounds=1"]
TMPFS = "a tmpfs needs root and the right to mount"


def closed_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def errors_in(text: str) -> int:
    """How many errors a command has shown."""
    return sum(line.startswith("error:") for line in text.splitlines())


@pytest.mark.slow
def test_an_unreachable_endpoint_stops_the_run_with_one_error_and_it_goes_on_once_the_server_is_up(
    tmp_path: Path,
) -> None:
    port = closed_port()
    url = f"http://127.0.0.1:{port}/v1"
    config = write_config(tmp_path, url, rows=60, model={"retries": 1, "timeout": 5, "patience": 3})
    database = database_in(tmp_path)
    code, out, err = run("optimize", str(config), "--db", database, folder=tmp_path)
    assert code == 4, err
    assert errors_in(err) == 1
    assert url in err
    assert "Traceback" not in err
    assert "--retry-errors" in err
    assert not committed(tmp_path / "runs.db")

    with WorldProcess(port=port) as world:
        resumed = ("runs", "resume", "latest", "--retry-errors", "--db", database, "--json", "-q")
        code, out, err = run(*resumed, folder=tmp_path)
        assert code == 0, err
        report = json.loads(out)
        assert report["status"] == "finished"
        assert report["spend"]["total"]["calls"] == world.stats()["requests"]


async def test_an_unknown_model_stops_at_once_and_says_what_to_check(world: WorldProcess, tmp_path: Path) -> None:
    config = write_config(tmp_path, world.url, rows=60, model={"concurrency": 4})
    with pytest.raises(UnknownModel) as caught:
        await optimize(config, database_in(tmp_path), ["models.task.model=openai/no-such-model"])
    assert caught.value.exit_code == 2
    assert "no-such-model" in caught.value.message
    assert "spelling" in caught.value.remedy
    assert world.stats()["requests"] <= 8, "a model that does not exist was asked again and again"


@pytest.mark.slow
def test_a_key_that_is_refused_stops_at_once_and_names_its_variable(world: WorldProcess, tmp_path: Path) -> None:
    config = write_config(tmp_path, world.url, rows=60, model={"concurrency": 4})
    world.fail_share(1.0, [{"kind": "unauthorized"}])
    code, out, err = run("optimize", str(config), "--db", database_in(tmp_path), "--json", "-q", folder=tmp_path)
    assert code == 2, err
    error = json.loads(out)["error"]
    assert error["code"] == "authentication_failed"
    assert "OPENAI_API_KEY" in error["remedy"]
    assert world.quiet_stats()["requests"] <= 8
    world.heal()
    code, out, err = run("runs", "resume", "latest", "--db", database_in(tmp_path), "--json", "-q", folder=tmp_path)
    assert code == 0, err
    assert json.loads(out)["status"] == "finished"


@pytest.mark.slow
def test_an_address_that_was_wrong_is_mended_in_the_configuration_and_the_run_taken_up_with_it(
    world: WorldProcess, tmp_path: Path
) -> None:
    config = write_config(tmp_path, world.url.replace("/v1", "/nowhere/v1"), rows=60)
    database = database_in(tmp_path)
    code, _, err = run("optimize", str(config), "--db", database, folder=tmp_path)
    assert code == 2, err
    assert errors_in(err) == 1
    assert "optimize CONFIG --resume" in err
    write_config(tmp_path, world.url, rows=60)
    resumed = ("optimize", str(config), "--resume", "latest", "--db", database, "--json", "-q")
    code, out, err = run(*resumed, folder=tmp_path)
    assert code == 0, err
    assert json.loads(out)["status"] == "finished"


async def test_an_answer_that_no_database_can_hold_is_stored_mended_and_the_run_finishes(
    world: WorldProcess, tmp_path: Path
) -> None:
    world.fail_at({3: {"kind": "surrogate"}, 6: {"kind": "nul"}, 40: {"kind": "surrogate"}})
    report = await optimize(write_config(tmp_path, world.url, rows=60), database_in(tmp_path))
    assert report.history.finished
    assert world.stats()["faults"] == {"surrogate": 2, "nul": 1}
    assert report.history.spend.total.calls == world.stats()["requests"]
    with closing(sqlite3.connect(tmp_path / "runs.db")) as connection, connection:
        replies = [text for (text,) in connection.execute("SELECT reply FROM calls WHERE reply LIKE '%\ufffd%'")]
    connection.close()
    assert sorted(replies) == ["a\ufffdb", "caf\ufffd", "caf\ufffd"]
    assert integrity(tmp_path / "runs.db") == "ok"


@contextmanager
def room_for(pages: int) -> Iterator[None]:
    """Every database opened meanwhile may grow to so many pages: then SQLite itself says that the disk is full."""

    def limit(connection: Any, _record: Any) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}").fetchone()

    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", limit)
    try:
        yield
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "connect", limit)


async def test_a_full_disk_is_one_clear_error_and_the_run_goes_on_after_space_is_made(tmp_path: Path) -> None:
    file, database = tmp_path / "runs.db", database_in(tmp_path)
    whole = await optimize(Path(QUICKSTART), database_in(tmp_path, "whole.db"), OFFLINE)
    with room_for(pages=200), pytest.raises(StorageFull) as caught:
        await optimize(Path(QUICKSTART), database, OFFLINE)
    assert caught.value.exit_code == 2
    assert "free some space" in caught.value.remedy
    kept = committed(file)
    assert 100 < kept.total() < committed(tmp_path / "whole.db").total()
    assert integrity(file) == "ok"

    report = await resume(database)
    assert report.history.finished
    assert comparable_report(report) == comparable_report(whole)
    assert not kept - committed(file), "a committed call is gone"


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of this size; skips where it cannot be made."""
    if os.geteuid() != 0:
        pytest.skip(TMPFS)
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip(f"{TMPFS}: {made.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.slow
def test_a_file_system_that_fills_up_ends_the_command_with_one_error_and_the_run_goes_on_on_a_larger_one(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "disk", 2) as disk:
        database, file = database_in(disk), disk / "runs.db"
        code, _, err = run("optimize", QUICKSTART, "--set", "tracking.mlflow=false", "--db", database, folder=tmp_path)
        assert code == 2, err
        assert errors_in(err) == 1
        assert "full" in err
        assert "Traceback" not in err
        kept = committed(file)
        assert kept.total() > 100
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        code, out, err = run("runs", "resume", "latest", "--db", database, "--json", "-q", folder=tmp_path)
        assert code == 0, err
        assert json.loads(out)["status"] == "finished"
        assert not kept - committed(file), "a committed call is gone"
        assert integrity(file) == "ok"


def test_a_database_from_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "runs.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")
        connection.execute("CREATE TABLE run_calls (anything TEXT)")
    connection.close()
    before = file.read_bytes()
    code, _, err = run("optimize", QUICKSTART, "--db", f"sqlite:///{file}", folder=tmp_path)
    assert code == 2
    assert errors_in(err) == 1
    assert "newer version" in err
    assert file.read_bytes() == before


def test_a_database_below_a_regular_file_is_refused_with_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    database = f"sqlite:///{tmp_path / 'file' / 'runs.db'}"
    code, _, err = run("optimize", QUICKSTART, "--db", database, folder=tmp_path)
    assert code == 2
    assert errors_in(err) == 1
    assert str(tmp_path / "file") in err
    assert "Traceback" not in err


@pytest.mark.slow
def test_one_interrupt_stops_in_good_order_and_nothing_committed_is_sent_again(tmp_path: Path) -> None:
    database, file = database_in(tmp_path), tmp_path / "runs.db"
    with WorldProcess(latency=(0.0, 0.02), seed=3) as world:
        config = write_config(tmp_path, world.url, rows=60)
        process = start("optimize", str(config), "--db", database, folder=tmp_path)
        world.kill_at(process.pid, 60, number=signal.SIGINT)
        code, _, err = end(process)
        assert code == 130, err
        assert "runs resume" in err
        assert "Traceback" not in err
        stopped, kept = world.quiet_stats(), left_behind(file)
        assert Counter(stopped["questions"]) == kept, "a call in flight was not waited for, or not recorded"

        code, out, err = run("runs", "resume", "latest", "--db", database, "--json", "-q", folder=tmp_path)
        assert code == 0, err
        resumed = json.loads(out)
        sent = Counter(world.quiet_stats()["questions"]) - Counter(stopped["questions"])
        assert sent == committed(file) - kept
        assert resumed["spend"]["total"]["calls"] == world.stats()["requests"]
        assert resumed["status"] == "finished"
