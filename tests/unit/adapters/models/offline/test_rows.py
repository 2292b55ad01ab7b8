import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.adapters.models.offline.rows import RowIndex
from promptprop.adapters.models.offline.world import WorldRow


def row(key: str, **inputs: object) -> WorldRow:
    return WorldRow(key, inputs, "x", "x")


@pytest.mark.parametrize("key", ["f1", "f3", "f5", "o1", "p3"])
@pytest.mark.parametrize(
    "quote",
    [
        lambda text: text,
        lambda text: json.dumps({"text": text}),
        lambda text: json.dumps(json.dumps([text])),
        lambda text: json.dumps(text, ensure_ascii=False),
        lambda text: text.upper().replace(" ", "\n  "),
        lambda text: "> " + text.replace(" ", " \n> "),
    ],
)
def test_a_row_is_found_however_it_is_quoted(desks, key, quote):
    found = RowIndex(desks.rows).find("Route this message.\n\n" + quote(desks.rows[key].inputs["text"]) + "\nAnswer:")
    assert [item.row.id for item in found] == [key]


def test_the_span_of_a_row_is_its_text(desks):
    text = f"Message: {desks.rows['f3'].inputs['text']} Answer: ?"
    found = RowIndex(desks.rows).find(text)[0]
    assert text[: found.start] == "Message: "
    assert text[found.end :] == ". Answer: ?"


def test_several_rows_are_found_in_their_order(desks):
    keys = ["p1", "f2", "c4", "o6"]
    text = "\n---\n".join(desks.rows[key].inputs["text"] for key in keys)
    assert [item.row.id for item in RowIndex(desks.rows).find(text)] == keys


def test_a_text_without_rows_gives_nothing(desks):
    assert RowIndex(desks.rows).find("Where can I download the manual for the order of last year?") == []
    assert RowIndex(desks.rows).find("") == []


def test_of_rows_that_contain_each_other_the_longer_one_is_found():
    rows = {"a": row("a", t="call me back please today"), "b": row("b", t="call me back please today or tomorrow")}
    index = RowIndex(rows)
    assert [item.row.id for item in index.find("Text: call me back please today or tomorrow.")] == ["b"]
    assert [item.row.id for item in index.find("Text: call me back please today or not.")] == ["a"]


def test_short_rows_are_found_as_whole_words_only():
    index = RowIndex({"a": row("a", t="go on"), "b": row("b", t="Hi")})
    assert [item.row.id for item in index.find("He said: “go on”! Hi.")] == ["a", "b"]
    assert index.find("Let go once. This is history.") == []


def test_rows_with_equal_texts_are_told_apart_by_their_other_inputs():
    text = "where is my parcel, please tell me"
    index = RowIndex({"a": row("a", t=text, land="Austria"), "b": row("b", t=text, land="Portugal")})
    assert index.find(f"{text}\nLand: Portugal")[0].row.id == "b"
    assert index.find(f"{text}\nLand: Austria")[0].row.id == "a"


def test_a_long_row_is_known_although_it_is_broken_off():
    text = " ".join(f"word{n} and" for n in range(60))
    found = RowIndex({"a": row("a", t=text)}).find(f"Input: {text[:300]}…\nThe end.")
    assert [item.row.id for item in found] == ["a"]


@given(st.lists(st.text(min_size=1, max_size=60), min_size=1, max_size=8), st.text(max_size=40), st.text(max_size=40))
def test_searching_never_fails_and_spans_lie_inside_of_the_text(texts, before, after):
    rows = {str(n): row(str(n), t=text) for n, text in enumerate(texts)}
    message = before + json.dumps(texts) + after
    found = RowIndex(rows).find(message)
    assert all(0 <= item.start < item.end <= len(message) for item in found)
    assert all(left.end <= right.start for left, right in pairwise(found))
