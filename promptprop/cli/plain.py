"""Text that a terminal of any kind can take: no secrets, no control characters, no letters it cannot show."""

from __future__ import annotations

import codecs
import sys
from typing import TextIO

from promptprop.adapters.plain import one_line, safe

__all__ = ["accept_any_letter", "one_line", "safe", "speaks_unicode"]

_ASCII = {
    "→": "->", "←": "<-", "Δ": "delta", "–": "-", "—": "-", "…": "...", "·": "|", "±": "+-", "≤": "<=", "≥": ">=",
    "×": "x", "“": '"', "”": '"', "‘": "'", "’": "'", "•": "*", "✓": "ok", "−": "-", "█": "#", "━": "=", "─": "-",
}  # fmt: skip
HANDLER = "promptprop.plain"


def _plain_letters(error: UnicodeError) -> tuple[str, int]:
    """What stands for letters that an encoding does not have."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_ASCII.get(letter, "?") for letter in error.object[error.start : error.end]), error.end


def accept_any_letter(stream: TextIO | None) -> None:
    """Let a stream write any text, whatever its encoding: letters that it lacks get plain ones for them."""
    codecs.register_error(HANDLER, _plain_letters)
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors=HANDLER)


def speaks_unicode(stream: TextIO | None = None) -> bool:
    """Whether a stream (stdout unless given) can take every letter."""
    encoding = getattr(stream or sys.stdout, "encoding", None) or "ascii"
    try:
        return codecs.lookup(encoding).name.startswith("utf")
    except LookupError:
        return False
