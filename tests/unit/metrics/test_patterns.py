from __future__ import annotations

import re

import pytest

from promptprop.domain.errors import ConfigError
from promptprop.metrics.patterns import TEXT_LIMIT, compile_pattern


def test_a_pattern_is_searched_or_must_match_the_whole_answer(judge) -> None:
    assert judge("regex", "it is T-12 ", pattern=r"T-\d+").score == 1
    assert judge("regex", "it is T-12 ", pattern=r"T-\d+", mode="fullmatch").score == 0
    assert judge("regex", " T-12\n", pattern=r"T-\d+", mode="fullmatch").score == 1


def test_flags_are_options(judge) -> None:
    assert judge("regex", "x\nABC", pattern="^abc").score == 0
    assert judge("regex", "x\nABC", pattern="^abc", ignore_case=True, multiline=True).score == 1
    assert judge("regex", "a\nb", pattern="a.b", dotall=True).score == 1


def test_the_row_can_bring_the_pattern_or_several(judge) -> None:
    assert judge("regex", "yes!", ["^no", "^yes"]).score == 1
    wrong = judge("regex", "maybe", ["^no", "^yes"])
    assert (wrong.score, wrong.feedback) == (0, 'the answer has no part of the form "^no" or "^yes"; got "maybe"')
    assert judge("regex", "yes", None).score is None


def test_an_unusable_pattern_is_refused_at_load_but_only_unscores_a_row(judge) -> None:
    with pytest.raises(ConfigError, match="unterminated"):
        judge("regex", "x", pattern="[a")
    row = judge("regex", "x", "[a")
    assert row.score is None
    assert "unterminated" in row.feedback


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+",
        "(a*)*$",
        r"(\w+\s?)*$",
        "(.+,)*",
        "((a+)b?)+",
        "(?:[a-z]+|\\d+)*x",
        "(?i)(a+A)*",
        r"(?:x|\s*y?)+",
        "(a+?)+?",
    ],
)
def test_patterns_that_could_run_for_ever_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="exponential"):
        compile_pattern(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        r"(\w+\s)*",
        r"(?:,\w+)*",
        r"^[a-z0-9]+(?:-[a-z0-9]+)*$",
        r'"(?:[^\\"]|\\.)*"',
        r"^(?:- .+\n)+$",
        r"\{(?:[^{}]|\{[^{}]*\})*\}",
        r"([a-z]+\.)+[a-z]{2,}",
        r"(?P<q>['\"]).*?(?P=q)",
        r"(a)?(?(1)b|c)",
        r"(?<=x)\d+(?!y)",
        "(a+A)*",
        "(?:[ab]{1,3}c+)*",
    ],
)
def test_ordinary_repetitions_are_accepted(pattern: str) -> None:
    assert isinstance(compile_pattern(pattern), re.Pattern)


def test_a_dot_that_matches_line_breaks_makes_a_list_pattern_ambiguous() -> None:
    with pytest.raises(ValueError, match="exponential"):
        compile_pattern(r"^(?:- .+\n)+$", re.DOTALL)


def test_only_the_beginning_of_a_long_answer_is_looked_at(judge) -> None:
    wrong = judge("regex", "x" * TEXT_LIMIT + "end", pattern="end")
    assert wrong.score == 0
    assert "first 20,000 characters" in wrong.feedback
