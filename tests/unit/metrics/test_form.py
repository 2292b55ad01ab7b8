"""The form of an answer: length, rules of form, and whether it comes to the point."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.domain.errors import ConfigError
from promptprop.domain.models import Example, Judgement
from promptprop.metrics.form import count_of
from promptprop.metrics.scoring import MetricSpec, build_scorer


def judge(kind: str, output: str, **options: Any) -> Judgement:
    return build_scorer([MetricSpec("m", kind, options=options)], Path()).judge(output, Example("1", {}))["m"]


@pytest.mark.parametrize(
    ("words", "score"), [(0, 0.0), (3, 0.5), (4, 1.0), (8, 1.0), (9, 0.75), (10, 0.5), (12, 0.0), (99, 0.0)]
)
def test_a_length_falls_off_beyond_its_bounds(words: int, score: float) -> None:
    said = judge("length", "word " * words, least=4, most=8)
    assert said.score == pytest.approx(score)
    assert ("are wanted" in said.feedback) == (score < 1)


def test_without_tolerance_a_bound_is_a_bound() -> None:
    assert judge("length", "abc", unit="characters", most=2, tolerance=0).score == 0
    assert judge("length", "", least=1).score == 0
    assert judge("length", "x", most=0, unit="characters").score == 0


def test_units_are_counted_as_one_would() -> None:
    text = "Dear Ann,\n\nit is here. Really! Is it…?\n"
    assert count_of(text, "words") == 8
    assert count_of(text, "lines") == 2
    assert count_of(text, "sentences") == 4
    assert count_of("...", "sentences") == 0


@pytest.mark.parametrize(
    ("rules", "good", "bad"),
    [
        ({"one_line": True}, "yes", "yes\nno"),
        ({"json_only": True}, '{"a": 1}', 'So: {"a": 1}'),
        ({"no_markdown": True}, "Plain - and 2 * 3.", "It is **bold**."),
        ({"no_markdown": True}, "a | b", "# Title"),
        ({"list_items": True}, "- a\n- b", "a and b"),
        ({"starts_with": "Dear"}, "Dear Ann", "dear Ann"),
        ({"ends_with": "."}, "Yes.", "Yes"),
        ({"matches": r"T-\d+"}, "T-12", "T-12!"),
        ({"forbids": ["sorry"]}, "We regret it.", "Sorry!"),
        ({"one_of": ["yes", "no"]}, "no", "No"),
    ],
)
def test_each_rule_tells_good_from_bad_and_says_what_is_broken(rules: dict[str, Any], good: str, bad: str) -> None:
    assert judge("form", good, **rules).score == 1
    said = judge("form", bad, **rules)
    assert said.score == 0
    assert said.feedback.startswith("the answer")


def test_rules_may_count_in_part() -> None:
    said = judge("form", "Dear Ann\nsorry", one_line=True, starts_with="Dear", forbids=["sorry"], partial=True)
    assert said.score == pytest.approx(1 / 3)
    assert said.feedback.count(";") == 1


@pytest.mark.parametrize(
    ("kind", "options"), [("form", {}), ("form", {"matches": "("}), ("length", {}), ("length", {"least": 3, "most": 2})]
)
def test_options_that_say_nothing_or_contradict_themselves_are_refused(kind: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="metric `m`"):
        judge(kind, "x", **options)


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("Billing.", 1.0),
        ("Sure! It goes to billing.", 0.5),
        ("It is perhaps billing, I think.", 0.7),
        ("Billing. Let me know if you need anything else!", 0.75),
        ("Here is the answer: maybe billing. Hope this helps!", 0.1),
        ("As an AI I think that perhaps it seems, maybe, possibly, it depends.", 0.0),
        ("", 1.0),
    ],
)
def test_openings_hedges_and_offers_are_taken_off(text: str, score: float) -> None:
    said = judge("directness", text)
    assert said.score == pytest.approx(score)
    assert bool(said.feedback) == (score < 1)


@given(st.text())
def test_any_text_has_a_directness(text: str) -> None:
    found = judge("directness", text).score
    assert found is not None
    assert 0 <= found <= 1


@pytest.mark.parametrize("unit", ["[", "![", "[a](", "[a](x", "\n", " ", "**", "`", "- ", "-\n", "# ", "|"])
@pytest.mark.parametrize("rule", ["no_markdown", "list_items", "json_only"])
def test_an_answer_that_repeats_itself_takes_no_longer_than_another(unit: str, rule: str) -> None:
    began = time.thread_time()
    judge("form", (unit * 100_000)[:100_000] + "x", **{rule: True})
    assert time.thread_time() - began < 20, "a minute before"


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("see [the page](https://a.example/b_(c))", True),
        ("see [[1] the page](https://a.example)", False),
        ("[![a picture](b.png)](c)", True),
        ("f[i](x)", True),
        ("a [b] (c)", False),
    ],
)
def test_links_are_markdown(text: str, holds: bool) -> None:
    assert judge("form", text, no_markdown=True).score == (0 if holds else 1)


def test_blank_lines_between_items_do_not_keep_them_from_being_a_list() -> None:
    assert judge("form", "\n\n - a\n\n\t2. b", list_items=True).score == 1
    assert judge("form", "- a\n\n\n", list_items=True).score == 0
