"""Vectors as texts, and their cosine."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.domain.vectors import cosine, vector_of, vector_text

SINGLES = st.lists(st.floats(-1e10, 1e10, width=32), min_size=1, max_size=20)


@given(SINGLES)
def test_a_vector_survives_as_a_text(vector: list[float]) -> None:
    assert vector_of(vector_text(vector)) == vector


@pytest.mark.parametrize("text", ["", "no vector", "AAA=", "AAAAAAA=", "é", vector_text([math.inf]), vector_text([])])
def test_what_is_no_vector_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="holds no vector"):
        vector_of(text)


@given(SINGLES)
def test_a_cosine_is_bounded_symmetric_and_one_with_itself(vector: list[float]) -> None:
    other = list(reversed(vector))
    assert -1 <= cosine(vector, other) <= 1
    assert cosine(vector, other) == pytest.approx(cosine(other, vector))
    if any(abs(value) > 1e-5 for value in vector):
        assert cosine(vector, vector) == pytest.approx(1.0)
    assert cosine(vector, [0.0] * len(vector)) == 0


def test_vectors_of_different_lengths_have_no_cosine() -> None:
    with pytest.raises(ValueError, match="argument 2 is longer"):
        cosine([1.0], [1.0, 2.0])
