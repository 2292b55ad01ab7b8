from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from postgres_server import PostgresServer
from sqlalchemy import make_url

from promptprop.adapters.jobs.executors import Roster, checked, host
from promptprop.domain.errors import NotWritable, UsageError

HOLD = "import sys, pathlib; from promptprop.adapters.jobs.executors import Roster; Roster('sqlite:///runs.db', pathlib.Path(sys.argv[1])).take(); print('held', flush=True); sys.stdin.read()"  # noqa: E501


def roster(folder: Path, url: str = "sqlite:///runs.db") -> Roster:
    return Roster(url, folder)


def test_the_first_free_slot_of_the_host_is_taken(tmp_path: Path) -> None:
    first, second = roster(tmp_path).take(), roster(tmp_path).take()
    assert [first.name, second.name] == [f"{host()}-0", f"{host()}-1"]
    first.close()
    assert roster(tmp_path).take().name == f"{host()}-0"


def test_a_slot_ends_with_the_process_that_holds_it_however_it_ends(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    assert roster(tmp_path).held() == [f"{host()}-0"]
    child.kill()
    child.communicate()
    assert roster(tmp_path).held() == []
    assert roster(tmp_path).known() == [f"{host()}-0"]


def test_the_wanted_number_is_waited_for(tmp_path: Path) -> None:
    held = roster(tmp_path).take(number=0)
    timer = threading.Timer(0.2, held.close)
    timer.start()
    assert roster(tmp_path).take(number=0).name == f"{host()}-0"


def test_another_slot_is_taken_where_the_wanted_number_stays_taken(tmp_path: Path) -> None:
    roster(tmp_path).take()
    assert roster(tmp_path).take(number=0, patience=0.0).name == f"{host()}-1"


def test_a_name_that_stays_taken_is_refused(tmp_path: Path) -> None:
    roster(tmp_path).take("pod-a")
    with pytest.raises(UsageError, match="pod-a") as refused:
        roster(tmp_path).take("pod-a", patience=0.0)
    assert "a name of its own" in refused.value.remedy


@pytest.mark.parametrize("name", ["", "-a", "../up", "a b", "a/b", "x" * 101, "ä"])
def test_what_is_no_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no name for an executor"):
        checked(name)
    with pytest.raises(UsageError, match="no name for an executor"):
        roster(tmp_path).take(name)


def test_whether_somebody_is_an_executor_can_be_asked_without_becoming_it(tmp_path: Path) -> None:
    assert roster(tmp_path / "absent").held() == []
    slot = roster(tmp_path).attempt("pod-a")
    assert slot is not None
    assert roster(tmp_path).held() == ["pod-a"]
    slot.close()
    assert roster(tmp_path).held() == []


def test_no_slots_are_known_where_none_was_taken(tmp_path: Path) -> None:
    assert roster(tmp_path / "absent").known() == []


def test_a_host_name_becomes_part_of_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "büro 7/a")
    assert host() == "b-ro-7-a"
    checked(f"{host()}-0")


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(Exception, match="file") as told:
        roster(tmp_path / "file" / "executors").attempt("pod-a")
    assert isinstance(told.value, NotWritable) or "cannot be stored" in str(told.value)


def test_on_a_server_hosts_with_one_name_are_told_apart(postgres_url: str, tmp_path: Path) -> None:
    here, there = roster(tmp_path / "here", postgres_url), roster(tmp_path / "there", postgres_url)
    first, second = here.take(), there.take()
    assert [first.name, second.name] == [f"{host()}-0", f"{host()}-1"]
    assert there.attempt(first.name) is None
    first.close()
    again = there.attempt(first.name)
    assert again is not None
    again.close()
    second.close()


def test_an_id_whose_connection_was_ended_is_held_anew_unless_somebody_else_has_it(
    postgres_server: PostgresServer, postgres_url: str, tmp_path: Path
) -> None:
    here = f"database = (SELECT oid FROM pg_database WHERE datname = '{make_url(postgres_url).database}')"
    end = f"SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = 'advisory' AND {here}"
    slot = roster(tmp_path / "here", postgres_url).take("pod-a")
    slot.keep()
    postgres_server.execute(end)
    slot.keep()
    there = roster(tmp_path / "there", postgres_url)
    assert there.attempt("pod-a") is None
    postgres_server.execute(end)
    other = there.take("pod-a")
    with pytest.raises(UsageError, match="another worker has become"):
        slot.keep()
    slot.close()
    other.close()
