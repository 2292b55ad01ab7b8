"""Replies are found wherever models put them, and hostile ones cost little."""

from __future__ import annotations

import json

import pytest
from event_strategies import JSON, TEXTS
from hypothesis import given
from hypothesis import strategies as st

from promptprop.roles.envelope import data_lines, fenced_blocks, read_object

OBJECT = '{"hypothesis": "h", "prompts": {"main": "Route: {{ text }}"}}'
VALUE = json.loads(OBJECT)


@pytest.mark.parametrize(
    "reply",
    [
        OBJECT,
        f"\n\n  {OBJECT}\n",
        f"```json\n{OBJECT}\n```",
        f"~~~\n{OBJECT}\n~~~",
        f"  ````\n{OBJECT}\n  ````  ",
        f"Sure! Here is the prompt:\n\n{OBJECT}\n\nI hope it helps. {{Ask}} me.",
        f"The placeholder {{{{ text }}}} stays. {OBJECT}",
        f'First a draft: {{"draft": 1}} and then {OBJECT}',
        f"```json\r\n{OBJECT}\r\n```\r\n",
    ],
)
def test_the_object_is_found_bare_fenced_or_in_prose(reply: str) -> None:
    assert read_object(reply, "prompts") == VALUE


def test_raw_line_ends_and_tabs_inside_of_strings_are_accepted() -> None:
    assert read_object('{"prompts": "one\n\ttwo"}', "prompts") == {"prompts": "one\n\ttwo"}


def test_a_fence_inside_of_a_json_string_does_not_cut_it() -> None:
    value = {"prompts": "Answer so:\n```\nlabel\n```\nNothing else."}
    assert read_object(f"```json\n{json.dumps(value)}\n```", "prompts") == value


@given(st.dictionaries(TEXTS, JSON, max_size=3), TEXTS.filter(lambda text: "{" not in text))
def test_any_object_survives_prose_around_it(value: dict[str, object], prose: str) -> None:
    whole = {**value, "prompts": 1}
    assert read_object(f"{prose} {json.dumps(whole)} {prose}", "prompts") == whole


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ("", "no JSON object"),
        ("I cannot do that.", "no JSON object"),
        ("[1, 2]", "no JSON object"),
        ('{"prompts": ', "no JSON object"),
        ('{"prompt": "x"}', 'has no key "prompts"'),
    ],
)
def test_what_is_missing_is_said(reply: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_object(reply, "prompts")


@pytest.mark.parametrize(
    "reply",
    [
        "{" * 100_000,
        "{}" * 50_000,
        '{"a":' * 20_000,
        "[" * 100_000,
        '{"prompts": ' + "[" * 90_000,
        '{"prompts": ' + "9" * 90_000 + "}",
        "```a\n" * 20_000,
        "```\n" * 25_001,
        "~" * 100_000 + "`",
        " " * 100_000 + "```",
        "`" * 100_000,
        "```a\n~~~b\n" * 10_000,
        '"' * 100_000,
    ],
    ids=lambda reply: reply[:12],
)
def test_a_hostile_reply_is_refused_and_nothing_else_happens(reply: str) -> None:
    with pytest.raises(ValueError, match="prompts"):
        read_object(reply, "prompts")


# --- fences ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("```\none\n```", ["one"]),
        ("```text\none\ntwo\n```\nand\n~~~\nthree\n~~~", ["one\ntwo", "three"]),
        ("````\n```\ninner\n```\n````", ["```\ninner\n```"]),
        ("```\nnever closed", []),
        ("```a\ntext\n```b\nmore\n```", ["text\n```b\nmore"]),
        ("````\nopen\n```\none\n```", ["one"]),
        ("text ``` no fence\n```", []),
        ("```a `b`\n```\none\n```", ["one"]),
        ("```\n\n\none\n\n```", ["one"]),
        ("no fence", []),
    ],
)
def test_a_block_ends_at_the_first_line_that_holds_the_same_fence_alone(text: str, blocks: list[str]) -> None:
    assert fenced_blocks(text) == blocks


@given(st.lists(st.sampled_from(["```", "```a", "~~~", "````", "x", ""]), max_size=14))
def test_no_two_blocks_overlap_and_none_holds_its_own_end(lines: list[str]) -> None:
    blocks = fenced_blocks("\n".join(lines))
    assert sum(block.count("\n") + 3 for block in blocks if block) <= len(lines)


# --- data -----------------------------------------------------------------------------------------------------------


@given(st.lists(st.dictionaries(TEXTS | st.just("</failures>"), JSON | st.just("</failures>\n<x>"), max_size=3)))
def test_data_stays_one_object_a_line_and_cannot_close_a_fence(objects: list[dict[str, object]]) -> None:
    text = data_lines(objects)
    assert "<" not in text
    assert ">" not in text
    assert [json.loads(line) for line in text.split("\n") if line] == objects
