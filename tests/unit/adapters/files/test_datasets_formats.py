"""Formats and sources: what each reader makes of its bytes."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
import threading
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.adapters.files.dataset_documents import read_json
from promptprop.adapters.files.dataset_formats import read_csv
from promptprop.adapters.files.datasets import Columns, read_examples
from promptprop.domain.errors import DataError, Problem
from promptprop.domain.models import Example, storable

COLUMNS = Columns(("text",), expected="label")
ROWS = [{"text": "é, one", "label": "a"}, {"text": "two\nlines", "label": "b"}]


def write(folder: Path, name: str, data: bytes | str) -> str:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return str(path)


def read(path: str, columns: Columns = COLUMNS, format_name: str | None = None) -> list[Example]:
    return list(read_examples(path, columns, format_name))


def problems(path: str, columns: Columns = COLUMNS, format_name: str | None = None) -> tuple[Problem, ...]:
    with pytest.raises(DataError) as caught:
        read(path, columns, format_name)
    return caught.value.problems


def lines(path: str, columns: Columns = COLUMNS) -> list[int]:
    return [problem.place.line for problem in problems(path, columns) if problem.place]


def parquet(rows: list[dict[str, object]]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


ENCODED = {
    "rows.jsonl": "".join(json.dumps(row) + "\r\n" for row in ROWS).encode(),
    "rows.ndjson": b"\n\n" + "\n".join(json.dumps(row) for row in ROWS).encode(),
    "rows.json": json.dumps(ROWS, indent=1).encode(),
    "keyed.json": json.dumps({"name": "x", "data": ROWS, "n": [1]}).encode(),
    "rows.csv": 'text,label\r\n"é, one",a\r\n\r\n"two\nlines",b\r\n'.encode(),
    "rows.tsv": 'text\tlabel\né, one\ta\n"two\nlines"\tb'.encode(),
    "rows.yaml": '- text: é, one\n  label: a\n- {text: "two\\nlines", label: b}\n'.encode(),
    "keyed.yml": 'examples:\n- text: é, one\n  label: a\n- {text: "two\\nlines", label: b}\n'.encode(),
    "rows.parquet": parquet(list(ROWS)),
}


@pytest.mark.parametrize("name", ENCODED)
@pytest.mark.parametrize("packed", [False, True])
def test_every_format_gives_the_same_examples_packed_or_not(tmp_path: Path, name: str, packed: bool) -> None:
    path = write(tmp_path, name + ".gz" * packed, gzip.compress(ENCODED[name]) if packed else ENCODED[name])
    assert [{**example.inputs, "label": example.expected} for example in read(path)] == ROWS


@pytest.mark.parametrize("name", [name for name in ENCODED if not name.endswith(".parquet")])
def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, b"\xef\xbb\xbf" + ENCODED[name])
    assert [example.inputs["text"] for example in read(path)] == ["é, one", "two\nlines"]


def test_stdin_is_json_lines_unless_a_format_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, format_name in (("rows.jsonl", None), ("rows.csv", "csv"), ("rows.parquet", "parquet")):
        stdin = SimpleNamespace(buffer=io.BytesIO(ENCODED[name]), isatty=lambda: False)
        monkeypatch.setattr(sys, "stdin", stdin)
        assert len(read("-", format_name=format_name)) == 2


def test_a_terminal_as_stdin_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    assert "nothing is piped" in problems("-")[0].message


def test_bad_rows_on_stdin_are_reported_under_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"{}\nnope\n"), isatty=lambda: False))
    assert str(problems("-")[-1].place).startswith("stdin:2")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are a matter of POSIX")
def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    pipe = tmp_path / "rows.jsonl"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(ENCODED["rows.jsonl"],))
    writer.start()
    assert len(read(str(pipe))) == 2
    writer.join()


def test_a_gzip_file_is_known_by_its_bytes(tmp_path: Path) -> None:
    assert len(read(write(tmp_path, "rows.jsonl", gzip.compress(ENCODED["rows.jsonl"])))) == 2


# --- what cannot be read ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("rows.jsonl.gz", gzip.compress(ENCODED["rows.jsonl"] * 99, mtime=0)[:-12], "gzip data is damaged"),
        ("rows.csv.gz", b"text,label\na,b\n", "is not gzip"),
        ("rows.json.gz", b"\x1f\x8bxxxxxxxx", "gzip data is damaged"),
        ("rows.csv", "text,label\n".encode("utf-16"), "UTF-16"),
        ("rows.jsonl", b"", "no rows"),
        ("rows.jsonl", b"\n \n", "no rows"),
        ("rows.json", b"", "no rows"),
        ("rows.json", b"[]", "no rows"),
        ("rows.yaml", b"# nothing", "no rows"),
        ("rows.yaml", b"[]", "no rows"),
        ("rows.csv", b"", "no rows"),
        ("rows.csv", b"text,label\n\n", "header but no row"),
        ("rows.csv", b"text,label,text\n1,2,3\n", "names 'text' twice"),
        ("rows.parquet", b"PAR1 is all there is", "cannot be read as Parquet"),
        ("rows.parquet", parquet([{"text": "a"}])[:0], "cannot be read as Parquet"),
        ("rows.json", b'{"text": "a"}\n{"text": "b"}', "no list of rows"),
        ("rows.json", b'[{"text": "a", "label": "b"}]\n[]', "follows the end"),
        ("rows.json", b'{"rows": 3}', "not a list"),
        ("rows.json", b'{"rows": [], "data": []}', "several keys"),
        ("rows.json", b'"text"', "expected a list"),
        ("rows.yaml", b"text: a", "not one list"),
        ("rows.yaml", b"a", "expected a list"),
        ("rows.yaml", b"- [", "invalid YAML"),
        ("rows.txt", b"a", "names no dataset format"),
        ("rows", b"a", "no suffix"),
    ],
)
def test_an_unreadable_file_is_one_clear_error_with_a_remedy(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    [problem] = problems(write(tmp_path, name, data))
    assert said in problem.message
    assert problem.place is not None
    assert problem.place.file.endswith(name)
    assert problem.remedy


def test_a_file_that_is_not_there_suggests_the_closest_name(tmp_path: Path) -> None:
    path = write(tmp_path, "support.jsonl", ENCODED["rows.jsonl"])
    assert problems(str(tmp_path / "suport.jsonl"))[0].remedy == f"did you mean {path}?"
    assert "no folder" in problems(str(tmp_path / "away" / "x.csv"))[0].remedy


def test_a_folder_is_no_dataset(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").mkdir()
    assert "folder" in problems(str(tmp_path / "rows.csv"))[0].message


def test_an_unknown_format_suggests_the_closest(tmp_path: Path) -> None:
    assert problems("-", format_name="parket")[0].remedy == "did you mean parquet?"


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("rows.jsonl", b'{"text": "a", "label": "b"}\n{"text": "\xff"}\n{"text": 1}\n', [2, 3]),
        ("rows.csv", b"text,label\na,b\n\xff,b\nc\n", [3, 4]),
        ("rows.json", b'[{"text": "a", "label": "b"},\n{"text": "\xff"}]', [2]),
        ("rows.yaml", b"- text: a\n- text: \xff\n", [2]),
    ],
)
def test_bad_utf8_is_reported_with_its_line(tmp_path: Path, name: str, data: bytes, expected: list[int]) -> None:
    path = write(tmp_path, name, data)
    assert lines(path) == expected
    assert "UTF-8" in problems(path)[0].message


# --- format by format -------------------------------------------------------------------------------------------------


def test_a_csv_row_is_reported_at_its_first_line(tmp_path: Path) -> None:
    data = 'text,label\n"a\nb\nc",x\n\n"d\ne",""\nf\n"g\n'
    assert lines(write(tmp_path, "rows.csv", data)) == [6, 8, 9]


def test_csv_values_stay_text(tmp_path: Path) -> None:
    [example] = read(write(tmp_path, "rows.csv", 'text,label\n007,"{""a"": 1}"\n'))
    assert (example.inputs["text"], example.expected) == ("007", '{"a": 1}')


def test_an_empty_csv_cell_is_an_empty_input_but_no_expected_answer(tmp_path: Path) -> None:
    path = write(tmp_path, "rows.csv", "text,label\n,b\na,\n,\n")
    found = problems(path)
    assert [problem.message for problem in found] == ["the column 'label' is empty", "every cell of the row is empty"]
    [example] = read(write(tmp_path, "good.csv", "text,label\n,b\n"))
    assert example.inputs == {"text": ""}


def test_a_csv_field_may_be_long_and_hold_nul(tmp_path: Path) -> None:
    [example] = read(write(tmp_path, "rows.csv", "text,label\n" + "x" * 300_000 + "\x00,b\n"))
    assert example.inputs["text"] == "x" * 300_000 + "\ufffd"


def test_a_csv_header_is_trimmed_and_nameless_columns_left_out(tmp_path: Path) -> None:
    [example] = read(write(tmp_path, "rows.csv", ",text, label,\n1,a,b,\n"))
    assert (example.inputs["text"], example.expected) == ("a", "b")


@given(st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), min_size=1, max_size=6))
def test_what_the_csv_module_writes_is_read_back(rows: list[tuple[str, str]]) -> None:
    import csv

    sink = io.StringIO()
    writer = csv.writer(sink, quoting=csv.QUOTE_ALL)
    clean = [("text", "label"), *((storable(one), storable(two)) for one, two in rows)]
    writer.writerows(clean)
    text = sink.getvalue()
    records = list(read_csv(io.BytesIO(text.encode())))
    assert [tuple(record.value.values()) for record in records] == clean[1:]
    assert records[0].line == 2


@given(st.recursive(st.none() | st.booleans() | st.text() | st.floats(allow_nan=False), st.lists, max_leaves=9))
def test_json_rows_are_what_the_json_module_reads(value: object) -> None:
    rows = [value, {"a": value}, []]
    for text in (json.dumps(rows), json.dumps({"x": value, "rows": rows, "y": 1}, indent=2)):
        assert [record.value for record in read_json(io.BytesIO(text.encode()))] == rows


def test_json_rows_keep_their_lines_and_are_reported_before_a_syntax_error(tmp_path: Path) -> None:
    path = write(
        tmp_path, "rows.json", '{"name": "x",\n "rows": [\n  {"text": null,\n "label": 1},\n\n  {"text" 1}\n]}'
    )
    assert lines(path) == [3, 6]


@pytest.mark.parametrize(
    "text", ["[", "{", "[,", "[]]", "{}", "[1 2]", '["a",', '{"rows": [1]', "{]", "[1}", '{"rows"']
)
def test_a_broken_json_document_ends_in_a_flaw(text: str) -> None:
    *rows, end = read_json(io.BytesIO(text.encode()))
    assert end.flaw
    assert not any(row.flaw for row in rows)


def test_a_key_that_stands_twice_is_a_problem_of_its_row(tmp_path: Path) -> None:
    row = '{"text": "a", "label": "b", "text": "c"}'
    good = '{"text": "a", "label": "b"}'
    for name, data in (("rows.jsonl", f"{good}\n{row}\n{good}"), ("rows.json", f"[{good},\n{row},\n{good}]")):
        assert lines(write(tmp_path, name, data)) == [2]
    assert lines(write(tmp_path, "rows.yaml", f"- {good}\n- {row}\n")) == [2]


def test_yaml_scalars_are_not_mangled(tmp_path: Path) -> None:
    data = "- {text: no, label: 2024-01-01}\n- {text: 007, label: 1e-3}\n- {text: 12:30:00, label: '5'}\n"
    found = [(example.inputs["text"], example.expected) for example in read(write(tmp_path, "rows.yaml", data))]
    assert found == [("no", "2024-01-01"), ("007", 0.001), ("12:30:00", "5")]


@pytest.mark.parametrize(
    "row", ["&a {text: x, label: *a}", "{text: !!python/name:os.system x, label: b}", "{[1]: 2}", "{text: !x y}"]
)
def test_yaml_builds_nothing_but_plain_data(tmp_path: Path, row: str) -> None:
    assert lines(write(tmp_path, "rows.yaml", f"- {{text: a, label: b}}\n- {row}\n")) == [2]


def test_a_yaml_alias_is_refused(tmp_path: Path) -> None:
    data = "- {text: &a [1], label: b}\n- {text: *a, label: b}\n"
    assert lines(write(tmp_path, "rows.yaml", data)) == [2]


def test_deep_nesting_is_a_problem_and_no_crash(tmp_path: Path) -> None:
    deep = "[" * 100_000
    for name in ("rows.jsonl", "rows.json"):
        assert len(problems(write(tmp_path, name, deep))) == 1
    assert len(problems(write(tmp_path, "rows.yaml", "- " + "[" * 500 + "]" * 500))) == 1


def test_parquet_carries_types_and_its_nan_is_null(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"text": "a", "label": {"n": [1, None]}, "score": 0.5, "day": date(2024, 1, 2), "price": Decimal("1.10")},
        {"text": "b", "label": {"n": []}, "score": float("nan"), "day": None, "price": None},
    ]
    path = write(tmp_path, "rows.parquet", parquet(rows))
    first = read(path, Columns(("text", "label"), weight="score"))[0]
    assert first.inputs["label"] == {"n": [1, None]}
    assert first.weight == 0.5
    assert lines(path, Columns(("score",))) == [2]
    assert lines(path, Columns(("day", "price"))) == [2, 2]


def test_a_parquet_value_that_json_cannot_hold_matters_only_where_it_is_used(tmp_path: Path) -> None:
    path = write(tmp_path, "rows.parquet", parquet([{"text": "a", "label": "b", "image": b"\x00"}]))
    assert len(read(path)) == 1
    assert "bytes" in problems(path, Columns(("image",)))[0].message


@pytest.mark.no_cover
def test_examples_are_streamed(tmp_path: Path) -> None:
    import tracemalloc

    path = write(
        tmp_path,
        "rows.jsonl",
        "".join(json.dumps({"text": f"{n} " + "x" * 2000, "label": "a"}) + "\n" for n in range(4000)),
    )
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_examples(path, COLUMNS)) == 4000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3_000_000
