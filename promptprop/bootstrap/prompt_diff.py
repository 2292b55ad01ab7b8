"""What changed between two prompts, step by step, as one document."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from promptprop.bootstrap.references import Named
from promptprop.domain.models import Candidate, Json
from promptprop.domain.report import line_diff, word_diff

MOST_PAIRS = 1_000_000  # of equal words, or lines, that a comparison looks at: about a second
_WORD = re.compile(r"\S+\s*|\s+")


def diff_json(before: Named, after: Named) -> dict[str, Json]:
    """Changed lines and words of each step; None in the place of those that would take too long to find."""
    steps = dict.fromkeys(step.id for side in (before, after) for step in side.program.steps)
    names = before.label, after.label
    return {
        "from": {"label": before.label, "id": before.candidate.id},
        "to": {"label": after.label, "id": after.candidate.id},
        "equal": before.candidate.id == after.candidate.id,
        "steps": [
            _step_json(step, _text(before.candidate, step), _text(after.candidate, step), names) for step in steps
        ],
        "demos_changed": before.candidate.demos != after.candidate.demos,
    }


def _step_json(step: str, old: str, new: str, names: tuple[str, str]) -> dict[str, Json]:
    return {
        "step": step,
        "equal": old == new,
        "lines": changed_lines(old, new, names),
        "words": changed_words(old, new),
    }


def changed_lines(old: str, new: str, names: tuple[str, str]) -> list[str] | None:
    """A unified diff by lines; None where comparing would take too long."""
    lines = old.splitlines(), new.splitlines()
    return line_diff(old, new, *names) if _is_quick(*lines) else None


def changed_words(old: str, new: str) -> list[Json] | None:
    """The words of two texts, those that are the same, removed and added; None where comparing would take too long.

    >>> changed_words("be kind", "be very kind")[1]
    {'kind': 'added', 'text': 'very '}
    """
    if not _is_quick(_WORD.findall(old), _WORD.findall(new)):
        return None
    return [{"kind": kind, "text": text} for kind, text in word_diff(old, new)]


def _is_quick(old: Sequence[str], new: Sequence[str]) -> bool:
    """Whether few enough parts of both are equal: a comparison looks at each pair of them."""
    counts, others = Counter(old), Counter(new)
    return sum(count * others[part] for part, count in counts.items()) <= MOST_PAIRS


def _text(candidate: Candidate, step: str) -> str:
    """A step's text; empty where the program has no such step."""
    return candidate.prompts[step].text if step in candidate.prompts else ""
