from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from promptprop.adapters.storage.locks import run_lock
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


def test_a_second_process_is_told_who_holds_the_run(database_url: str) -> None:
    process = start_holder(database_url)
    with pytest.raises(RunLocked, match=f"process {process.pid} "), run_lock(database_url, "run-1"):
        pass
    with run_lock(database_url, "run-2"):
        process.communicate("\n", timeout=60)
    with run_lock(database_url, "run-1"):
        pass


def test_a_killed_holder_leaves_no_lock(database_url: str) -> None:
    process = start_holder(database_url)
    process.kill()
    process.communicate(timeout=60)
    with run_lock(database_url, "run-1"):
        pass


def test_a_second_holder_in_one_process_is_refused(database_url: str) -> None:
    with (
        run_lock(database_url, "run-1"),
        pytest.raises(RunLocked, match=str(os.getpid())),
        run_lock(database_url, "run-1"),
    ):
        pass
    with run_lock(database_url, "run-1"):
        pass


def test_a_stale_lock_file_is_harmless(database_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "state" / "locks"
    folder.mkdir(parents=True)
    (folder / "run-1.lock").write_text("999999999999")
    with run_lock(database_url, "run-1"):
        assert (folder / "run-1.lock").read_text() == str(os.getpid())


def test_a_run_id_never_leaves_the_folder_of_locks(database_url: str, tmp_path: Path) -> None:
    with run_lock(database_url, "../../escape"):
        [file] = (tmp_path / "state" / "locks").iterdir()
    assert file.name.endswith(".lock")


@pytest.mark.skipif("PROMPTPROP_TEST_POSTGRES_URL" not in os.environ, reason="needs a PostgreSQL database")
def test_a_server_tells_which_process_holds_the_run() -> None:
    url = os.environ["PROMPTPROP_TEST_POSTGRES_URL"]
    with run_lock(url, "run-1"), pytest.raises(RunLocked, match=f"pid {os.getpid()} "), run_lock(url, "run-1"):
        pass
    with run_lock(url, "run-1"):
        pass
