"""Vectors of texts: what an embedding model says, as a text for the ledger, and how alike two of them are."""

from __future__ import annotations

import base64
import binascii
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from promptprop.domain.models import Usage


@dataclass(frozen=True, slots=True)
class Vectors:
    """What a model made of texts: one vector each, in their order, and the tokens that it counted."""

    rows: list[list[float]]
    usage: Usage


def vector_text(vector: Sequence[float]) -> str:
    """A vector as a text: base64 of its numbers in single precision, little-endian.

    >>> vector_of(vector_text([0.5, -1.0]))
    [0.5, -1.0]
    """
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")


def vector_of(text: str) -> list[float]:
    """The vector that a text holds. Raises ValueError where it holds none."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError("this text holds no vector") from error
    numbers = list(struct.unpack(f"<{len(raw) // 4}f", raw[: len(raw) // 4 * 4]))
    if not numbers or len(raw) % 4 or not all(map(math.isfinite, numbers)):
        raise ValueError("this text holds no vector")
    return numbers


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """The cosine of the angle between two vectors of one length, in [-1, 1]; 0 where one of them is zero.

    >>> cosine([1.0, 0.0], [1.0, 1.0])
    0.7071067811865475
    """
    product = math.fsum(a * b for a, b in zip(one, other, strict=True))
    lengths = math.sqrt(math.fsum(a * a for a in one)) * math.sqrt(math.fsum(b * b for b in other))
    return max(-1.0, min(1.0, product / lengths)) if lengths else 0.0
