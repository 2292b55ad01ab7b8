"""How deep JSON is nested, told from its bytes as they come, before anything parses them."""

from __future__ import annotations

import re
from itertools import accumulate

DEEPEST = 64
_ESCAPED = re.compile(rb"\\.", re.DOTALL)
_BRACKETS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # as signed bytes: one level up, one level down
_OTHERS = bytes(set(range(256)) - set(b"[]{}"))


class Nesting:
    """Follows one document. What lies in its strings does not count.

    Where the bytes are no JSON, what is told holds up to there, and a parser goes no further.
    """

    def __init__(self) -> None:
        """Nothing is open yet."""
        self._level = 0
        self._inside = False  # of a string
        self._cut = b""  # a backslash whose other half has not come yet

    def deepest(self, chunk: bytes) -> int:
        """The deepest level that this part of the document reaches."""
        data = self._cut + chunk
        whole = (len(data) - len(data.rstrip(b"\\"))) % 2 == 0
        data, self._cut = (data, b"") if whole else (data[:-1], b"\\")
        parts = _ESCAPED.sub(b"", data).split(b'"')
        outside = b"".join(parts[1 if self._inside else 0 :: 2])
        self._inside ^= len(parts) % 2 == 0
        steps = memoryview(outside.translate(_BRACKETS, _OTHERS)).cast("b")
        levels = list(accumulate(steps, initial=self._level))
        self._level = levels[-1]
        return max(levels)
