"""Patterns that are slow to fail: how far they are looked for, and that what they find is what `re` finds."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptprop.metrics.backtracking import Tangled, fullmatch, search, ways_of
from promptprop.metrics.patterns import TEXT_LIMIT, compile_pattern

SLOW = [  # each with a text of which some thousand characters keep it busy for minutes
    (r"\s*\s*\s*x", " "),
    (r".*foo.*bar", "foo"),
    (r"(.*)(.*)(.*)(.*)x", "ab"),
    (r"(a|aa)+$", "aaaaaaa "),
    (r"(a|ab|b)*c", "ab"),
    (r"(?:a?){30}a{30}", "a"),
    (r"(?:\d+|\w+|\s)*!", "1"),
    (r"^(.*?,){11}P", "x,"),
    (r"a+b+c+d", "a"),
    (r"\w+\d", "_"),
    (r"(.*)\1x", "1,"),
    (r"(.)\1*$", " "),
    (r"(?:\w+ )*\w+!", "a1 "),
    (r"(?=.*\d)(?=.*[a-z]).*!", "perhaps "),
    (r"(?i)[a-z]+[0-9]*x", "ab"),
    (r"(a*)*b", "a"),
    (r"(x)?(?(1)x*|y)x*y", "x"),
]
COMMON = [
    *(r"Answer:\s*(.*)", r".*foo.*bar", r"(\d+(?:\.\d+)?)\s*%", r"(?i)\b(yes|no)\b", r"(?s).*\b(\d+)\b"),
    *(r"\*\*(.+?)\*\*", r"(?s)```json\s*(.*?)```", r"(?m)^\s*[-*] .+$", r"(?s)total.*(\d+).*dollars"),
    *(r"\b\w+@\w+\.\w+\b", r"[A-Z]\w+\s+\d+"),
]
PROSE = "The desk of Foo has 12 people, and each of them answers 30 letters a day (that is 7.5 % of all).\n" * 200


@pytest.mark.no_cover
@pytest.mark.parametrize(("pattern", "unit"), SLOW, ids=[pattern for pattern, _ in SLOW])
@pytest.mark.parametrize("look", [search, fullmatch])
def test_a_pattern_that_is_slow_to_fail_is_looked_for_as_far_as_it_is_swift(look, pattern: str, unit: str) -> None:
    text = (unit * TEXT_LIMIT)[:TEXT_LIMIT] + "~"
    began = time.thread_time()
    match, reached = look(re.compile(pattern), text)
    assert time.thread_time() - began < 20, "without a limit, minutes or years"
    assert match is None or reached == len(text) or match.end() <= reached


@pytest.mark.no_cover
@pytest.mark.parametrize("pattern", COMMON)
def test_common_patterns_see_the_whole_of_a_long_answer(pattern: str) -> None:
    text = f"{PROSE[:TEXT_LIMIT]}"
    match, reached = search(re.compile(pattern), text)
    assert reached == len(text)
    assert (match and match.span()) == ((found := re.search(pattern, text)) and found.span())


@pytest.mark.no_cover
def test_a_pattern_that_finds_the_last_number_finds_it_at_the_end_of_a_long_line() -> None:
    text = "x " * 9000 + "and 42"
    match, reached = search(re.compile(r"(?s)\w.*\b(\d+)"), text)
    assert (match and match.group(1), reached) == ("42", len(text))
    assert search(re.compile(r"(?s).*\b(\d+)"), "x " * 9000)[0] is None


@pytest.mark.parametrize("pattern", [r"(\w+\s?)*$", r"(a|aa)+$", r"(?:a|aa)+\b", r"(?:a|aa)+(?!a)"])
def test_the_end_of_what_is_looked_at_is_not_taken_for_the_end_of_the_text(pattern: str) -> None:
    match, reached = search(re.compile(f"^{pattern}"), "a" * 19_000 + "a!")
    assert match is None
    assert reached < 19_000


@pytest.mark.no_cover
@pytest.mark.parametrize(
    "pattern",
    [
        r"(?:a?|b?){30}c",
        r"(?:(?:a?|b?){30})*c",
        pytest.param("a?" * 5000, id="many that may be left out"),  # minutes, where each is counted on its own
        pytest.param("(a*b*)" * 1600, id="many groups that may be empty"),
        pytest.param("(?=a)" * 1999, id="many looks ahead"),
    ],
)
def test_a_pattern_that_is_slow_on_any_text_is_refused(pattern: str) -> None:
    with pytest.raises(Tangled):
        ways_of(pattern, 0)
    with pytest.raises(ValueError, match="exponential time"):
        compile_pattern(pattern)


def test_a_pattern_of_endless_length_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 10,000"):
        compile_pattern("a" * 10_001)


atoms = st.sampled_from(
    ["a", "b", ".", "[ab]", "[^a]", r"\w", r"\s", r"\b", "^", "$", "(?=a)", "(?!b)", "(?<=a)", r"\Z"]
)
patterns = st.recursive(
    atoms,
    lambda inner: (
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "*?", "+?"])).map(
            lambda p: f"(?:{p[0]}){p[1]}"
        )
        | st.lists(inner, min_size=1, max_size=3).map("".join)
        | st.lists(inner, min_size=2, max_size=2).map(lambda parts: f"({'|'.join(parts)})")
    ),
    max_leaves=6,
)


@settings(max_examples=400, deadline=None, database=None, derandomize=True)
@given(patterns, st.text("ab \n", max_size=14), st.sampled_from([0, re.IGNORECASE, re.MULTILINE, re.DOTALL]))
def test_on_short_texts_it_finds_what_re_finds(pattern: str, text: str, flags: int) -> None:
    try:
        compiled = re.compile(pattern, flags)
        ways_of(compiled.pattern, compiled.flags)
    except (re.error, Tangled):
        return
    for look, own in ((search, compiled.search), (fullmatch, compiled.fullmatch)):
        match, reached = look(compiled, text)
        if reached == len(text):
            assert (match and match.span()) == ((found := own(text)) and found.span())


def test_metrics_tell_how_far_they_looked(judge: Any) -> None:
    text = "foo " * 5000
    said = "the answer (first 685 characters) has no part of the form"  # on every machine
    assert judge("regex", text, pattern=r".*foo.*bar").feedback.startswith(said)
    assert judge("regex", text, r".*foo.*bar").feedback.startswith(said)
    assert " in its first " in judge("exact", text, "x", extract=r".*foo.*(bar)").feedback
    fitting = judge("form", text, matches=r"(?s).*foo.*foo.*bar")
    assert (fitting.score, "only its first " in fitting.feedback) == (0, True)
