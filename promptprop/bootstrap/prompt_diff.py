"""What changed between two texts, where it can be told within a second."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from promptprop.domain.report import line_diff, word_diff

MOST_PAIRS = 1_000_000  # of equal words, or lines, that a comparison looks at: about a second
_WORD = re.compile(r"\S+\s*|\s+")


def changed_lines(old: str, new: str, names: tuple[str, str]) -> list[str] | None:
    """A unified diff by lines; None where comparing would take too long."""
    lines = old.splitlines(), new.splitlines()
    return line_diff(old, new, *names) if _is_quick(*lines) else None


def changed_words(old: str, new: str) -> list[tuple[str, str]] | None:
    """The words of two texts, those that are the same, removed and added; None where comparing would take too long.

    >>> changed_words("be kind", "be very kind")[1]
    ('added', 'very ')
    """
    if not _is_quick(_WORD.findall(old), _WORD.findall(new)):
        return None
    return word_diff(old, new)


def _is_quick(old: Sequence[str], new: Sequence[str]) -> bool:
    """Whether few enough parts of both are equal: a comparison looks at each pair of them."""
    counts, others = Counter(old), Counter(new)
    return sum(count * others[part] for part, count in counts.items()) <= MOST_PAIRS
