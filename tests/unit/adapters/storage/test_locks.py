from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pytest
from postgres_server import plain

from promptprop.adapters.storage.locks import hold_name, run_holder, run_lock
from promptprop.domain.errors import RunLocked

HOLDER = (
    "import sys; from promptprop.adapters.storage.locks import run_lock\n"
    "with run_lock(sys.argv[1], 'run-1'): print('held', flush=True); sys.stdin.readline()"
)


def start_holder(url: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLDER, url]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_told_who_holds_the_run_and_since_when(any_database_url: str) -> None:
    process = start_holder(any_database_url)
    holder = rf"process {process.pid} on {socket.gethostname()[:30]}\S* \(since 20..-..-.. ..:..:.. UTC\) .* run-1"
    with pytest.raises(RunLocked, match=holder) as caught, run_lock(any_database_url, "run-1"):
        pass
    assert f"kill -INT {process.pid}" in caught.value.remedy
    assert "promptprop runs resume run-1" in caught.value.remedy
    with run_lock(any_database_url, "run-2"):
        process.communicate("\n", timeout=60)
    with run_lock(any_database_url, "run-1"):
        pass


def test_a_killed_holder_leaves_no_lock(any_database_url: str) -> None:
    process = start_holder(any_database_url)
    process.kill()
    process.communicate(timeout=60)
    if any_database_url.startswith("postgresql"):
        await_no_lock(any_database_url)
    with run_lock(any_database_url, "run-1"):
        pass


def await_no_lock(url: str) -> None:
    """Wait until the server has noticed that its client is gone."""
    held = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND database = %s"
    with psycopg.connect(plain(url)) as connection:
        here = connection.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone()
        while connection.execute(held, here).fetchone():
            connection.execute("SELECT pg_sleep(0.01)")


def test_a_second_holder_in_one_process_is_refused(any_database_url: str) -> None:
    with (
        run_lock(any_database_url, "run-1"),
        pytest.raises(RunLocked, match=str(os.getpid())),
        run_lock(any_database_url, "run-1"),
    ):
        pass
    with run_lock(any_database_url, "run-1"):
        pass


@pytest.mark.parametrize(
    "left", ["", "999999999999", '{"pid": 1, "host": "elsewhere", "since": "2020-01-01T00:00:00"}']
)
def test_a_lock_file_that_was_left_over_is_harmless(database_url: str, tmp_path: Path, left: str) -> None:
    folder = tmp_path / "state" / "locks"
    folder.mkdir(parents=True)
    (folder / "run-1.lock").write_text(left)
    with run_lock(database_url, "run-1"):
        assert json.loads((folder / "run-1.lock").read_text())["pid"] == os.getpid()
    assert (folder / "run-1.lock").read_text() == ""


@pytest.mark.parametrize(
    "content", [b"", b"4711", b"[]", b'{"pid": 1}', b'{"pid": "x", "host": 1, "since": 2}', b"\xff"]
)
def test_a_holder_that_has_not_said_its_name_is_another_process(
    database_url: str, tmp_path: Path, content: bytes
) -> None:
    with run_lock(database_url, "run-1"):
        (tmp_path / "state" / "locks" / "run-1.lock").write_bytes(content)
        with (
            pytest.raises(RunLocked, match="another process is working on the run run-1"),
            run_lock(database_url, "run-1"),
        ):
            pass


def test_a_run_id_never_leaves_the_folder_of_locks(database_url: str, tmp_path: Path) -> None:
    with run_lock(database_url, "../../escape"):
        [file] = (tmp_path / "state" / "locks").iterdir()
    assert file.name.endswith(".lock")


def test_a_failure_within_a_lock_comes_out_as_it_is(any_database_url: str) -> None:
    with pytest.raises(ZeroDivisionError), run_lock(any_database_url, "run-1"):
        raise ZeroDivisionError
    with run_lock(any_database_url, "run-1"):
        pass


def test_a_look_says_who_holds_a_run_and_takes_nothing(any_database_url: str) -> None:
    assert run_holder(any_database_url, "run-1") is None
    process = start_holder(any_database_url)
    held = run_holder(any_database_url, "run-1")
    assert held is not None
    assert f"process {process.pid} on" in held.message
    assert run_holder(any_database_url, "run-2") is None
    process.communicate("\n", timeout=60)
    if any_database_url.startswith("postgresql"):
        await_no_lock(any_database_url)
    assert run_holder(any_database_url, "run-1") is None


def test_a_look_makes_no_file(database_url: str, tmp_path: Path) -> None:
    assert run_holder(database_url, "run-1") is None
    assert not (tmp_path / "locks").exists()


def test_a_run_is_taken_although_others_look_at_it_all_the_time(database_url: str) -> None:
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.001):
            run_holder(database_url, "run-1")

    with run_lock(database_url, "run-1"):
        pass
    looker = threading.Thread(target=look)
    looker.start()
    try:
        for _ in range(100):
            with run_lock(database_url, "run-1"):
                assert run_holder(database_url, "run-1") is not None
    finally:
        over.set()
        looker.join()


def test_a_run_that_is_being_looked_at_is_waited_for(database_url: str, tmp_path: Path) -> None:
    with run_lock(database_url, "run-1"):
        pass
    with (tmp_path / "state" / "locks" / "run-1.lock").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        threading.Timer(0.05, lambda: fcntl.flock(file, fcntl.LOCK_UN)).start()
        with run_lock(database_url, "run-1"):
            pass


def test_a_lock_that_was_let_go_can_be_taken_at_once(any_database_url: str) -> None:
    for _ in range(20):
        with run_lock(any_database_url, "run-1"):
            pass


def test_a_name_that_was_let_go_can_be_held_at_once(postgres_url: str) -> None:
    for _ in range(20):
        held = hold_name(postgres_url, "a name")
        assert held is not None
        held.close()
