"""Instructions told from what a prompt shows."""

from __future__ import annotations

import pytest

from promptprop.services.lint_sentences import MOST, repeated_item, sentences_of


def said(text: str) -> list[str]:
    return [one.said for one in sentences_of(text)]


def test_sentences_and_items_come_with_their_spans_and_without_bullets() -> None:
    text = "Name the desk. Be kind to people!\n- Use one label.\n2) Nothing else."
    assert said(text) == ["Name the desk.", "Be kind to people!", "Use one label.", "Nothing else."]
    assert [text[one.start : one.end].strip() for one in sentences_of(text)][2] == "- Use one label."


def test_variables_stand_in_by_their_names() -> None:
    (one, other) = sentences_of("Answer about {{ text }} only.\nAnswer about {{- date | upper }} only.")
    assert (one.said, one.shows, other.shows) == ("Answer about  text  only.", ("text",), ("date",))
    assert not one.comparable(other)


@pytest.mark.parametrize(
    "shown",
    [
        "```\nName the desk.\nName the desk.\n```",
        "```json\nName the desk, and never close it.",
        '{"queue": "delivery", "priority": "high"}',
        "## Output and its form",
        "| one cell | another one |",
        "<customer message>",
        "### user",
        "### assistant\nThe desk is delivery.\nSo it is delivery.",
        "short",
        "1234567890",
    ],
)
def test_what_is_shown_is_no_instruction(shown: str) -> None:
    assert said(f"Answer in one word.\n{shown}")[1:] == []


def test_after_an_answer_of_an_assistant_instructions_go_on() -> None:
    text = "### assistant\nThe desk is delivery.\n### user\nName the desk of this one."
    assert said(text) == ["Name the desk of this one."]


def test_lines_of_two_examples_are_not_compared() -> None:
    one, other, rule = sentences_of("Answer: delivery now\n- answer: delivery now\nName the delivery now")
    assert (one.label, other.label, rule.label) == ("answer", "answer", "")
    assert not one.comparable(other)
    assert one.comparable(rule)


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("- Be kind to people.\n- Name the desk.\n- Be kind to people.\nMore here.", "- Be kind to people.\n"),
        ("* Be kind to people.\n* Be kind to people.", "* Be kind to people."),
        ("Be kind to people.\nBe kind to people.", None),
        ("1. Be kind to people.\n2. Be kind to people.", None),
        ("- Be kind to people.\n\n- Be kind to people.", None),
        ("- Be kind to people.\n{% if vip %}\n- Be kind to people.\n{% endif %}", None),
        ("- Be kind to people.\n- Be kind to people. Use JSON.", None),
    ],
)
def test_only_an_item_of_the_same_list_can_be_taken_away(text: str, taken: str | None) -> None:
    same = [one for one in sentences_of(text) if one.said.startswith("Be kind") or "kind" in one.said]
    span = repeated_item(text, same[0], same[1]) if len(same) > 1 else None
    assert (text[slice(*span)] if span else None) == taken


def test_no_more_are_looked_at_than_can_be_compared() -> None:
    assert len(sentences_of("Name the desk now.\n" * (MOST + 50))) == MOST
