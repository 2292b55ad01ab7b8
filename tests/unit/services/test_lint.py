"""The static checks of prompts: what each finds, what it lets pass, and what is mended."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.services.lint import RULES, Finding, Surroundings, fixed_text, line_and_column, lint_text, mended

ROOT = Path(__file__).parents[3]
GOOD = 'Name the desk.\n\n- billing\n- sales\n\nAnswer with one label only.\n\nMessage:\n"""\n{{ text }}\n"""\n'
KNOWN = Surroundings(frozenset({"text"}), frozenset({"billing", "sales"}))


def ids(text: str, around: Surroundings = Surroundings()) -> set[str]:  # noqa: B008 - frozen, and empty
    return {one.id for one in lint_text(text, around)}


def test_a_good_prompt_has_no_findings() -> None:
    assert lint_text(GOOD, KNOWN) == []


@pytest.mark.parametrize(
    ("rule", "bad", "good"),
    [
        ("PP003", "Answer in JSON.\nName the customer's desk.\nName the customer's desk!", "Be kind. Use JSON."),
        ("PP004", "Be brief.\nExplain everything in great detail. Use JSON.", "Be brief. Use JSON."),
        ("PP004", "Reply with JSON only.\nExplain your reasoning.", "Reply with JSON only."),
        ("PP004", "Always mention the order number in a reply.\nNever mention the order number in a reply.",
         "Always mention the order number.\nNever mention the price of a competitor."),
        ("PP004", "Keep a formal tone in your reply.\nBe chatty.", "Keep a formal tone in your reply."),
        ("PP005", "Which desk is it?", "Which desk is it? Answer with the name of the desk only."),
        ("PP007", "Answer in JSON. " + "word " * 1300, "Answer in JSON."),
        ("PP008", "Answer in JSON. Use sk-abcdefghijklmnopqrstuvwxyz1234.", "Answer in JSON. Key:\n{{ key }}"),
        ("PP008", "Answer in JSON.\npassword: hunter2hunter2", "Answer in JSON.\npassword: {{ password }}"),
        ("PP008", "Answer in JSON.\n-----BEGIN RSA PRIVATE KEY-----", "Answer in JSON.\n-----BEGIN-----"),
        ("PP008", "Answer in JSON.\ntoken = abcdefgh1", "Answer in JSON.\n- password: questions about signing in"),
        ("PP009", "Answer in JSON, as appropriate.", "Answer in JSON."),
        ("PP010", "Answer in JSON to {{ text }} and be kind.", "Answer in JSON.\n\nText:\n{{ text }}"),
        ("PP010", "Answer in JSON. The text is {{ text }}", "Answer in JSON.\n<text>{{ text }}</text>"),
        ("PP011", "Answer in JSON.\n```\n{{ text }}", "Answer in JSON.\n```\n{{ text }}\n```"),
        ("PP011", "Answer in JSON.\n<text>\n{{ text }}", "Answer in JSON.\n<text>\n{{ text }}\n</text>"),
        ("PP012", "Answer in JSON. \n", "Answer in JSON.\n"),
        ("PP012", "Answer in JSON.\n\n\n\n\nText:\n{{ text }}", "Answer in JSON.\n\n\nText:\n{{ text }}"),
        ("PP013", "Answer in JSON. TODO: the rules", "Answer in JSON. To do this, read the rules."),
        ("PP013", "Answer in JSON for [your company].", "Answer in JSON for Wheelhouse [since 1990]."),
        ("PP014", "Answer in JSON.\n{% if x %}", "Answer in JSON.\n{% if x %}y{% endif %}"),
    ],
)  # fmt: skip
def test_each_check_tells_bad_from_good(rule: str, bad: str, good: str) -> None:
    assert rule in ids(bad), bad
    assert rule not in ids(good), good


def test_variables_are_held_against_the_columns() -> None:
    around = Surroundings(frozenset({"text", "date"}))
    found = lint_text("Answer in JSON.\n\nText:\n{{ txt }}", around)
    assert [(one.id, one.message) for one in found] == [
        ("PP002", "the column date is listed as an input, and no prompt shows it"),
        ("PP002", "the column text is listed as an input, and no prompt shows it"),
        ("PP001", "{{ txt }} is filled by nothing: there is date, text"),
    ]
    assert ids("Answer in JSON.\n\n{{ text.body }}\n{{ date }}", around) == set()
    assert "PP001" not in ids("Answer in JSON.\n{{ anything }}"), "where nothing is known of columns, nothing is said"


def test_labels_are_held_against_the_data_both_ways() -> None:
    around = Surroundings(labels=frozenset({"billing", "sales", "returns"}))
    some = lint_text("Answer with one label only:\n- billing\n- refunds\n- sales\n", around)
    assert [one.message for one in some if one.id == "PP006"] == [
        "rows expect returns, which the prompt does not name",
        "no row expects 'refunds', which stands among the labels",
    ]
    (none,) = [one for one in lint_text("Answer with one label only.", around) if one.id == "PP006"]
    assert none.message == "the prompt names none of the labels that rows expect: billing, returns, sales"
    assert ids("Answer with one label only: Billing, SALES or returns.", around) == set()


def test_places_count_lines_and_columns_from_one() -> None:
    text = "Answer in JSON.\nBe nice."
    (found,) = lint_text(text, Surroundings())
    assert line_and_column(text, found.start) == (2, 4)
    assert text[found.start : found.end] == "nice"


def test_safe_fixes_are_made_and_leave_nothing_to_mend() -> None:
    text = "Answer in JSON.  \n- Name the desk.\n- Be kind to people.\n- Name the desk.\n\n\n\n\n\nText:\n{{ text }}\n"
    better = mended(text, Surroundings())
    assert better == "Answer in JSON.\n- Name the desk.\n- Be kind to people.\n\n\nText:\n{{ text }}\n"
    assert not [one for one in lint_text(better, Surroundings()) if one.fixed is not None]


def test_what_is_said_again_in_other_words_is_told_and_not_touched() -> None:
    text = (
        "Answer in JSON.\nName the one desk that has to deal with it.\nThe one desk that has to deal with it: name.\n"
    )
    (found,) = lint_text(text, Surroundings())
    assert (found.id, found.fixed) == ("PP003", None)


EXAMPLES = """Answer with one label only.

Message: where is my parcel
Answer: delivery

Message: it did not arrive
Answer: delivery

```json
{"priority": "high"},
{"priority": "high"}
```
"""
TURNS = "".join(f"### user\nmy parcel {n}, sent in week {n}\n### assistant\ndelivery\n" for n in (1, 20))


@pytest.mark.parametrize("text", [EXAMPLES, TURNS], ids=["examples", "turns"])
def test_examples_that_repeat_themselves_are_neither_told_nor_touched(text: str) -> None:
    assert "PP003" not in ids(text)
    assert mended(text, Surroundings()) == text


def test_sentences_that_show_other_variables_are_no_duplicates() -> None:
    text = "Answer in JSON.\n- Name the desk of {{ text }} here.\n- Name the desk of {{ date }} here.\n"
    assert "PP003" not in ids(text)
    assert mended(text, Surroundings()) == text


@pytest.mark.parametrize(
    ("text", "undefined"),
    [
        ("{% for word in text %}{{ word }}{{ loop.index }}{% endfor %}", []),
        ("{{ 5 }} {{- text -}}", []),
        ("{% if date %}{{ text }}{% endif %}", [(0, "{% if date %}")]),
        ("{{ text }}{{ date }}{{ date }}", [(10, "{{ date }}"), (20, "{{ date }}")]),
    ],
)
def test_what_a_template_needs_is_known_from_the_template(text: str, undefined: list[tuple[int, str]]) -> None:
    around = Surroundings(frozenset({"text"}))
    found = [one for one in lint_text(f"Answer in JSON. {text}", around) if one.id == "PP001"]
    assert [(one.start - 16, text[one.start - 16 : one.end - 16]) for one in found] == undefined
    assert "PP002" not in ids(text, around)


def test_of_a_template_that_cannot_be_read_its_placeholders_tell() -> None:
    found = lint_text("Answer in JSON. {{ text }} {{ nope }} {% if", Surroundings(frozenset({"text", "date"})))
    assert {one.id: one.message for one in found if one.id in ("PP001", "PP002")} == {
        "PP001": "{{ nope }} is filled by nothing: there is date, text",
        "PP002": "the column date is listed as an input, and no prompt shows it",
    }


def test_braces_of_a_literal_prompt_are_no_placeholders() -> None:
    text = "Answer in JSON like {{ so }}. {% if"
    assert ids(text, Surroundings(frozenset({"text"}))) >= {"PP010", "PP014"}
    assert ids(text, Surroundings(frozenset({"text"}), literal=True)) == {"PP002"}


@pytest.mark.parametrize("text", ["\n" * 60_000, "- billing\n- " + " " * 60_000 + "x\n- sales", "{{ a" * 20_000,
                                  "{{ " + "a" * 60_000, "token:" * 10_000, "<a>\n" * 20_000])  # fmt: skip
def test_no_check_takes_long_over_any_text(text: str) -> None:
    started = time.perf_counter()
    lint_text(text, KNOWN)
    assert time.perf_counter() - started < 20  # where it took minutes, and takes half a second


def test_fixes_that_overlap_are_made_once() -> None:
    findings = [Finding("a", "", 0, 3, "x"), Finding("b", "", 2, 5, "y"), Finding("c", "", 5, 6, "")]
    assert fixed_text("abcdef", findings) == "xde"


def test_each_rule_finds_what_carries_its_own_id() -> None:
    bad = (
        "Be brief. Name the desk.\nName the desk.\nExplain it all in great detail, as appropriate.  \nTODO: rules\n"
        "Use sk-abcdefghijklmnopqrstuvwxyz1234 with {{ date }} in it.\n```\n{% if x %}\n" + "word " * 1300
    )
    known = Surroundings(frozenset({"text"}), frozenset({"billing", "sales"}))
    for rule in RULES.values():
        assert {one.id for one in rule.check(bad, known)} == {rule.id}


def test_checks_can_be_left_out_and_each_says_why_it_is_made() -> None:
    assert lint_text("Be nice. Answer in JSON.", Surroundings(), frozenset({"PP009"})) == []
    for name, rule in RULES.items():
        assert name == rule.id
        assert rule.severity in ("error", "warning", "note")
        assert rule.why.endswith(".")


@pytest.mark.parametrize("name", ["invoices", "replies", "ticket-facts"])
def test_the_shipped_prompts_pass(name: str) -> None:
    assert lint_text((ROOT / "configs" / "prompts" / f"{name}.md").read_text("utf-8"), Surroundings()) == []


@given(st.text(st.characters(blacklist_categories=("Cs",)), max_size=300))
def test_any_text_can_be_checked_and_mended(text: str) -> None:
    findings = lint_text(text, KNOWN)
    assert all(0 <= one.start <= one.end <= len(text) for one in findings)
    assert len(fixed_text(text, findings)) <= len(text)
    assert not [one for one in lint_text(mended(text, KNOWN), KNOWN) if one.fixed is not None]
