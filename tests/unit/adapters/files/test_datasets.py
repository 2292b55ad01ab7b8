"""What rows become, and how bad ones are reported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.adapters.files.datasets import Columns, read_examples, read_split_files
from promptprop.domain.errors import DataError, Problem
from promptprop.domain.models import Example, canonical

TEXT = Columns(inputs=("text",))
LABELLED = Columns(inputs=("text",), expected="label", id="id")


def rows_file(folder: Path, *rows: object, name: str = "rows.jsonl") -> str:
    path = folder / name
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), "utf-8")
    return str(path)


def read(path: str, columns: Columns = TEXT) -> list[Example]:
    return list(read_examples(path, columns))


def problems(path: str, columns: Columns = TEXT) -> tuple[Problem, ...]:
    with pytest.raises(DataError) as caught:
        read(path, columns)
    return caught.value.problems


def messages(path: str, columns: Columns = TEXT) -> list[str]:
    return [problem.message for problem in problems(path, columns)]


def test_every_column_reaches_its_field(tmp_path: Path) -> None:
    path = rows_file(
        tmp_path,
        {
            "text": "hi",
            "label": {"a": 1},
            "meta": {"id": 7, "who": "ann"},
            "tags": "x, y,x",
            "w": 2,
            "part": "val",
            "soft": "rude",
            "hard": [{"literal": "damn"}, "insults", 3],
        },
    )
    columns = Columns(("text",), "label", "meta.id", "meta.who", "tags", "w", "part", "soft", "hard")
    assert read(path, columns) == [
        Example(
            id="7",
            inputs={"text": "hi"},
            expected={"a": 1},
            soft_negatives=("rude",),
            hard_negatives=({"literal": "damn"}, "insults", "3"),
            tags=("x", "y"),
            cluster="ann",
            weight=2.0,
            split="select",
        )
    ]


def test_a_dotted_input_fills_a_nested_variable(tmp_path: Path) -> None:
    columns = Columns(("meta.text", "Customer name"))
    [example] = read(rows_file(tmp_path, {"meta": {"text": "a"}, "Customer name": "Ann"}), columns)
    assert example.inputs == {"meta": {"text": "a"}, "Customer_name": "Ann"}
    assert columns.variables == ("meta", "Customer_name")


def test_a_column_whose_name_holds_a_dot_wins_over_the_path(tmp_path: Path) -> None:
    [example] = read(rows_file(tmp_path, {"a.b": 1, "a": {"b": 2}}), Columns(("a.b",)))
    assert example.inputs == {"a": {"b": 1}}


@pytest.mark.parametrize("inputs", [(), ("a", "a.b"), ("a b", "a_b")])
def test_inputs_that_cannot_fill_variables_of_their_own_are_refused(inputs: tuple[str, ...]) -> None:
    with pytest.raises(DataError):
        Columns(inputs)


def test_all_bad_rows_are_reported_at_once_with_line_and_reason(tmp_path: Path) -> None:
    path = rows_file(
        tmp_path,
        {"id": "a", "text": "x", "label": "l"},
        '{"id": "b", "text": ',
        "",
        [1],
        {"id": "c", "text": None, "label": "l"},
        {"id": "d", "text": "x"},
        {"id": "a", "text": "x", "label": "l"},
        {"id": None, "text": "x", "label": None},
    )
    found = [(problem.place.line, problem.message) for problem in problems(path, LABELLED) if problem.place]
    assert [line for line, _ in found] == [2, 4, 5, 6, 7, 8, 8]
    reasons = ["invalid JSON", "not an object but a list", "'text' is null", "'label' is missing", "'a' stands at"]
    for (_, message), reason in zip(found, [*reasons, "'label' is null", "'id' is null"], strict=True):
        assert reason in message
    assert f"{path}:1" in found[4][1]


def test_a_duplicate_id_is_found_even_on_one_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('[{"id": 1, "text": "a"}, {"id": "1", "text": "b"}]', "utf-8")
    assert "stands at" in messages(str(path), Columns(("text",), id="id"))[0]


def test_a_missing_column_names_those_that_are_there_and_the_closest(tmp_path: Path) -> None:
    path = rows_file(tmp_path, {"texts": "a", "meta": {"lang": "de"}}, {"text": "b"})
    [problem] = problems(path)
    assert "texts, meta, meta.lang" in problem.message
    assert problem.remedy == "did you mean 'texts'?"


def test_a_column_that_no_row_has_is_one_problem(tmp_path: Path) -> None:
    path = rows_file(tmp_path, *({"text": str(number)} for number in range(200)), {"text": None})
    found = problems(path, Columns(("text",), expected="label"))
    assert len(found) == 2
    assert "in all 201 rows" in found[0].message
    assert found[1].place is not None
    assert found[1].place.line == 201


def test_no_more_than_fifty_problems_are_listed_and_the_others_counted(tmp_path: Path) -> None:
    path = rows_file(tmp_path, {"text": "good"}, *({"text": None} for _ in range(70)))
    found = problems(path)
    assert len(found) == 51
    assert found[-1].message == "… and 20 more"


def test_an_optional_column_that_no_row_has_is_a_problem(tmp_path: Path) -> None:
    path = rows_file(tmp_path, {"text": "a", "customer": "x"})
    assert messages(path, Columns(("text",), cluster="custmer")) == ["no row has a column 'custmer'"]


def test_an_optional_column_may_be_absent_in_some_rows(tmp_path: Path) -> None:
    path = rows_file(tmp_path, {"text": "a", "customer": 4, "tags": ["t"]}, {"text": "b", "customer": ""})
    first, second = read(path, Columns(("text",), cluster="customer", tags="tags"))
    assert (first.cluster, first.tags, second.cluster, second.tags) == ("4", ("t",), None, ())


@pytest.mark.parametrize("weight", [0, -1, "much", True, [1], "nan", 1e999])
def test_a_bad_weight_is_a_problem(tmp_path: Path, weight: object) -> None:
    path = rows_file(tmp_path, {"text": "a", "w": weight})
    assert len(messages(path, Columns(("text",), weight="w"))) == 1


@pytest.mark.parametrize("value", ["tain", 3, None, ""])
def test_a_bad_split_value_is_a_problem(tmp_path: Path, value: object) -> None:
    path = rows_file(tmp_path, {"text": "a", "s": value})
    assert len(messages(path, Columns(("text",), split="s"))) == 1


@pytest.mark.parametrize("value", [{"literal": ""}, {"literal": 3}, {"regex": "x"}, [None], [" "], True])
def test_a_bad_negative_is_a_problem(tmp_path: Path, value: object) -> None:
    path = rows_file(tmp_path, {"text": "a", "n": value})
    assert len(messages(path, Columns(("text",), hard_negatives="n"))) == 1


@pytest.mark.parametrize("value", [True, 1.5, [1], " "])
def test_a_bad_id_is_a_problem(tmp_path: Path, value: object) -> None:
    path = rows_file(tmp_path, {"text": "a", "id": value})
    assert len(messages(path, Columns(("text",), id="id"))) == 1


def test_ids_by_content_do_not_depend_on_the_order_of_the_rows(tmp_path: Path) -> None:
    rows = [{"text": "a"}, {"text": "b"}, {"text": "a"}]
    one = read(rows_file(tmp_path, *rows, name="one.jsonl"))
    other = read(rows_file(tmp_path, *reversed(rows), name="other.jsonl"))
    assert {example.id: example.inputs["text"] for example in one} == {
        example.id: example.inputs["text"] for example in other
    }
    assert len({example.id for example in one}) == 3


def test_texts_become_storable_at_every_depth(tmp_path: Path) -> None:
    path = rows_file(tmp_path, {"text": {"a\ud800": ["b\x00"]}, "label": "\udfff"})
    [example] = read(path, Columns(("text",), expected="label"))
    assert example.inputs == {"text": {"a\ufffd": ["b\ufffd"]}}
    assert example.expected == "\ufffd"


@pytest.mark.parametrize("value", ["NaN", "-Infinity", "1e999", "[" * 150 + "]" * 150])
def test_values_that_no_database_holds_are_problems(tmp_path: Path, value: str) -> None:
    assert len(messages(rows_file(tmp_path, f'{{"text": {value}}}'))) == 1


def test_files_per_split_are_chained_in_order_with_their_split_set(tmp_path: Path) -> None:
    paths = {
        "test": rows_file(tmp_path, {"text": "c"}, name="test.jsonl"),
        "val": rows_file(tmp_path, {"text": "b"}, name="val.jsonl"),
        "train": rows_file(tmp_path, {"text": "a"}, name="train.jsonl"),
    }
    found = [(example.inputs["text"], example.split) for example in read_split_files(paths, TEXT)]
    assert found == [("a", "train"), ("b", "select"), ("c", "test")]


def test_an_id_in_two_split_files_names_both_places(tmp_path: Path) -> None:
    one = rows_file(tmp_path, {"text": "a", "id": 1}, name="one.jsonl")
    two = rows_file(tmp_path, {"text": "b", "id": 2}, {"text": "c", "id": 1}, name="two.jsonl")
    with pytest.raises(DataError) as caught:
        list(read_split_files({"train": one, "test": two}, Columns(("text",), id="id")))
    assert f"{two}:2" in str(caught.value)
    assert f"{one}:1" in str(caught.value)


def test_a_split_file_under_an_unknown_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holdout"):
        list(read_split_files({"holdout": rows_file(tmp_path, {"text": "a"})}, TEXT))


def test_reading_ends_at_the_first_row_too_many_over_all_files(tmp_path: Path) -> None:
    bad = ["not json"] * 40
    one = rows_file(tmp_path, {"text": "a"}, {"text": "b"}, *bad, name="one.jsonl")
    with pytest.raises(DataError, match="more than 2 rows"):
        list(read_examples(one, TEXT, most=2))
    other = rows_file(tmp_path, {"text": "c"}, {"text": "d"}, name="other.jsonl")
    files = {"train": other, "test": rows_file(tmp_path, {"text": "e"}, name="third.jsonl")}
    assert len(list(read_split_files(files, TEXT, most=3))) == 3
    with pytest.raises(DataError, match="more than 2 rows"):
        list(read_split_files(files, TEXT, most=2))


def test_nothing_is_yielded_before_the_last_row_is_checked(tmp_path: Path) -> None:
    rows = read_examples(rows_file(tmp_path, {"text": "good"}, {"text": None}), TEXT)
    with pytest.raises(DataError):
        next(rows)


@given(st.lists(st.dictionaries(st.text(), st.none() | st.text() | st.integers(), max_size=3), max_size=5))
def test_any_rows_are_read_or_reported(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, object]]) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    path.write_text("".join(json.dumps({**row, "text": row.get("text")}) + "\n" for row in rows), "utf-8")
    good = [row for row in rows if row.get("text") is not None]
    try:
        examples = read(str(path))
    except DataError:
        assert not rows or len(good) < len(rows)
    else:
        assert len(examples) == len(rows)
        assert all(canonical(dict(example.inputs)).encode() for example in examples)
