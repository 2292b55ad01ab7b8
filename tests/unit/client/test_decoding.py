"""JSON becomes frozen values, or it is said what does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import pytest

from promptprop.client.decoding import decoded
from promptprop.client.errors import Unreadable


@dataclass(frozen=True)
class Leaf:
    name: str
    share: float | None = None


@dataclass(frozen=True)
class Tree:
    at: datetime
    usd: Decimal | None
    leaves: tuple[Leaf, ...]
    counts: Mapping[str, int]
    rest: Any


WHOLE = {
    "at": "2026-01-02T03:04:05.5Z",
    "usd": "0.10",
    "leaves": [{"name": "a", "share": 1}, {"name": "b", "new": True}],
    "counts": {"x": 2},
    "rest": [1, {"y": None}],
}


def test_every_type_of_field_is_read() -> None:
    assert decoded(Tree, WHOLE) == Tree(
        datetime(2026, 1, 2, 3, 4, 5, 500000, tzinfo=timezone.utc),
        Decimal("0.10"),
        (Leaf("a", 1.0), Leaf("b")),
        {"x": 2},
        [1, {"y": None}],
    )
    assert decoded(Tree, {**WHOLE, "usd": None}).usd is None


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"at": "yesterday"}, r"\$\.at should be a datetime"),
        ({"at": 3}, r"\$\.at should be a datetime"),
        ({"usd": "much"}, r"\$\.usd should be a Decimal"),
        ({"leaves": {}}, r"\$\.leaves should be a list"),
        ({"leaves": [{"name": 1}]}, r"\$\.leaves\[0\]\.name should be a str"),
        ({"leaves": [{}]}, r"\$\.leaves\[0\]\.name should be a value"),
        ({"leaves": ["a"]}, r"\$\.leaves\[0\] should be an object"),
        ({"counts": {"x": True}}, r"\$\.counts\.x should be a int"),
        ({"counts": []}, r"\$\.counts should be an object"),
    ],
)
def test_what_does_not_fit_is_named_by_its_place(change: dict[str, Any], place: str) -> None:
    with pytest.raises(Unreadable, match=place):
        decoded(Tree, {**WHOLE, **change})
