"""How deep JSON is nested, told as its bytes come."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.server.guards.nesting import Nesting

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet=st.sampled_from('"\\[]{}aé\n')),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(alphabet='"\\[a'), below, max_size=4),
    max_leaves=20,
)


def depth_of(value: Any) -> int:
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if below is None else 1 + max(map(depth_of, below), default=0)


def deepest(document: bytes, size: int) -> int:
    nesting = Nesting()
    return max([nesting.deepest(document[at : at + size]) for at in range(0, len(document), size)], default=0)


@given(VALUES, st.integers(1, 9), st.booleans())
def test_the_depth_is_that_of_the_value_however_it_is_cut(value: Any, size: int, ascii_only: bool) -> None:
    assert deepest(json.dumps(value, ensure_ascii=ascii_only).encode(), size) == depth_of(value)


@pytest.mark.parametrize(
    ("document", "depth"),
    [
        (b"[" * 1000, 1000),
        (b'{"a":' * 1000, 1000),
        (b'["\\"[[[[["]', 1),
        (b'["\\\\", [[', 3),
        (b'"\\\\\\"[[[', 0),
        (b"[]" * 1000, 1),
        (b"", 0),
    ],
)
def test_what_lies_in_strings_does_not_count(document: bytes, depth: int) -> None:
    assert {deepest(document, size) for size in (1, 2, 3, 5000)} == {depth}
