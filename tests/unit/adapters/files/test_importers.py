"""Rows of other tools: what becomes of them, and what is left out and told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from promptprop.adapters.files.importers import import_rows, kind_of
from promptprop.domain.errors import DataError

FEATURES = {
    "text": {"dtype": "string", "_type": "Value"},
    "label": {"names": ["bad", "good"], "_type": "ClassLabel"},
    "picture": {"_type": "Image"},
}


def save_to_disk(folder: Path, rows: list[dict[str, Any]], features: dict[str, Any] | None = None) -> None:
    """What `datasets.Dataset.save_to_disk` leaves: an Arrow stream, and what its columns are."""
    folder.mkdir(parents=True)
    table = pa.Table.from_pylist(rows)
    with (
        pa.OSFile(str(folder / "data-00000-of-00001.arrow"), "wb") as sink,
        pa.ipc.new_stream(sink, table.schema) as out,
    ):
        out.write_table(table)
    (folder / "dataset_info.json").write_text(json.dumps({"features": features or {}}))


def test_a_dataset_of_hugging_face_keeps_labels_by_name(tmp_path: Path) -> None:
    rows = [{"text": f"t{n}", "label": n % 2, "picture": b"x", "idx": n, "score": None} for n in range(4)]
    save_to_disk(tmp_path / "set", rows, FEATURES)
    found = import_rows(tmp_path / "set")
    assert (found.kind, list(found.inputs)) == ("hf", ["text", "score"])
    assert [(row["text"], row["expected"]) for row in found.rows] == [
        ("t0", "bad"),
        ("t1", "good"),
        ("t2", "bad"),
        ("t3", "good"),
    ]
    assert found.left_out == {"the binary column picture": 4}


def test_a_dictionary_of_datasets_keeps_its_splits(tmp_path: Path) -> None:
    for name in ("train", "validation", "unsupervised"):
        save_to_disk(tmp_path / "set" / name, [{"question": f"{name}?", "answer": "yes"}])
    (tmp_path / "set" / "dataset_dict.json").write_text('{"splits": ["train", "validation", "unsupervised"]}')
    found = import_rows(tmp_path / "set")
    assert [row.get("split") for row in found.rows] == ["train", "select", None]
    assert found.rows[1]["expected"] == "yes"
    assert found.left_out == {"the name of the split unsupervised": 1}


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
    (tmp_path / "promptfooconfig.yaml").write_text(PROMPTFOO)
    one, two = import_rows(tmp_path / "promptfooconfig.yaml").rows
    assert one == {
        "id": "row-00001", "tone": "kind", "text": "where is it", "expected": "delivery",
        "hard_negatives": [{"literal": "sorry"}], "criteria": "is polite",
    }  # fmt: skip
    assert (two["tone"], two["expected"]) == ("firm", ["returns", "billing", "money"])
    left_out = import_rows(tmp_path / "promptfooconfig.yaml").left_out
    assert left_out == {"the assertion javascript": 1, "a test without vars": 1}


def test_tests_in_a_file_of_their_own_are_followed(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("tests: file://b.yaml")
    (tmp_path / "b.yaml").write_text("- vars: {x: 1}\n")
    assert import_rows(tmp_path / "a.yaml").rows == [{"id": "row-00001", "x": 1}]
    (tmp_path / "c.yaml").write_text("tests: file://d.csv")
    (tmp_path / "d.csv").write_text("text,__expected\nhello,equals: hi\n")
    assert import_rows(tmp_path / "c.yaml").rows == [{"id": "row-00001", "text": "hello", "expected": "hi"}]


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
        import_rows(tmp_path / "a.yaml")
    (problem,) = caught.value.problems
    assert problem.place is not None
    assert (Path(problem.place.file).name, problem.remedy) == (
        named,
        "let the last file that is named hold the tests themselves",
    )


def test_samples_of_openai_evals_keep_system_and_user_apart(tmp_path: Path) -> None:
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+2?"}]
    samples = [{"input": chat, "ideal": ["4", "four"]}, {"input": "3+3?", "ideal": "6"}, {"ideal": "7"}]
    (tmp_path / "samples.jsonl").write_text("".join(json.dumps(one) + "\n" for one in samples))
    found = import_rows(tmp_path / "samples.jsonl")
    assert found.rows == [
        {"id": "row-00001", "input": "2+2?", "system": "Be brief.", "expected": ["4", "four"]},
        {"id": "row-00002", "input": "3+3?", "expected": "6"},
    ]
    assert found.left_out == {"a row without input": 1}


def test_csv_exports_find_the_column_of_answers(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("id,Question ,label\n7,why?,because\n8,how?,\n")
    assert import_rows(tmp_path / "rows.csv").rows == [
        {"id": "row-00001", "Question": "why?", "expected": "because"},
        {"id": "row-00002", "Question": "how?"},
    ]
    (tmp_path / "rows.tsv").write_text("a\tanswer\n1\t2\n")
    assert import_rows(tmp_path / "rows.tsv").rows[0]["expected"] == "2"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.yaml", "tests: 3", "no list of tests"),
        ("a.yaml", "a: [", "no YAML"),
        ("a.yaml", "tests: []", "no rows in it"),
        ("a.csv", "x\n", "no row below it"),
        ("a.txt", "x", "cannot be told by its looks"),
    ],
)
def test_sources_that_hold_nothing_are_refused_with_a_remedy(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=said) as caught:
        import_rows(tmp_path / name)
    assert caught.value.problems[0].remedy


def test_folders_that_are_no_datasets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="save_to_disk"):
        kind_of(tmp_path)
    (tmp_path / "dataset_info.json").write_text("{}")
    with pytest.raises(DataError, match=r"no \.arrow files"):
        import_rows(tmp_path)
    (tmp_path / "data.arrow").write_bytes(b"nonsense")
    with pytest.raises(DataError, match="no Arrow stream"):
        import_rows(tmp_path)
