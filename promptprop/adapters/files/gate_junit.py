"""A check as JUnit XML: one test case for the verdict, one for each row that failed, one for each that was left out.

The document keeps to the schema of Ant's JUnit reports, which asks for most: attributes, order, and at most one outcome
a test case. `skipped`, which Jenkins and Surefire know beside it, stands for what was left out or is no failure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from promptprop.adapters.files.gate_words import GROUPS, change_words, row_words, rows_failed
from promptprop.adapters.files.report_words import counted
from promptprop.domain.models import Json, storable, text_of

_FORBIDDEN = {code: "\ufffd" for code in (*range(0x20), 0xFFFE, 0xFFFF) if code not in (0x9, 0xA, 0xD)}
LONGEST = 4_000  # characters of a text of a row
ROWS = 500  # of a kind that are cases: the worst
LISTED = 20  # rows in the output of a suite whose rows are no failures
UNDATED = "1970-01-01T00:00:00"


@dataclass(frozen=True, slots=True)
class _Case:
    """A test case; `outcome` is failure, skipped, or nothing where it passed."""

    name: str
    outcome: str = ""
    kind: str = ""
    message: str = ""
    text: str = ""


def render_junit(document: Mapping[str, Json], facts: Mapping[str, str]) -> str:
    """The document of a check (that of `--json`) as XML. An open verdict is a failure, skipped or passed, as asked.

    Rows that are None were left out, since there are too many of them; the suite's output tells how many.
    """
    cases = list(_cases(document))
    suite = _attribute(f"promptprop check {document['name']}")
    failures = sum(case.outcome == "failure" for case in cases)
    skipped = sum(case.outcome == "skipped" for case in cases)
    seconds = f"{document['active_seconds']:.3f}"
    counts = f'tests="{len(cases)}" failures="{failures}" errors="0" skipped="{skipped}"'
    when = f'timestamp={_attribute(str(document["started_at"] or UNDATED))} hostname="localhost"'
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        "<testsuites>",
        f'  <testsuite id="0" package="promptprop" name={suite} {when} {counts} time="{seconds}">',
        "    <properties>",
        *(f"      <property name={_attribute(name)} value={_attribute(said)}/>" for name, said in facts.items()),
        "    </properties>",
    ]
    for case in cases:
        time = seconds if case.name == "verdict" else "0"
        lines.append(f'    <testcase classname={suite} name={_attribute(case.name)} time="{time}">')
        if case.outcome:
            kind = "" if case.outcome == "skipped" else f" type={_attribute(case.kind)}"
            said = f"{case.outcome} message={_attribute(case.message)}{kind}"
            lines.append(f"      <{said}>{_text(case.text)}</{case.outcome}>" if case.text else f"      <{said}/>")
        lines.append("    </testcase>")
    said = "\n".join(
        [str(document["sentence"]), *(f"{name}: {word}" for name, word in facts.items()), *_output(document)]
    )
    lines += [f"    <system-out>{_text(said)}</system-out>", "    <system-err/>", "  </testsuite>", "</testsuites>"]
    return "\n".join(lines) + "\n"


def _cases(document: Mapping[str, Json]) -> Iterator[_Case]:
    verdict, sentence = str(document["verdict"]), str(document["sentence"])
    failed = verdict == "FAIL"
    ends = {"fail": "failure", "warn": "skipped"}.get(document["inconclusive"], "")
    outcome = "failure" if failed else ends if verdict == "INCONCLUSIVE" else ""
    changed = "\n".join(change_words(change) for change in document["changes"])
    yield _Case("verdict", outcome, verdict, sentence, _cut(changed) if outcome == "failure" else "")
    for row in _there(document["critical_rows"]):
        message = f"critical: {row['passed']} of {row['answers']} answers passed: {row_words(row['inputs'])}"
        yield _Case(f"row {row['row']}", "failure", "critical", message, _told(row))
    for row in _there(document["worse"]) if rows_failed(document) else ():
        message = f"{row['before']:.2f} → {row['after']:.2f}: {row_words(row['inputs'])}"
        yield _Case(f"row {row['row']}", "failure", "worse", message, _told(row))
    for row in _there(document["missing_rows"]):
        message = f"left out, {row['side']}: {' '.join(str(row['why']).split())}"
        yield _Case(f"row {row['row']}", "skipped", "", message, f"again: {row['command']}")


def _told(row: Mapping[str, Json]) -> str:
    """All that is known of a row that failed."""
    said: dict[str, Json] = {
        "input": "\n".join(text_of(value) for value in row["inputs"].values()),
        "expected": row["expected"],
        "baseline": row.get("baseline_answer"),
        "candidate": row.get("candidate_answer", row.get("answer")),
        "why": row["said"] or None,
        "nearest changed line": change_words(row["changed"]) if row.get("changed") else None,
    }
    parts = [f"{name}: {_cut(text_of(value))}" for name, value in said.items() if value is not None]
    return "\n".join([*parts, f"again: {row['command']}"])


def _output(document: Mapping[str, Json]) -> Iterator[str]:
    """Rows that are worse where that fails nothing, for people who are not sure; and how many rows are left out."""
    if document["worse"] and not rows_failed(document):
        worse = document["worse"]
        yield f"{counted(len(worse), 'row')} worse, which decides nothing:"
        for row in _there(worse[:LISTED]):
            yield f"  {row['row']}  {row['before']:.2f} → {row['after']:.2f}  {row_words(row['inputs'])}"
            yield f"    {row['command']}"
    for name in ("critical_rows", "worse", "missing_rows"):
        if left := sum(row is None for row in document[name]):
            yield f"{counted(left, 'more row')} {GROUPS[name]}: --json tells all"


def _there(rows: Sequence[Json]) -> list[Json]:
    return [row for row in rows if row is not None]


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters)"


def _text(said: str) -> str:
    """A text as XML can hold it: what no document may contain becomes U+FFFD."""
    return escape(storable(said).translate(_FORBIDDEN), {"\r": "&#13;"})


def _attribute(said: str) -> str:
    return quoteattr(storable(said).translate(_FORBIDDEN), {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})
