"""Rows of other tools: what becomes of them, and what is left out and told."""

from __future__ import annotations

import gzip
import io
import json
from datetime import date
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
    assert found.left_out == {"the binary column picture": 4, "the column idx": 4}


def test_a_dictionary_of_datasets_keeps_its_splits(tmp_path: Path) -> None:
    for name in ("train", "validation", "unsupervised"):
        save_to_disk(tmp_path / "set" / name, [{"question": f"{name}?", "answer": "yes"}])
    (tmp_path / "set" / "dataset_dict.json").write_text('{"splits": ["train", "validation", "unsupervised"]}')
    found = import_rows(tmp_path / "set")
    assert [row.get("split") for row in found.rows] == ["train", "select", None]
    assert found.rows[1]["expected"] == "yes"
    assert found.left_out == {"the name of the split unsupervised": 1}


def test_pictures_nulls_and_rows_without_a_class_are_no_text(tmp_path: Path) -> None:
    rows = [
        {"text": "a", "image": {"bytes": b"x", "path": "a.png"}, "label": 0, "tags": [0, 1], "when": date(2024, 1, 2)},
        {"text": None, "image": {"bytes": None, "path": None}, "label": -1, "tags": [], "when": None},
    ]
    names = {"names": ["bad", "good"], "_type": "ClassLabel"}
    save_to_disk(
        tmp_path / "set", rows, {"label": names, "tags": {"feature": names, "_type": "Sequence"}, "when": None}
    )
    found = import_rows(tmp_path / "set")
    assert found.rows[0] == {
        "id": "row-00001", "text": "a", "tags": ["bad", "good"], "when": "2024-01-02", "expected": "bad",
    }  # fmt: skip
    assert (found.rows[1]["text"], found.rows[1].get("expected")) == ("", None)
    assert found.left_out == {"the binary column image": 1}
    assert found.gaps == {"image": 1, "expected": 1}


@pytest.mark.parametrize(
    ("file", "contents", "said"),
    [
        ("dataset_info.json", '{"features": ["a"]}', "no Arrow stream"),
        ("dataset_info.json", "nonsense", "no JSON"),
        ("dataset_dict.json", '{"splits": 5}', "no rows in it"),
        ("dataset_dict.json", "[" * 100_000, "no JSON"),
    ],
)
def test_folders_that_only_look_like_datasets_are_refused(tmp_path: Path, file: str, contents: str, said: str) -> None:
    (tmp_path / file).write_text(contents)
    (tmp_path / "data.arrow").touch()
    with pytest.raises(DataError, match=said) as caught:
        import_rows(tmp_path)
    assert caught.value.problems[0].remedy


def test_samples_are_known_by_their_first_line_however_long_and_packed(tmp_path: Path) -> None:
    sample = "\ufeff\n" + json.dumps({"input": "long " * 2000, "ideal": "b"}) + "\n"
    (tmp_path / "samples.jsonl").write_text(sample)
    (tmp_path / "samples.jsonl.gz").write_bytes(gzip.compress(sample.encode()))
    for name in ("samples.jsonl", "samples.jsonl.gz"):
        assert import_rows(tmp_path / name).rows[0]["expected"] == "b"


def test_messages_of_parts_keep_their_texts(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": "x"}}]
    chat = [{"role": "system"}, {"role": "user", "content": parts}, {"role": "user", "content": None}, "odd"]
    (tmp_path / "samples.jsonl").write_text(json.dumps({"input": chat, "ideal": "a cat"}) + "\n[1]\n")
    found = import_rows(tmp_path / "samples.jsonl")
    assert found.rows == [{"id": "row-00001", "input": "What is it?", "expected": "a cat"}]
    assert found.left_out == {
        "a message that is no object": 1,
        "a part of a message that is no text": 1,
        "a row that is no object": 1,
    }


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
    assert import_rows(tmp_path / "rows.csv").left_out == {"the column id": 2}
    (tmp_path / "rows.csv").write_text("Question,Answer,Label\nwhy?,because,reason\n")
    assert import_rows(tmp_path / "rows.csv").rows == [
        {"id": "row-00001", "Question": "why?", "Answer": "because", "expected": "reason"}
    ]
    (tmp_path / "rows.tsv").write_text("a\tanswer\n1\t2\n")
    assert import_rows(tmp_path / "rows.tsv").rows[0]["expected"] == "2"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.yaml", "tests: 3", "no list of tests"),
        ("a.yaml", "a: [", "no YAML"),
        ("a.yaml", "tests: []", "no rows in it"),
        ("a.json", '[{"q": "a"}]', r"no rows in it; left out: a test without vars \(1\)"),
        ("a.csv", "x\n", "no row below it"),
        ("a.csv", "x,x\n1,2\n", "names 'x' twice"),
        ("a.csv", "label\nx\n", "no inputs in it"),
        ("a.jsonl", "", "no rows in it"),
        ("a.jsonl", '{"q": 1}\n', "no samples of OpenAI evals"),
        ("a.jsonl.gz", "x", "not gzip"),
        ("a.yaml.gz", "x", "cannot be told by its looks"),
        ("a.txt", "x", "cannot be told by its looks"),
    ],
)
def test_sources_that_hold_nothing_are_refused_with_a_remedy(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=said) as caught:
        import_rows(tmp_path / name)
    assert caught.value.problems[0].remedy


def test_stdin_is_read_where_it_is_said_what_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="say it with --as"):
        import_rows(Path("-"))
    with pytest.raises(DataError, match="cannot be read from stdin"):
        import_rows(Path("-"), "promptfoo")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"q,label\na,b\n")))
    assert import_rows(Path("-"), "csv").rows == [{"id": "row-00001", "q": "a", "expected": "b"}]


def test_folders_that_are_no_datasets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="save_to_disk"):
        kind_of(tmp_path)
    (tmp_path / "dataset_info.json").write_text("{}")
    with pytest.raises(DataError, match=r"no \.arrow files"):
        import_rows(tmp_path)
    (tmp_path / "data.arrow").write_bytes(b"nonsense")
    with pytest.raises(DataError, match="no Arrow stream"):
        import_rows(tmp_path)
