"""A check as Markdown: the comment below a pull request, and the summary of a step."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from promptprop.adapters.files.gate_words import CELL, change_words, row_words
from promptprop.adapters.files.markdown import code, fenced, plain, table_lines
from promptprop.adapters.files.report_words import counted, shortened
from promptprop.domain.models import Json, text_of

MARKER = "<!-- promptprop check: {name} -->"  # by which a bot finds its own comment again
LONGEST = 65_536  # characters of a comment that GitHub takes
SHOWN = (20, 10, 5, 2)  # rows of a table: the most that fit
SENTENCE = 1_000  # characters of a sentence or a fact
COMMAND = 2_000  # characters of a command; a longer one is left out
CUT = 200  # characters of a diff that is cut short, at least

Section = list[str]


def gate_markdown(document: Mapping[str, Json], facts: Sequence[tuple[str, str]], longest: int = LONGEST) -> str:
    """The document of a check (that of `--json`) as Markdown of at most so many characters.

    What is too long goes in this order: the end of the diff, rows that are better, rows that were left out, commands,
    rows that are worse. The verdict stays.
    """
    head = [
        marker_of(str(document["name"])),
        f"## promptprop check: {plain(shortened(str(document['name']), 100))}",
        "",
        f"**{plain(_cut(str(document['sentence']), SENTENCE))}**",
        "",
        *(f"- {label}: {plain(_cut(said, SENTENCE))}" for label, said in facts),
    ]
    sections: dict[str, Callable[[int], Section]] = {  # as they stand
        "critical": lambda shown: _critical(document["critical_rows"], shown),
        "worse": lambda shown: flips_section("Worse", document["worse"], shown),
        "commands": lambda shown: _commands([*document["critical_rows"], *document["worse"]], shown),
        "better": lambda shown: flips_section("Better", document["better"], shown),
        "missing": lambda shown: _missing(document["missing_rows"], int(document["missing"]), shown),
    }
    room = longest - length_of(head)
    kept: dict[str, Section] = {}
    for name in ("critical", "worse", "commands", "missing", "better"):  # the first ones are the last to go
        kept[name] = next((made for shown in SHOWN if length_of(made := sections[name](shown)) <= room), [])
        room -= length_of(kept[name])
    order = [*sections, "diff"]
    kept["diff"] = diff_section(document["diff"], document["changes"], room)
    text = "\n".join([*head, *(line for name in order for line in kept[name])]) + "\n"
    return text if len(text) <= longest else text[: max(longest - 1, 0)] + "\n" * (longest > 0)


def marker_of(name: str) -> str:
    """The comment in Markdown by which the report of this check is found again."""
    return MARKER.format(name=re.sub(r"[-<>]{2,}|[<>]", "-", shortened(name, 100)))


def length_of(lines: Section) -> int:
    """Characters of lines with their ends."""
    return sum(len(line) + 1 for line in lines)


def flips_section(title: str, flips: Sequence[Mapping[str, Json]], shown: int) -> Section:
    """Rows that differ, as a table with its heading; empty where there are none."""
    head = ["row", "score", "input", "expected", "baseline", "candidate", "why", "nearest changed line"]
    rows = [
        [
            _cell(one["row"]),
            f"{one['before']:.2f} → {one['after']:.2f}",
            _cell(row_words(one["inputs"])),
            _cell(one["expected"]),
            _cell(one["baseline_answer"]),
            _cell(one["candidate_answer"]),
            _cell(one["said"]),
            _cell(change_words(one["changed"]) if one.get("changed") else None),
        ]
        for one in flips[:shown]
    ]
    return _table(title, len(flips), head, rows)


def _critical(rows: Sequence[Mapping[str, Json]], shown: int) -> Section:
    cells = [
        [
            _cell(one["row"]),
            f"{one['passed']} of {one['answers']}",
            *(_cell(said) for said in (row_words(one["inputs"]), one["expected"], one["answer"], one["said"])),
        ]
        for one in rows[:shown]
    ]
    head = ["row", "passed", "input", "expected", "candidate", "why"]
    return _table("Critical rows that did not pass", len(rows), head, cells)


def _missing(rows: Sequence[Mapping[str, Json]], count: int, shown: int) -> Section:
    cells = [[_cell(one["row"]), str(one["side"]), _cell(one["why"])] for one in rows[:shown]]
    return _table("Left out", max(len(rows), count), ["row", "side", "why"], cells)


def _table(title: str, count: int, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Section:
    if not rows:
        return []
    here = f", {len(rows)} of them here" if count > len(rows) else ""
    return ["", f"### {title}: {counted(count, 'row')}{here}", "", *table_lines(head, rows)]


def _commands(rows: Sequence[Mapping[str, Json]], shown: int) -> Section:
    commands = [str(one["command"]) for one in rows[:shown] if len(one["command"]) <= COMMAND]
    if not commands:
        return []
    summary = "<details><summary>See these rows again</summary>"
    return ["", summary, "", *fenced("\n".join(commands), "sh"), "", "</details>"]


def diff_section(lines: Sequence[str], changes: Sequence[Mapping[str, Json]], room: int) -> Section:
    """The diff with the place of its first line, cut to the room that is left."""
    if not lines:
        return []
    place = next((f"{one['file']}:{one['line']}" for one in changes if one["line"]), "")
    head = ["", "### What changed", "", *([f"First at {code(place)}.", ""] if place else [])]
    text = "\n".join(lines)
    whole = [*head, *fenced(text, "diff")]
    if length_of(whole) <= room:
        return whole
    fence = length_of([*head, *fenced(text, "diff")]) - len(text)
    end = "\n… cut here, see the files"
    space = room - fence - len(end)
    return [*head, *fenced(text[:space].rstrip("\n") + end, "diff")] if space >= CUT else []


def _cell(said: Json) -> str:
    return "" if said is None else code(shortened(text_of(said), CELL), in_table=True)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
