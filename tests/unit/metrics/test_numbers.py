from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptprop.domain.errors import ConfigError
from promptprop.metrics.numbers import find_numbers, number_of


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("The total is $1,234.50.", ["1234.50"]),
        ("1,234,567", ["1234567"]),
        ("1\u00a0234\u202f567 and 1'000", ["1234567", "1000"]),
        ("1,2,3", ["1", "2", "3"]),
        ("1234,567", ["1234", "567"]),
        ("-5, +6, −7, -$8, $-9", ["-5", "6", "-7", "-8", "-9"]),
        ("- 42 is a bullet", ["42"]),
        ("2024-01-02", ["2024", "1", "2"]),
        ("from 3-5", ["3", "5"]),
        ("1.5e3 or 2E-2", ["1.5E+3", "0.02"]),
        ("12 eggs, 5km, 30%", ["12", "5", "30"]),
        (".5 and 3.", ["0.5", "3"]),
        ("GPT4 v1.2.3 x7", []),
        (r"\boxed{42}", ["42"]),
        ("４２", ["42"]),
        ("EUR 12 and 9 €", ["12", "9"]),
        ("nan inf Infinity", []),
        ("-1e999", ["-Infinity"]),
        ("1e-999999999999", ["0"]),
    ],
)
def test_numbers_are_found_as_people_write_them(text: str, numbers: list[str]) -> None:
    assert [str(number) for number in find_numbers(text)] == numbers


def test_a_decimal_comma_changes_what_separates_thousands() -> None:
    assert find_numbers("1.234,50", decimal=",") == [Decimal("1234.50")]


def test_a_percentage_can_be_read_as_a_fraction_without_rounding() -> None:
    assert find_numbers("12.3 % of 40", percent=True) == [Decimal("0.123"), Decimal(40)]


@settings(max_examples=200, deadline=None, database=None, derandomize=True)
@given(st.integers(-(10**15), 10**15), st.integers(0, 99))
def test_thousands_separators_survive_a_round_trip(whole: int, cents: int) -> None:
    assert find_numbers(f"so {whole:,}.{cents:02}!") == [Decimal(f"{whole}.{cents:02}")]


@pytest.mark.parametrize(
    "value", [True, None, float("nan"), float("inf"), 10**400, "two", "1 or 2", "1e999", [1], {"a": 1}]
)
def test_what_is_not_one_finite_number_is_none(value: object) -> None:
    assert number_of(value) is None


def test_the_last_the_first_or_the_only_number_counts(judge) -> None:
    assert judge("numeric", "2 + 2 = 4", 4).score == 1
    assert judge("numeric", "4, that is 2 + 2", 4, take="first").score == 1
    several = judge("numeric", "2 + 2 = 4", 4, take="only")
    assert several.score == 0
    assert "the answer has 3" in several.feedback


def test_tolerances_are_absolute_or_relative_to_what_is_expected(judge) -> None:
    assert judge("numeric", "101", 100).score == 0
    assert judge("numeric", "101", 100, absolute=1).score == 1
    assert judge("numeric", "99", 100, relative=0.01).score == 1
    assert judge("numeric", "98.9", 100, relative=0.01).score == 0
    assert judge("numeric", "0.3", 0.1 + 0.2).score == 0
    assert judge("numeric", "0.3", 0.3).score == 1


def test_partial_credit_falls_in_a_straight_line(judge) -> None:
    assert judge("numeric", "105", 100, linear=0.1).score == 0.5
    assert judge("numeric", "106", 100, linear=0.11, relative=0.01).score == 0.5
    assert judge("numeric", "120", 100, linear=0.1).score == 0
    assert judge("numeric", "0.05", 0, linear=0.1).score == 0.5


def test_any_of_several_numbers_is_right(judge) -> None:
    assert judge("numeric", "7", [5, "7"]).score == 1


def test_the_feedback_names_expected_got_and_the_error(judge) -> None:
    assert judge("numeric", "It is 1,300.", 1234).feedback == 'expected 1,234, got 1,300, off by 66; in "It is 1,300."'
    assert "has no number" in judge("numeric", "none", 3).feedback
    assert "too large" in judge("numeric", "1e999", 3).feedback
    assert judge("numeric", "3", "a lot").score is None


def test_infinite_tolerances_are_refused(judge) -> None:
    with pytest.raises(ConfigError, match="finite"):
        judge("numeric", "3", 3, absolute=float("inf"))
