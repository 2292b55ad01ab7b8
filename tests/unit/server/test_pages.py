"""Cursors hold a position, and nothing else is taken for one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.server.pages import decoded, encoded, page_of
from promptprop.server.problems import Refused


@given(st.text(), st.integers(min_value=0, max_value=2**53))
def test_a_cursor_gives_back_the_position_that_it_holds(text: str, number: int) -> None:
    assert decoded(encoded(text, number), str, int) == [text, number]


@given(st.text(max_size=60))
def test_whatever_else_is_sent_as_a_cursor_is_refused_with_400(text: str) -> None:
    refusal = None
    try:
        found = decoded(text, int, str)
    except Refused as error:
        refusal = error
    if refusal is not None:
        assert (refusal.status, refusal.code) == (400, "bad_cursor")
    else:
        assert [type(one) for one in found or []] == [int, str]


@pytest.mark.parametrize("position", [(), (1,), (1, 2, 3), ([1], 2), (None, 2), ("x", "y")])
def test_a_cursor_of_another_list_is_refused(position: tuple[Any, ...]) -> None:
    with pytest.raises(Refused):
        decoded(encoded(*position), int, str)


def test_the_last_page_has_no_cursor() -> None:
    assert page_of([1, 2], 2, lambda one: (one,)) == ([1, 2], None)


def test_a_page_with_more_behind_it_names_its_last_item() -> None:
    shown, cursor = page_of([1, 2, 3], 2, lambda one: (one,))
    assert shown == [1, 2]
    assert decoded(cursor, int) == [2]
