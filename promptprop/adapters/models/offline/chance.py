"""Randomness without state: a draw is a hash of what it may depend on, so that equal questions get equal answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from promptprop.domain.models import Json, digest

T = TypeVar("T")


def draw(*key: Json) -> float:
    """A number in [0, 1), uniform over keys: the first 52 bits of the SHA-256 of the key.

    >>> draw("a", 1) == draw("a", 1) != draw("a", 2)
    True
    """
    return int(digest(list(key), 13), 16) / 16**13


def happens(chance: float, *key: Json) -> bool:
    """True with this chance.

    >>> happens(1.0, "x"), happens(0.0, "x")
    (True, False)
    """
    return draw(*key) < chance


def pick(options: Sequence[T], *key: Json) -> T:
    """One of the options, each equally likely. There must be at least one.

    >>> pick(["only"], "x")
    'only'
    """
    return options[int(draw(*key) * len(options))]
