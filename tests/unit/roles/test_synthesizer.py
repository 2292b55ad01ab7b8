"""The synthesizer: what it is asked for, which rows of a reply can be used, and what is said of the others."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.roles.registry import load_roles
from promptprop.roles.synthesizer import KINDS, MOST_NEGATIVES, Batch, Synthesizer

ROWS = [{"inputs": {"text": "Where is it?"}, "expected": "delivery", "soft_negatives": [], "hard_negatives": ["rude"]}]
INPUTS: dict[str, Any] = {
    "task": "Route.", "rows": ROWS, "kind": "edge", "count": 3, "names": ["text"],
    "labels": ["billing", "delivery"], "expects": True, "negatives": True, "known": [],
}  # fmt: skip
ROW: dict[str, Any] = {"inputs": {"text": "A new one"}, "expected": "billing", "why": "It is new."}


@pytest.fixture(scope="module")
def synthesizer() -> Synthesizer:
    found = load_roles({})["synthesizer"]
    assert isinstance(found, Synthesizer)
    return found


def content(synthesizer: Synthesizer, **changes: Any) -> str:
    (message,) = synthesizer.messages({**INPUTS, **changes})
    return message.content


def parsed(synthesizer: Synthesizer, *rows: Any, **changes: Any) -> Batch:
    return synthesizer.parse(json.dumps({"rows": list(rows)}), {**INPUTS, **changes})


@pytest.mark.parametrize("kind", list(KINDS))
def test_it_is_told_how_many_rows_of_which_kind_and_from_which_labels(synthesizer: Synthesizer, kind: str) -> None:
    text = content(synthesizer, kind=kind)
    assert f"3 cases of this kind: {KINDS[kind]}" in text
    assert "nothing else: billing, delivery." in text
    assert '{"expected":"delivery","hard_negatives":["rude"],"inputs":{"text":"Where is it?"}}' in text


def test_what_rows_do_not_have_is_not_asked_for(synthesizer: Synthesizer) -> None:
    bare = content(synthesizer, expects=False, negatives=False, labels=[])
    assert "have no expected answer" in bare
    for absent in ("soft_negatives` lists", '"expected": …', "from this list", "<known>"):
        assert absent not in bare
    assert '"expected": …' in content(synthesizer)
    assert "<known>" in content(synthesizer, known=[{"inputs": {"text": "old"}}])


def test_rows_are_read_with_their_negatives_and_the_reason_on_one_line(synthesizer: Synthesizer) -> None:
    row = {**ROW, "why": " It\nis new. ", "soft_negatives": [" curt ", 3, ""],
           "hard_negatives": [{"literal": "NEVER"}, {"literal": " "}, {"other": 1}, "lies"]}  # fmt: skip
    (found,) = parsed(synthesizer, row).rows
    assert (found.inputs, found.expected, found.why) == ({"text": "A new one"}, "billing", "It is new.")
    assert found.soft_negatives == ("curt",)
    assert found.hard_negatives == ({"literal": "NEVER"}, "lies")
    many = parsed(synthesizer, {**ROW, "soft_negatives": [str(n) for n in range(20)]}).rows[0]
    assert len(many.soft_negatives) == MOST_NEGATIVES
    assert parsed(synthesizer, row, negatives=False).rows[0].hard_negatives == ()


def test_no_more_rows_than_were_asked_for(synthesizer: Synthesizer) -> None:
    rows = [{**ROW, "inputs": {"text": str(n)}} for n in range(9)]
    assert len(parsed(synthesizer, *rows).rows) == 3


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("text", "must be an object with inputs"),
        ({"inputs": "text"}, "must be an object with inputs"),
        ({**ROW, "inputs": {"text": "x", "more": 1}}, "exactly the keys text"),
        ({**ROW, "inputs": {}}, "exactly the keys text"),
        ({**ROW, "inputs": {"text": "  "}}, "inputs of a row are empty"),
        ({**ROW, "expected": None}, "needs its expected answer"),
        ({**ROW, "expected": " "}, "needs its expected answer"),
        ({**ROW, "expected": "sales"}, "must be one of: billing, delivery"),
    ],
)
def test_a_row_that_cannot_be_used_is_left_out_and_alone_it_is_a_reply_to_repair(
    synthesizer: Synthesizer, row: Any, said: str
) -> None:
    found = parsed(synthesizer, row, ROW)
    assert len(found.rows) == 1
    assert said in found.refused[0]
    with pytest.raises(ValueError, match=f"none of the rows can be used: .*{said}"):
        parsed(synthesizer, row)
    with pytest.raises(ValueError, match="at least one object"):
        parsed(synthesizer)


@pytest.mark.parametrize(
    ("shown", "expected", "said"),
    [({"a": 1}, "text", "an object"), (["a"], {"a": 1}, "a list"), ("text", 3, "a text"), (3, "three", "a number")],
)
def test_expected_answers_have_the_form_of_those_that_exist(
    synthesizer: Synthesizer, shown: Any, expected: Any, said: str
) -> None:
    rows = [{**ROWS[0], "expected": shown}]
    found = parsed(synthesizer, {**ROW, "expected": expected}, {**ROW, "expected": shown}, rows=rows, labels=[])
    assert [row.expected for row in found.rows] == [shown]
    assert f"must be {said}" in found.refused[0]


def test_rows_without_expected_answers_get_none(synthesizer: Synthesizer) -> None:
    assert parsed(synthesizer, ROW, expects=False).rows[0].expected is None


def test_escapes_do_not_bring_back_what_no_database_holds(synthesizer: Synthesizer) -> None:
    reply = r'{"rows": [{"inputs": {"text": "a\u0000b\ud800"}, "expected": "billing", "why": "c\u0000"}]}'
    (row,) = synthesizer.parse(reply, INPUTS).rows
    assert row.inputs == {"text": "a\ufffdb\ufffd"}
    assert row.why == "c\ufffd"


KEYS = ["inputs", "text", "expected", "why", "literal", "soft_negatives"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=20),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(KEYS), below, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.sampled_from(KEYS), VALUES), max_size=4))
def test_whatever_a_reply_holds_it_is_a_batch_or_a_sentence_for_the_model(rows: list[Any]) -> None:
    role = load_roles({})["synthesizer"]
    found = None
    with contextlib.suppress(ValueError):
        found = role.parse(json.dumps({"rows": rows}), INPUTS)
    assert found is None or all(row.expected in INPUTS["labels"] for row in found.rows)
