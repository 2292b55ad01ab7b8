"""docs/lint.md lists every check as it is."""

from __future__ import annotations

from pathlib import Path

from promptprop.services.lint import RULES
from promptprop.services.remarks import REMARK_RULES

PAGE = Path(__file__).parents[2] / "docs" / "lint.md"


def test_the_page_lists_every_check_with_its_severity_and_reason() -> None:
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith(("| PP", "| PM"))]
    known = [*RULES.values(), *REMARK_RULES.values()]
    assert rows == [f"| {rule.id} | {rule.name} | {rule.severity} | {rule.why} |" for rule in known]
