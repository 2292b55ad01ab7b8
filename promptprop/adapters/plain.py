"""Text that any place which shows text can take: no secrets, no control characters, nothing that cannot be seen."""

from __future__ import annotations

import re

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


def safe(text: str) -> str:
    r"""`text` without secrets, and without what would make a terminal do more than show letters.

    >>> safe("a\x1b[31mred\x1b[0m\u202e\x07 b\r\n")
    'ared b\n'
    """
    return _INVISIBLE.sub("", _SEQUENCES.sub("", redact(text)))


def one_line(text: str) -> str:
    """The same with all white space as single blanks."""
    return " ".join(safe(text).split())
