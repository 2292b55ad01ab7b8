"""Differences of prompts, as documents."""

from __future__ import annotations

from promptprop.bootstrap.prompt_diff import changed_lines, changed_words, diff_json
from promptprop.bootstrap.references import Named
from promptprop.domain.models import Candidate, Demo, Program, Prompt, Step

CHAIN = Program((Step("draft", "text"), Step("tidy", "answer")))


def named(label: str, draft: str, tidy: str, *demos: Demo) -> Named:
    return Named(label, Candidate({"tidy": Prompt.of(tidy), "draft": Prompt.of(draft)}, demos), CHAIN)


def test_each_step_tells_its_lines_and_words_in_the_order_of_the_chain() -> None:
    document = diff_json(named("a", "be kind", "same"), named("b", "be very kind", "same"))
    assert [(step["step"], step["equal"]) for step in document["steps"]] == [("draft", False), ("tidy", True)]
    assert document["steps"][0]["lines"][-2:] == ["-be kind", "+be very kind"]
    assert document["steps"][0]["words"][1] == {"kind": "added", "text": "very "}
    assert document["steps"][1]["lines"] == []
    assert (document["equal"], document["demos_changed"]) == (False, False)


def test_other_demos_are_a_change() -> None:
    document = diff_json(named("a", "x", "y"), named("b", "x", "y", Demo("r1", {"text": "q"}, "a")))
    assert (document["equal"], document["demos_changed"]) == (False, True)


def test_a_step_that_only_one_of_both_has_is_added() -> None:
    single = Named("one", Candidate({"main": Prompt.of("hello")}), Program((Step("main", "answer"),)))
    document = diff_json(single, named("b", "x", "y"))
    assert [step["step"] for step in document["steps"]] == ["main", "draft", "tidy"]
    assert document["steps"][1]["words"] == [{"kind": "added", "text": "x"}]


def test_texts_that_would_take_minutes_are_not_compared() -> None:
    long = "word " * 20_000
    assert changed_words(long, long) is None
    assert changed_lines("a\n" * 20_000, "a\n" * 30_000, ("x", "y")) is None
    assert changed_words("word " * 500, "word " * 501) is not None
