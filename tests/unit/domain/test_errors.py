"""The error tree: exit codes, codes, remedies, and places with a caret."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.domain import errors
from promptprop.domain.errors import (
    BudgetSpent,
    ConfigError,
    DataError,
    ModelError,
    Place,
    Problem,
    PromptPropError,
    RateLimited,
    raise_failure,
)
from promptprop.domain.models import Failure

DOCUMENTED = {2, 4, 5, 6, 70, 130}
CLASSES = [found for found in vars(errors).values() if isinstance(found, type) and issubclass(found, PromptPropError)]
MODEL_ERRORS = [found for found in CLASSES if issubclass(found, ModelError)]


@pytest.mark.parametrize("error", CLASSES)
def test_every_error_has_a_documented_exit_code_and_says_what_it_is(error: type[PromptPropError]) -> None:
    assert error.exit_code in DOCUMENTED
    assert error.code.isidentifier()
    assert error.__doc__


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [error.code for error in CLASSES]
    assert sorted(codes) == sorted(set(codes))


def test_no_class_is_an_error_of_the_tree_without_being_one_exception() -> None:
    assert not issubclass(BudgetSpent, PromptPropError)
    assert BudgetSpent("calls").cap == "calls"


@pytest.mark.parametrize("error", MODEL_ERRORS)
def test_a_stored_failure_is_raised_again_as_the_class_it_came_from(error: type[ModelError]) -> None:
    with pytest.raises(error) as caught:
        raise_failure(Failure(error.code, "what happened", "what to do"))
    assert type(caught.value) is error
    assert (caught.value.message, caught.value.remedy) == ("what happened", "what to do")


def test_a_stored_failure_of_an_unknown_code_is_a_plain_model_error() -> None:
    with pytest.raises(ModelError) as caught:
        raise_failure(Failure("from_a_later_version", "what happened"))
    assert type(caught.value) is ModelError


@pytest.mark.parametrize("error", MODEL_ERRORS)
def test_every_model_error_says_what_follows(error: type[ModelError]) -> None:
    assert error.policy in {"retry", "missing", "stop"}
    assert error.exit_code == 4 or error.policy == "stop"


def test_what_the_provider_asked_for_is_kept() -> None:
    assert RateLimited("slow down", retry_after=2.5).retry_after == 2.5
    assert RateLimited("slow down").retry_after is None


def test_message_and_remedy_stand_on_two_lines() -> None:
    assert str(PromptPropError("it broke", remedy="mend it")) == "it broke\n    → mend it"
    assert str(PromptPropError("it broke")) == "it broke"


def test_an_input_error_tells_all_its_problems() -> None:
    problems = [Problem("one", Place("a.yaml", 3, 2)), Problem("two", remedy="mend it")]
    error = ConfigError(problems)
    assert error.problems == tuple(problems)
    assert str(error) == "a.yaml:3:2: one\ntwo\n    → mend it"


def test_a_text_is_a_problem_without_a_place() -> None:
    assert DataError("no rows", remedy="add some").problems == (Problem("no rows", remedy="add some"),)
    assert DataError(Problem("no rows")).problems == (Problem("no rows"),)


@pytest.mark.parametrize(
    ("place", "text"),
    [(Place("a.yaml"), "a.yaml"), (Place("a.yaml", 3), "a.yaml:3"), (Place("a.yaml", 3, 7), "a.yaml:3:7")],
)
def test_a_place_names_what_is_known_of_it(place: Place, text: str) -> None:
    assert str(place) == text


@pytest.mark.parametrize("place", [Place("a.yaml"), Place("a.yaml", 1, 0, "key: 1"), Place("a.yaml", 1, 4, "")])
def test_without_a_column_or_a_source_there_is_no_caret(place: Place) -> None:
    assert place.caret() == ""


def test_the_caret_stands_below_the_column_and_tabs_stay_tabs() -> None:
    assert Place("a.yaml", 1, 6, "key: valu").caret() == "    key: valu\n         ^"
    assert Place("a.yaml", 1, 3, "\t\tkey").caret() == "    \t\tkey\n    \t\t^"


@given(st.text("ab\t ", min_size=1, max_size=12), st.data())
def test_what_stands_before_the_caret_is_as_wide_as_what_stands_before_the_column(
    source: str, data: st.DataObject
) -> None:
    column = data.draw(st.integers(1, len(source)))
    above, below = Place("a", 1, column, source).caret().split("\n")
    assert below.endswith("^")
    assert len(below) == len("    ") + column
    assert len(above[: column + 3].expandtabs()) == len(below[:-1].expandtabs())


def test_a_column_behind_the_end_of_the_line_still_shows_a_caret() -> None:
    assert Place("a.yaml", 1, 9, "key:").caret().endswith("^")


def test_a_problem_shows_its_place_the_line_and_the_remedy_in_this_order() -> None:
    problem = Problem("unknown key", Place("a.yaml", 2, 3, "  ky: 1"), "did you mean key?")
    assert str(problem).split("\n") == [
        "a.yaml:2:3: unknown key", "      ky: 1", "      ^", "    → did you mean key?",
    ]  # fmt: skip
