"""Differences of texts, and how long they may take."""

from __future__ import annotations

from promptprop.bootstrap.prompt_diff import changed_lines, changed_words


def test_texts_that_would_take_minutes_are_not_compared() -> None:
    long = "word " * 20_000
    assert changed_words(long, long) is None
    assert changed_lines("a\n" * 20_000, "a\n" * 30_000, ("x", "y")) is None
    assert changed_words("word " * 500, "word " * 501) is not None
