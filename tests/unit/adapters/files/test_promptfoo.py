"""Tests of promptfoo: which files are followed, and what becomes of assertions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from promptprop.adapters.files.imported import Imported
from promptprop.adapters.files.promptfoo import read_promptfoo
from promptprop.domain.errors import DataError


def read(folder: Path, contents: str, name: str = "a.yaml") -> Imported:
    (folder / name).write_text(contents)
    found = Imported("promptfoo")
    read_promptfoo(folder / name, found)
    return found


def row(folder: Path, test: str, name: str = "a.yaml") -> dict[str, Any]:
    """The one row of a test, its id apart."""
    (found,) = read(folder, f"tests: [{test}]", name).rows
    return {name: value for name, value in found.items() if name != "id"}


PROMPTFOO = """
prompts: [x]
defaultTest:
  vars: {tone: kind}
  assert: [{type: not-contains, value: sorry}]
tests:
  - vars: {text: where is it}
    assert:
      - {type: equals, value: delivery}
      - {type: llm-rubric, value: is polite}
  - vars: {text: refund me, tone: firm}
    assert:
      - {type: contains, value: returns}
      - {type: icontains-any, value: [billing, money]}
      - {type: javascript, value: x}
  - description: no vars
"""


def test_tests_of_promptfoo_become_rows_with_what_is_expected_and_what_is_not(tmp_path: Path) -> None:
    found = read(tmp_path, PROMPTFOO)
    one, two = found.rows
    assert one == {
        "id": "row-00001", "tone": "kind", "text": "where is it", "expected": "delivery",
        "hard_negatives": [{"literal": "sorry"}], "criteria": "is polite",
    }  # fmt: skip
    assert (two["tone"], two["expected"]) == ("firm", ["returns", "billing", "money"])
    assert found.left_out == {"the assertion javascript": 1, "a test without vars": 1}


def test_tests_in_a_file_of_their_own_are_followed(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("- vars: {x: 1}\n")
    (tmp_path / "c.json").write_text('{\n\t"tests": [{"vars": {"x": 2}}]\n}')
    (tmp_path / "d.jsonl").write_text('{"vars": {"x": 3}}\n')
    (tmp_path / "e1.csv").write_text("x,__expected\n4,equals: hi\n")
    (tmp_path / "e2.csv").write_text("x\n5\n")
    for name, numbers in (("b.yaml", [1]), ("c.json", [2]), ("d.jsonl", [3]), ("e*.csv", ["4", "5"])):
        assert [one["x"] for one in read(tmp_path, f"tests: file://{name}").rows] == numbers
    several = (
        "tests:\n- file://b.yaml\n- vars: {x: 0}\n- file://e2.csv\n- file://make.py:rows\n- https://docs.google.com/x"
    )
    found = read(tmp_path, several)
    assert [one["x"] for one in found.rows] == [1, 0, "5"]
    assert found.left_out == {"the tests of make.py:rows": 1, "the tests of https://docs.google.com/x": 1}


def test_what_all_tests_are_given_goes_along_to_files_of_tests(tmp_path: Path) -> None:
    shared = "defaultTest: {vars: {tone: kind}, assert: [{type: llm-rubric, value: polite}]}\n"
    (tmp_path / "b.yaml").write_text("- vars: {x: 1}\n")
    (tmp_path / "c.csv").write_text("x,__expected\n2,hi\n")
    found = read(tmp_path, f"{shared}tests: [file://b.yaml, file://c.csv]")
    assert found.rows == [
        {"id": "row-00001", "tone": "kind", "x": 1, "criteria": "polite"},
        {"id": "row-00002", "tone": "kind", "x": "2", "expected": "hi", "criteria": "polite"},
    ]


def test_a_file_that_is_named_and_not_there_is_told_with_who_names_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.csv: there is no such file, and .*a\.yaml names it"):
        read(tmp_path, "tests: file://gone.csv")


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"a.yaml": "a.yaml"}, "a.yaml"),
        ({"a.yaml": "b.yaml", "b.yaml": "./a.yaml"}, "a.yaml"),
        ({"a.yaml": "b.yaml", "b.yaml": "c.yaml", "c.yaml": "b.yaml"}, "b.yaml"),
    ],
)
def test_tests_that_lead_in_a_circle_are_refused(tmp_path: Path, files: dict[str, str], named: str) -> None:
    for name, target in files.items():
        (tmp_path / name).write_text(f"tests: file://{target}")
    with pytest.raises(DataError, match="lead back to this file") as caught:
        read_promptfoo(tmp_path / "a.yaml", Imported("promptfoo"))
    (problem,) = caught.value.problems
    assert problem.place is not None
    assert (Path(problem.place.file).name, problem.remedy) == (
        named,
        "let the last file that is named hold the tests themselves",
    )


def test_values_are_read_as_javascript_reads_them(tmp_path: Path) -> None:
    test = "{vars: {when: 2024-01-02, at: 12:30:00, many: 1_000, number: 5, real: true, said: no, none: }}"
    assert row(tmp_path, test) == {
        "when": "2024-01-02", "at": "12:30:00", "many": "1_000", "number": 5, "real": True, "said": "no", "none": "",
    }  # fmt: skip
    found = read(tmp_path, "x: &x {a: b}\ntests:\n- vars: *x\n- vars: {<<: *x, c: d}\n")
    assert [{name: one[name] for name in one if name != "id"} for one in found.rows] == [
        {"a": "b"}, {"a": "b", "c": "d"},
    ]  # fmt: skip


def test_what_json_cannot_hold_is_left_out_and_told(tmp_path: Path) -> None:
    found = read(tmp_path, "tests:\n- vars: {b: !!binary aGk=, a: &a [*a], x: 1, doc: 'file://doc.txt'}\n")
    assert found.rows == [{"id": "row-00001", "x": 1, "doc": "file://doc.txt"}]
    assert [what.partition(":")[0] for what in found.left_out] == [
        "what the file of doc holds", "a value of b", "a value of a",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("asserts", "known"),
    [
        ("{type: equals, value: no}", {"expected": "no"}),
        ("{type: equals}", {}),
        ("[{type: equals, value: '{{ q }}'}]", {"expected": "hi"}),
        ("[{type: contains, value: 'say {{ q }}'}]", {"expected": "say hi"}),
        ("[{type: contains-any, value: ['{{ q }}', b]}]", {"expected": ["hi", "b"]}),
        ("[{type: equals, value: '{{ other }}'}]", {}),
        ("[{type: not-contains, value: sorry}]", {"hard_negatives": [{"literal": "sorry"}]}),
        ("[{type: [odd], value: 1}, text, {}]", {}),
        ("5", {}),
        ("text", {}),
    ],
)
def test_assertions_of_any_shape_are_taken_or_told(tmp_path: Path, asserts: str, known: dict[str, Any]) -> None:
    test = f"{{vars: {{q: hi}}, assert: {asserts}}}"
    assert row(tmp_path, test) == {"q": "hi", **known}
    assert bool(read(tmp_path, f"tests: [{test}]").left_out) == (not known)


def test_cells_of_csv_are_assertions_and_columns_with_underscores_no_variables(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "q,__expected1,__expected2,__description\n"
        "a,llm-rubric: is polite,icontains: yes,why\n"
        'b,"contains-any: x, y",,\n'
        "c,Note: all is well,,\n"
        "d,similar(0.8): z,,\n"
    )
    found = read(tmp_path, "tests: file://t.csv")
    assert [{name: one[name] for name in one if name != "id"} for one in found.rows] == [
        {"q": "a", "expected": "yes", "criteria": "is polite"},
        {"q": "b", "expected": ["x", "y"]},
        {"q": "c", "expected": "Note: all is well"},
        {"q": "d"},
    ]
    assert found.left_out == {"the column __description": 4, "the assertion similar": 1}


@pytest.mark.parametrize(
    ("name", "contents", "said"),
    [
        ("a.yaml", "", "there is no list of tests"),
        ("a.yaml", "a: [\nb", "a.yaml:2:2: this is no YAML"),
        ("a.yaml", "x: !!python/object/apply:os.system [echo]", "a.yaml:1:4: this is no YAML that can be read"),
        ("a.yaml", "[" * 3000, "nested too deeply"),
        ("a.json", '{"tests":\n}', "a.json:2:1: this is no JSON"),
        ("a.json", "[" * 100_000, "nested too deeply"),
        ("a.yaml", "defaultTest: file://x.yaml\ntests: 5", "no list of tests"),
    ],
)
def test_what_is_no_file_of_tests_is_refused_at_its_place(tmp_path: Path, name: str, contents: str, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        read(tmp_path, contents, name)
    assert caught.value.problems[0].remedy
