"""What a static check is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from promptprop.services.rules import Rule, by_id


def _long(text: str) -> Iterator[str]:
    if len(text) > 3:
        yield "T1"


LONG = Rule("T1", "long", "note", "It is long.", _long)
LOUD = Rule("T2", "loud", "error", "It is loud.", _long)


def test_rules_are_found_by_their_ids_in_the_order_given() -> None:
    rules = by_id(LOUD, LONG)
    assert list(rules) == ["T2", "T1"]
    assert rules["T1"] is LONG
    assert list(rules["T1"].check("abcd")) == ["T1"]


def test_no_two_rules_have_one_id() -> None:
    with pytest.raises(ValueError, match="one id"):
        by_id(LONG, LOUD, LONG)
