"""Review files: read back as written, every bad line told at once; accepted rows put to a dataset once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from promptprop.adapters.files.datasets import Columns, read_examples
from promptprop.adapters.files.reviews import ReviewRow, add_rows, read_review, write_review
from promptprop.domain.errors import DataError, UsageError

ROWS = [
    ReviewRow({"id": "a", "text": "ä\nb"}, "pending", "edge", "why", ("doubt",)),
    ReviewRow({"id": "b", "text": "c"}, "accepted"),
]


def test_rows_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "x.review.jsonl"
    write_review(file, ROWS)
    assert read_review(file) == ROWS
    assert "ä" in file.read_text("utf-8")
    assert ROWS[0].decided("rejected").review == "rejected"


def test_every_line_that_is_no_row_under_review_is_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    lines = [
        '{"text": "a row of data"}',
        "not json",
        "",
        '{"review": "maybe", "row": {}}',
        "[1]",
        '{"review": "pending", "row": {}}',
    ]
    file.write_text("\n".join(lines), "utf-8")
    with pytest.raises(DataError) as refused:
        read_review(file)
    said = [problem.message for problem in refused.value.problems]
    assert sorted(one.split(":")[0] for one in said) == [f"x.jsonl, line {n}" for n in (1, 2, 4, 5)]
    file.write_text("version: 1\nname: x\n", "utf-8")
    with pytest.raises(DataError, match=r"x\.jsonl is no review file"):
        read_review(file)


@pytest.mark.parametrize("contents", [None, b"\xff\xfe{}"])
def test_a_file_that_cannot_be_read_is_one_clear_error(tmp_path: Path, contents: bytes | None) -> None:
    file = tmp_path / "x.jsonl"
    if contents is not None:
        file.write_bytes(contents)
    with pytest.raises(DataError, match="cannot be read"):
        read_review(file)
    with pytest.raises(DataError, match="cannot be read"):
        read_review(tmp_path)


def test_a_review_file_is_no_dataset(tmp_path: Path) -> None:
    write_review(tmp_path / "x.jsonl", ROWS)
    with pytest.raises(DataError, match="the column 'text' is missing"):
        list(read_examples(str(tmp_path / "x.jsonl"), Columns(("text",))))


def test_rows_are_put_at_the_end_of_a_dataset_once_whatever_its_last_line_ends_with(tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    file.write_text('{"id": 1, "text": "old"}', "utf-8")
    new = [{"id": "1", "text": "the same id"}, {"id": "2", "text": "new"}, {"id": "2", "text": "again"}]
    assert add_rows(file, new, "id") == 1
    assert add_rows(file, new, "id") == 0
    assert [json.loads(line)["text"] for line in file.read_text("utf-8").splitlines()] == ["old", "new"]


def test_without_ids_rows_are_told_apart_by_all_that_they_hold_and_a_file_is_made(tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    assert add_rows(file, [{"text": "a"}, {"text": "a"}, {"text": "a", "x": 1}], None) == 2
    assert add_rows(file, [{"x": 1, "text": "a"}], None) == 0


def test_other_formats_and_broken_datasets_are_refused_and_left_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="JSON Lines"):
        add_rows(tmp_path / "data.csv", [{"text": "a"}], None)
    file = tmp_path / "data.jsonl"
    file.write_text("{broken\n", "utf-8")
    with pytest.raises(DataError, match="line 1: no JSON object"):
        add_rows(file, [{"text": "a"}], None)
    assert file.read_text("utf-8") == "{broken\n"
