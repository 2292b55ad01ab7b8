"""Rows on their way from another tool."""

from __future__ import annotations

from pathlib import Path

import pytest

from promptprop.adapters.files.imported import Imported, records_of
from promptprop.domain.errors import DataError


def test_rows_are_numbered_and_what_is_empty_is_left_out() -> None:
    found = Imported("csv")
    found.add({"q": "a", "n": None}, expected=0, split="", hard_negatives=[], criteria=None)
    assert found.rows == [{"id": "row-00001", "q": "a", "n": "", "expected": 0}]
    assert list(found.inputs) == ["q", "n"]
    assert not found.left_out


def test_inputs_never_take_the_place_of_a_column_of_ours() -> None:
    found = Imported("promptfoo")
    for number in (1, 1):
        found.add({"id": number, "split": "odd", "expected": "x", 5: "five"}, expected="y")
    assert [row["id"] for row in found.rows] == ["row-00001", "row-00002"]
    assert found.rows[0] == {
        "id": "row-00001", "input_id": 1, "input_split": "odd", "input_expected": "x", "5": "five", "expected": "y",
    }  # fmt: skip
    assert found.renamed == {"id": "input_id", "split": "input_split", "expected": "input_expected"}


def test_what_json_cannot_hold_is_left_out_and_counted() -> None:
    found = Imported("hf")
    for _ in range(2):
        found.add({"q": "a", "score": float("nan")}, expected=b"x")
    assert found.rows[0] == {"id": "row-00001", "q": "a"}
    assert found.left_out == {
        "a value of score: nan is no number that JSON can hold": 2,
        "a value of expected: a value of type bytes cannot be put into a prompt": 2,
    }


def test_columns_that_only_some_rows_have_are_known() -> None:
    found = Imported("promptfoo")
    found.add({"q": "a", "tone": "kind"}, expected="x", criteria="polite")
    found.add({"q": "b"})
    assert found.gaps == {"tone": 1, "expected": 1}
    nothing_expected = Imported("csv")
    nothing_expected.add({"q": "a"})
    assert nothing_expected.gaps == {}


def test_records_are_objects_and_a_flaw_is_told_at_its_place(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n[2]\n{"a": \n')
    found = Imported("openai-evals")
    records = records_of(tmp_path / "a.jsonl", "jsonl", found)
    assert next(records) == {"a": 1}
    with pytest.raises(DataError, match=r"a\.jsonl:3:1: invalid JSON") as caught:
        next(records)
    assert caught.value.problems[0].remedy
    assert found.left_out == {"a row that is no object": 1}
