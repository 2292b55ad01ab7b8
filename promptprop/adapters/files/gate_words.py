"""A check in words: what its verdict means, and how rows and changed lines are told in a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from promptprop.adapters.files.report_words import counted, points, shortened
from promptprop.domain.models import Json, text_of

CELL = 160  # characters of a cell
LINE = 200  # of a line below a row
ANSWER = 60  # of an answer in such a line

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


def rows_failed(document: Mapping[str, Json]) -> bool:
    """Whether rows that are worse are why a check failed: what answers take, or critical rows, fail no other row."""
    tests = document["looks"][-1]["metrics"].values()
    return document["verdict"] == "FAIL" and any(one.get("worse") and not one.get("relative") for one in tests)


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


GROUPS = {
    "critical_rows": "critical, and did not pass",
    "worse": "worse",
    "better": "better",
    "missing_rows": "left out",
}
"""The rows of a document in the order in which they are told, with what they are."""


def row_head(row: Mapping[str, Json]) -> tuple[str, str, str]:
    """A row of a document: its id, what became of it, and its inputs or the reason why it was left out."""
    if "side" in row:
        return str(row["row"]), str(row["side"]), shortened(str(row["why"]), CELL)
    tally = points(row["delta"]) if "delta" in row else f"{row['passed']} of {row['answers']}"
    return str(row["row"]), tally, row_words(row["inputs"])


def row_lines(row: Mapping[str, Json]) -> list[str]:
    """The lines below its head: the answers, and of a row that failed why, the changed line nearest to it."""
    if "side" in row:
        return []
    flip = "delta" in row
    expected = "" if row["expected"] is None else f"expected {_short(text_of(row['expected']))}, "
    was = f"was {_short(row['baseline_answer'])}, " if flip else ""
    lines = [f"{expected}{was}is {_short(row['candidate_answer'] if flip else row['answer'])}"]
    if got_better(row):
        return lines
    more = [row["said"], change_words(row["changed"]) if row.get("changed") else ""]
    return [*lines, *(shortened(text, LINE) for text in more if text)]


def got_better(row: Mapping[str, Json]) -> bool:
    """Whether a row of a document is one that needs no looking at."""
    return "delta" in row and row["delta"] > 0


def _short(text: str) -> str:
    return shortened(text, ANSWER) or "nothing"
