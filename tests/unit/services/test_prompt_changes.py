"""Which lines of a prompt changed, and which one a row goes back to."""

from __future__ import annotations

from promptprop.domain.models import Candidate, Message, Prompt
from promptprop.services.prompt_changes import Change, ChangedLines, changes_of


def main(text: str) -> Candidate:
    return Candidate({"main": Prompt.of(text)})


def test_lines_that_went_and_came_stand_at_their_line_of_the_candidate() -> None:
    before, after = main("a\nb\nc\nd"), main("a\nB\nc\nd\ne")
    found = [(one.mark, one.text, one.line) for one in changes_of(before, after)]
    assert found == [("-", "b", 2), ("+", "B", 2), ("+", "e", 5)]


def test_a_line_that_went_stands_where_the_next_one_is_now() -> None:
    assert [one.line for one in changes_of(main("a\nb\nc"), main("a\nc"))] == [2]
    assert [one.line for one in changes_of(main("a\nb\nc"), main("a"))] == [1, 1], "the last line, where none follows"
    assert changes_of(main("a"), main("a")) == []


def test_each_step_of_a_chain_is_compared_with_itself() -> None:
    before = Candidate({"one": Prompt.of("a"), "two": Prompt.of("b")})
    after = Candidate({"one": Prompt.of("a"), "two": Prompt((Message("system", "s"), Message("user", "b")))})
    changes = changes_of(before, after)
    assert {one.step for one in changes} == {"two"}
    assert [one.line for one in changes if one.mark == "+" and one.text == "### system"] == [1]


LINES = [
    Change("main", "-", "- refunds go to returns", 3),
    Change("main", "+", "- refunds go to billing, always", 3),
    Change("main", "+", "- stolen phones go to security", 9),
]


def test_the_line_that_shares_most_words_with_what_was_at_stake_is_nearest() -> None:
    assert ChangedLines(LINES).nearest("security technical", "My phone is gone") == LINES[2]
    assert ChangedLines(LINES).nearest("returns sales", "where is my money") == LINES[0]


def test_where_nothing_or_several_lines_speak_for_it_none_is() -> None:
    assert ChangedLines(LINES).nearest("other words", "and none of these") is None
    assert ChangedLines(LINES).nearest("refunds", "") is None, "two lines have it"
    assert ChangedLines([]).nearest("returns", "") is None


def test_the_only_changed_line_is_nearest_to_every_row() -> None:
    assert ChangedLines([LINES[2], Change("main", "+", "  ", 4)]).nearest("nothing", "of it") == LINES[2]
