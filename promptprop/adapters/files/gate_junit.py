"""A check as JUnit XML: one test case for the verdict, and one for each row that the candidate answers worse."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from promptprop.domain.models import storable

_FORBIDDEN = {code: "\ufffd" for code in (*range(0x20), 0xFFFE, 0xFFFF) if code not in (0x9, 0xA, 0xD)}


def render_junit(name: str, verdict: str, said: str, failing: Sequence[tuple[str, str, str]], rows: int) -> str:
    """The document. `failing` are rows with a message and details; an undecided gate is an error, not a failure."""
    failures = len(failing) + (verdict == "FAIL")
    errors = int(verdict == "INCONCLUSIVE")
    suite = f"promptprop check {name}"
    counts = f'tests="{len(failing) + 1}" failures="{failures}" errors="{errors}"'
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f"<testsuites {counts}>",
        f'  <testsuite name={_attribute(suite)} {counts} skipped="0">',
        f'    <properties><property name="rows" value="{rows}"/></properties>',
        f'    <testcase classname={_attribute(suite)} name="verdict">',
    ]
    if verdict == "FAIL":
        lines.append(f"      <failure message={_attribute(said)}/>")
    elif verdict == "INCONCLUSIVE":
        lines.append(f"      <error message={_attribute(said)}/>")
    else:
        lines.append(f"      <system-out>{_text(said)}</system-out>")
    lines.append("    </testcase>")
    for row, message, details in failing:
        lines += [
            f"    <testcase classname={_attribute(suite)} name={_attribute(row)}>",
            f"      <failure message={_attribute(message)}>{_text(details)}</failure>",
            "    </testcase>",
        ]
    return "\n".join([*lines, "  </testsuite>", "</testsuites>"]) + "\n"


def _text(said: str) -> str:
    """A text as XML can hold it: what no document may contain becomes U+FFFD."""
    return escape(storable(said).translate(_FORBIDDEN))


def _attribute(said: str) -> str:
    return quoteattr(storable(said).translate(_FORBIDDEN), {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})
