"""The summary of a step: added to, never over its limit, and a warning where it cannot be written."""

from __future__ import annotations

from pathlib import Path

from promptprop.adapters.files.step_summary import LONGEST, VARIABLE, add_to_summary


def render(room: int) -> str:
    return ("é" * 100_000)[:room]


def test_nothing_is_written_where_no_summary_is_named() -> None:
    assert add_to_summary(render, {}) == ""
    assert add_to_summary(render, {VARIABLE: ""}) == ""


def test_what_others_wrote_stays_before_it(tmp_path: Path) -> None:
    file = tmp_path / "summary"
    assert add_to_summary(lambda _: "# one\n", {VARIABLE: str(file)}) == ""
    assert add_to_summary(lambda _: "# two\n", {VARIABLE: str(file)}) == ""
    assert file.read_text() == "# one\n\n# two\n"
    file.write_bytes(b"no line end \xff")
    assert add_to_summary(lambda _: "# three\n", {VARIABLE: str(file)}) == ""
    assert file.read_bytes() == b"no line end \xff\n\n# three\n"


def test_it_takes_no_more_room_than_is_left(tmp_path: Path) -> None:
    file = tmp_path / "summary"
    for held in (0, LONGEST - 300_000, LONGEST - 100_000, LONGEST - 1_000):
        file.write_bytes(b"x" * held)
        assert add_to_summary(render, {VARIABLE: str(file)}) == ""
        assert held < file.stat().st_size <= LONGEST
        assert file.read_bytes()[:held] == b"x" * held
        assert file.read_bytes()[held:].decode().strip("\n\u00e9") == ""


def test_a_full_or_unwritable_summary_is_told_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "summary"
    file.write_bytes(b"x" * (LONGEST - 400))
    assert "is full" in add_to_summary(render, {VARIABLE: str(file)})
    assert file.stat().st_size == LONGEST - 400
    assert "cannot be written: No such file" in add_to_summary(render, {VARIABLE: str(tmp_path / "no" / "file")})
    assert "cannot be written: Is a directory" in add_to_summary(render, {VARIABLE: str(tmp_path)})
