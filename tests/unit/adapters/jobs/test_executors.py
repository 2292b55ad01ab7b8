from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from promptprop.adapters.jobs.executors import checked, held_slots, host, is_held, known_slots, take_slot, try_slot
from promptprop.domain.errors import NotWritable, UsageError

HOLD = "import sys, pathlib; from promptprop.adapters.jobs.executors import take_slot; take_slot(pathlib.Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"  # noqa: E501


def test_the_first_free_slot_of_the_host_is_taken(tmp_path: Path) -> None:
    first, second = take_slot(tmp_path), take_slot(tmp_path)
    assert [first.name, second.name] == [f"{host()}-0", f"{host()}-1"]
    first.close()
    assert take_slot(tmp_path).name == f"{host()}-0"


def test_a_slot_ends_with_the_process_that_holds_it_however_it_ends(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    assert held_slots(tmp_path) == [f"{host()}-0"]
    child.kill()
    child.communicate()
    assert held_slots(tmp_path) == []
    assert known_slots(tmp_path) == [f"{host()}-0"]


def test_the_wanted_number_is_waited_for(tmp_path: Path) -> None:
    held = take_slot(tmp_path, number=0)
    timer = threading.Timer(0.2, held.close)
    timer.start()
    assert take_slot(tmp_path, number=0).name == f"{host()}-0"


def test_another_slot_is_taken_where_the_wanted_number_stays_taken(tmp_path: Path) -> None:
    take_slot(tmp_path)
    assert take_slot(tmp_path, number=0, patience=0.0).name == f"{host()}-1"


def test_a_name_that_stays_taken_is_refused(tmp_path: Path) -> None:
    take_slot(tmp_path, "pod-a")
    with pytest.raises(UsageError, match="pod-a") as refused:
        take_slot(tmp_path, "pod-a", patience=0.0)
    assert "a name of its own" in refused.value.remedy


@pytest.mark.parametrize("name", ["", "-a", "../up", "a b", "a/b", "x" * 101, "ä"])
def test_what_is_no_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no name for an executor"):
        checked(name)
    with pytest.raises(UsageError, match="no name for an executor"):
        take_slot(tmp_path, name)


def test_whether_somebody_is_an_executor_can_be_asked_without_becoming_it(tmp_path: Path) -> None:
    assert not is_held(tmp_path / "absent", "pod-a")
    slot = try_slot(tmp_path, "pod-a")
    assert slot is not None
    assert is_held(tmp_path, "pod-a")
    slot.close()
    assert not is_held(tmp_path, "pod-a")


def test_no_slots_are_known_where_none_was_taken(tmp_path: Path) -> None:
    assert known_slots(tmp_path / "absent") == []


def test_a_host_name_becomes_part_of_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "büro 7/a")
    assert host() == "b-ro-7-a"
    checked(f"{host()}-0")


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(Exception, match="file") as told:
        try_slot(tmp_path / "file" / "executors", "pod-a")
    assert isinstance(told.value, NotWritable) or "cannot be stored" in str(told.value)
