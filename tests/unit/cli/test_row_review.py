"""A person at the terminal: what is shown of an invented row, and what each answer does."""

from __future__ import annotations

from pathlib import Path

import pytest

from promptprop.adapters.files.reviews import ReviewRow
from promptprop.cli.row_review import LONGEST, RowReview, shown
from promptprop.cli.shell import Shell
from promptprop.domain.errors import DataError
from promptprop.domain.models import Json

ROWS = [
    ReviewRow({"id": "a", "text": "first\x1b[31m", "label": "x"}, kind="edge", why="odd", doubts=("scores 0.2",)),
    ReviewRow({"id": "b", "text": "done"}, "accepted"),
    ReviewRow({"id": "c", "text": "third"}),
]


def doubts(row: dict[str, Json]) -> tuple[str, ...]:
    if "text" not in row:
        raise DataError("the column 'text' is missing")
    return ("still odd",)


def reviewed(*lines: str) -> tuple[list[ReviewRow], list[list[str]]]:
    """The rows after a person has typed these lines, and the decisions each time they were kept."""
    typed = [f"{line}\n" for line in lines]
    kept: list[list[str]] = []
    review = RowReview(
        Shell(asks=True, colour=False), list(ROWS), lambda rows: kept.append([row.review for row in rows]), doubts,
        lambda row: str(row.row["id"]), lambda: typed.pop(0) if typed else "",
    )  # fmt: skip
    review.run()
    return review.rows, kept


def test_rows_that_are_pending_are_asked_about_and_each_answer_is_kept_at_once() -> None:
    rows, kept = reviewed("a", "Reject")
    assert [row.review for row in rows] == ["accepted", "accepted", "rejected"]
    assert kept == [["accepted", "accepted", "pending"], ["accepted", "accepted", "rejected"]]


@pytest.mark.parametrize("lines", [("q",), (), ("s", "quit"), ("what?", "s", "s")])
def test_who_skips_or_quits_decides_nothing(lines: tuple[str, ...]) -> None:
    rows, kept = reviewed(*lines)
    assert (rows, kept) == (ROWS, [])


def test_a_row_is_shown_with_reason_and_doubts_and_without_what_moves_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    reviewed("q")
    said = capsys.readouterr().err
    for part in ("a · edge · 1 of 2", "why", "odd", "doubt", "scores 0.2", "first", "[a]ccept"):
        assert part in said
    assert "\x1b" not in said
    assert shown("x" * (LONGEST + 1)).endswith("… (2,001 characters)")
    assert shown({"a": 1}) == '{"a": 1}'


def edit(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """Let this be the person's editor."""
    editor = folder / "editor.sh"
    editor.write_text(f"#!/bin/sh\n{script}\n")
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(editor))


def test_an_edited_row_stays_to_be_decided_with_what_now_speaks_against_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    edit(monkeypatch, tmp_path, """sed -i 's/"label": "x"/"label": "y"/' "$1" """)
    rows, kept = reviewed("e", "a", "q")
    assert (rows[0].row["label"], rows[0].doubts, rows[0].review) == ("y", ("still odd",), "accepted")
    assert len(kept) == 2


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("true", "nothing was changed"),
        ("false", "ended with an error"),
        ('echo "{" > "$1"', "that cannot stand"),
        ("""sed -i 's/"text"/"txt"/' "$1" """, "that cannot stand: the column 'text' is missing"),
    ],
)
def test_an_edit_that_is_none_leaves_the_row_as_it_was(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], script: str, said: str
) -> None:
    edit(monkeypatch, tmp_path, script)
    rows, kept = reviewed("e", "q")
    assert (rows, kept) == (ROWS, [])
    assert said in capsys.readouterr().err


def test_an_editor_that_is_not_there_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VISUAL", "/nowhere/editor")
    reviewed("e", "q")
    assert "cannot be started" in capsys.readouterr().err
