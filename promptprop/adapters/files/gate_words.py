"""A check in words: what its verdict means, and the Markdown that stands below a pull request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from promptprop.adapters.files.report_words import counted, points, shortened
from promptprop.domain.models import Json, text_of

MARKER = "<!-- promptprop check: {name} -->"  # by which a bot finds its own comment again
LONGEST = 65_536  # characters of a comment that GitHub takes
SHOWN = 20  # rows
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
    figures = "; ".join(
        f"{name} {points(one['mean'])} points, surely above {points(one['lower'])} and below {points(one['upper'])}"
        for name, one in metrics.items()
    )
    return f"{verdict}: {said} ({figures})"


def row_words(inputs: Mapping[str, Json]) -> str:
    """A row's inputs on one line."""
    return shortened(" ".join(" ".join(text_of(value).split()) for value in inputs.values()), CELL)


def gate_markdown(
    name: str,
    sentence: str,
    facts: Sequence[tuple[str, str]],
    worse: Sequence[Mapping[str, Json]],
    better: int,
    diff: str,
) -> str:
    """The report as Markdown of at most 65,536 characters; rows go before the diff does."""
    head = [MARKER.format(name=name), f"## promptprop check: {name}", "", f"**{_escaped(sentence)}**", ""]
    head += [f"- {label}: {_escaped(said)}" for label, said in facts]
    rows = [
        f"| {_cell(one['row'])} | {one['before']:.2f} → {one['after']:.2f} | {_cell(row_words(one['inputs']))} "
        f"| {_cell(text_of(one['expected']) if one['expected'] is not None else '')} "
        f"| {_cell(one['candidate_answer'])} | {_cell(one['said'])} |"
        for one in worse[:SHOWN]
    ]
    table = []
    if rows:
        more = f" (the first {SHOWN} of {len(worse)})" if len(worse) > SHOWN else ""
        table = [
            "",
            f"### Worse{more}",
            "",
            "| row | score | input | expected | answer | why |",
            "|---|---|---|---|---|---|",
        ]
        table += rows
    tail = ["", f"{counted(better, 'row')} better."]
    fence = "````"
    changed = ["", "### What changed", "", f"{fence}diff", diff, fence] if diff else []
    text = "\n".join([*head, *table, *tail, *changed]) + "\n"
    if len(text) > LONGEST:
        text = "\n".join([*head, *table, *tail]) + "\n"
    return text if len(text) <= LONGEST else "\n".join([*head, *tail])[: LONGEST - 1] + "\n"


def _escaped(said: str) -> str:
    return said.replace("<", "&lt;").replace("\n", " ")


def _cell(said: Json) -> str:
    return shortened(" ".join(_escaped(str(said)).replace("|", "\\|").split()), CELL)
