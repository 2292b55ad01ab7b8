"""How a finding is shown."""

from __future__ import annotations

import pytest

from promptprop.cli.findings import COLOURS, headline
from promptprop.services.rules import Rule, Severity

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


def rule_with(severity: Severity = "error") -> Rule[[], str]:
    return Rule("PX001", "odd", severity, "It is odd.", lambda: iter(()))


@pytest.mark.parametrize("severity", SEVERITIES)
def test_a_finding_is_one_line_coloured_by_how_grave_it_is(severity: Severity) -> None:
    line = headline(rule_with(severity), "two\nlines \x1b[31mred", "a.md:2:1")
    assert line.plain == "a.md:2:1: PX001 two lines red (odd)"
    assert [str(span.style) for span in line.spans] == [COLOURS[severity], "dim"]


def test_a_finding_without_a_place_begins_with_its_id() -> None:
    assert headline(rule_with(), "it is odd").plain == "PX001 it is odd (odd)"
