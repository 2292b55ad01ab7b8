from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from promptprop.adapters.storage.records import json_text

TEXT = st.text(st.characters(exclude_categories=()), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in (key, *strings(item))]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []


@given(VALUES)
def test_json_of_any_value_can_be_stored_and_read(value: object) -> None:
    text = json_text(value)
    text.encode("utf-8")
    found = json.loads(text)
    assert not any("\x00" in part or "\ud800" <= char <= "\udfff" for part in strings(found) for char in part)
    if not any("\x00" in part or "\ud800" <= char <= "\udfff" for part in strings(value) for char in part):
        assert found == value


def test_a_backslash_that_only_looks_like_nul_stays() -> None:
    assert json.loads(json_text("\\u0000")) == "\\u0000"
