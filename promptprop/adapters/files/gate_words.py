"""A check in words: what its verdict means, and how rows and changed lines are told in a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from promptprop.adapters.files.report_words import counted, points, shortened
from promptprop.domain.models import Json, text_of

CELL = 160  # characters of a cell

MEANING = {
    "PASS": "the candidate is not worse by {margin} points",
    "FAIL": "the candidate is worse than the baseline",
    "INCONCLUSIVE": "the rows do not tell whether the candidate is worse by {margin} points",
}


def verdict_words(verdict: str, margin: float, metrics: Mapping[str, Mapping[str, Json]], failed: Sequence[str]) -> str:
    """The verdict in a sentence, with the figures that it rests on."""
    if failed:
        return f"FAIL: {counted(len(failed), 'critical row')} did not pass: {', '.join(failed[:8])}"
    if not metrics:
        return "PASS: the candidate is the baseline, word by word; nothing was asked"
    said = MEANING[verdict].format(margin=f"{100 * margin:g}")
    broken = [name for name, one in metrics.items() if one.get("guard") and one.get("worse")]
    if broken and not any(one.get("worse") and not one.get("guard") for one in metrics.values()):
        said = f"the candidate is beyond {' and '.join(broken)}"
    return f"{verdict}: {said} ({'; '.join(_figures(name, one) for name, one in metrics.items())})"


def _figures(name: str, one: Mapping[str, Json]) -> str:
    """A test's figures: the change with its bounds, and a guard's limit."""
    if not one["rows"]:
        return f"{name} not known for any row"
    limit = ""
    if one.get("guard"):
        limit = f" of at most {_share(one['limit'])}" if one["relative"] else f" of at least {points(-one['limit'])}"
    if one.get("relative"):
        bounds = f"surely above {_share(one['lower'])}" if one["worse"] else f"surely below {_share(one['upper'])}"
        return f"{name} {_share(one['mean'])}{limit}, {bounds}"
    return (
        f"{name} {points(one['mean'])} points{limit}, surely above {points(one['lower'])} and below "
        f"{points(one['upper'])}"
    )


def _share(value: float) -> str:
    """A relative change in per cent, with its sign.

    >>> _share(0.2), _share(-0.031)
    ('+20%', '-3.1%')
    """
    return f"{100 * value:+.1f}".removesuffix(".0") + "%"


def row_words(inputs: Mapping[str, Json]) -> str:
    """A row's inputs on one line."""
    return shortened(" ".join(" ".join(text_of(value).split()) for value in inputs.values()), CELL)


MARKS = {"-": "removed", "+": "added"}


def change_words(change: Mapping[str, Json]) -> str:
    """A changed line with its place.

    >>> change_words({"file": "prompt.md", "line": 3, "mark": "-", "text": "- Be brief."})
    'prompt.md:3 removed: - Be brief.'
    """
    place = f"{change['file']}:{change['line']}" if change["line"] else str(change["file"])
    return f"{place} {MARKS[change['mark']]}: {change['text'].strip()}"
