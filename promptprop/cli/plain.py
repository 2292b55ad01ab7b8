"""Text that a terminal of any kind can take: no secrets, no control characters, no letters it cannot show."""

from __future__ import annotations

import codecs
import re
import sys
from typing import TextIO

from promptprop.adapters.logs import redact

_SEQUENCES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours, cursor movements
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles, links, the clipboard
    r"|\x1b[PX^_][^\x1b]*\x1b\\"
    r"|\x1b[ -/]*[0-~]"
)
# C0 and C1 without tab and newline; marks that turn the direction of writing; tags and separators that nobody sees
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_ASCII = {
    "→": "->", "←": "<-", "Δ": "delta", "–": "-", "—": "-", "…": "...", "·": "|", "±": "+-", "≤": "<=", "≥": ">=",
    "×": "x", "“": '"', "”": '"', "‘": "'", "’": "'", "•": "*", "✓": "ok", "−": "-", "█": "#", "━": "=", "─": "-",
}  # fmt: skip
HANDLER = "promptprop.plain"


def safe(text: str) -> str:
    r"""`text` without secrets, and without what would make a terminal do more than show letters.

    >>> safe("a\x1b[31mred\x1b[0m\u202e\x07 b\r\n")
    'ared b\n'
    """
    return _INVISIBLE.sub("", _SEQUENCES.sub("", redact(text)))


def one_line(text: str) -> str:
    """The same with all white space as single blanks."""
    return " ".join(safe(text).split())


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
