"""The linter: what it is shown, where its quotes stand, and which replies are remarks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.roles.linter import KINDS, MOST, Linter, Remarks
from promptprop.roles.registry import load_roles

PROMPT = "Answer briefly.\nExplain every\n  step at length.\n\n{{ text }}"
INPUTS: dict[str, Any] = {
    "task": "Route.", "prompt": PROMPT, "variables": ["text"], "labels": ["billing", "sales"],
    "rows": [{"inputs": {"text": "Where is it?"}, "expected": "billing"}],
}  # fmt: skip
FINDING = {
    "kind": "contradiction",
    "quote": "Explain every step at length.",
    "problem": " Both\ncannot be. ",
    "remedy": "x",
}


@pytest.fixture(scope="module")
def linter() -> Linter:
    found = load_roles({})["linter"]
    assert isinstance(found, Linter)
    return found


def parsed(linter: Linter, *findings: Any) -> Remarks:
    return linter.parse(json.dumps({"findings": findings}), INPUTS)


def test_it_sees_prompt_rows_variables_and_labels_and_nothing_that_is_not_known(linter: Linter) -> None:
    (message,) = linter.messages(INPUTS)
    assert json.dumps(PROMPT) in message.content
    for said in ("filled with these: text.", "one of these answers: billing, sales.", '"expected":"billing"'):
        assert said in message.content
    assert all(f"- `{kind}`: {says}" in message.content for kind, says in KINDS.items())
    (bare,) = linter.messages({"task": "x", "prompt": PROMPT, "rows": []})
    assert "<rows>" not in bare.content
    assert "# Variables" not in bare.content


def test_a_remark_stands_where_its_quote_does_whatever_its_white_space(linter: Linter) -> None:
    (remark,) = parsed(linter, FINDING).remarks
    assert PROMPT[remark.start : remark.end] == "Explain every\n  step at length."
    assert (remark.kind, remark.problem, remark.remedy) == ("contradiction", "Both cannot be.", "x")


def test_what_quotes_what_the_prompt_does_not_say_is_left_out_and_counted_unless_it_is_a_gap(linter: Linter) -> None:
    elsewhere = {**FINDING, "quote": "Answer in rhyme."}
    found = parsed(linter, elsewhere, {**elsewhere, "quote": ""}, {**elsewhere, "kind": "gap"}, FINDING)
    assert [one.kind for one in found.remarks] == ["gap", "contradiction"]
    assert found.unplaced == 2
    assert (found.remarks[0].start, found.remarks[0].end) == (0, 0)


def test_nothing_found_is_a_good_answer_and_no_more_than_asked_for_is_taken(linter: Linter) -> None:
    assert parsed(linter) == Remarks(())
    assert len(parsed(linter, *[FINDING] * 20).remarks) == MOST


@pytest.mark.parametrize(
    ("finding", "said"),
    [
        ("text", "must be an object whose kind"),
        ({**FINDING, "kind": "style"}, "must be an object whose kind"),
        ({**FINDING, "problem": " "}, "needs the text problem"),
        ({**FINDING, "problem": 3}, "needs the text problem"),
    ],
)
def test_what_is_no_remark_is_refused_with_a_sentence_for_the_model(linter: Linter, finding: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parsed(linter, finding)
    with pytest.raises(ValueError, match="must be a list"):
        linter.parse('{"findings": 3}', INPUTS)
    assert parsed(linter, {"kind": "gap", "problem": "x", "quote": 3, "remedy": 4}).remarks[0].remedy == ""


@given(st.text(max_size=200), st.text(max_size=200))
def test_a_place_is_always_inside_of_the_prompt(prompt: str, quote: str) -> None:
    role = load_roles({})["linter"]
    reply = json.dumps({"findings": [{**FINDING, "quote": quote}]})
    found = role.parse(reply, {**INPUTS, "prompt": prompt})
    assert all(0 <= one.start < one.end <= len(prompt) for one in found.remarks)
    assert len(found.remarks) + found.unplaced == 1
