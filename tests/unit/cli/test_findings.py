"""How a finding is shown."""

from __future__ import annotations

import pytest

from promptprop.cli.findings import COLOURS, annotation, headline, shell_for
from promptprop.cli.shell import Shell
from promptprop.domain.errors import UsageError
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


@pytest.mark.parametrize(("severity", "level"), [("error", "error"), ("warning", "warning"), ("note", "notice")])
def test_an_annotation_is_one_line_in_the_words_of_github(severity: Severity, level: str) -> None:
    assert annotation(rule_with(severity), "100%\nodd: so", "a,b:c%.md", 2, 1) == (
        f"::{level} file=a%2Cb%3Ac%25.md,line=2,col=1,title=PX001 odd::100%25 odd: so\n"
    )


def test_an_annotation_about_a_whole_file_names_no_line() -> None:
    assert annotation(rule_with(), "it is odd", "a\nb.md") == "::error file=a%0Ab.md,title=PX001 odd::it is odd\n"


def test_a_command_that_tells_findings_speaks_github_and_no_markdown() -> None:
    assert shell_for(Shell(), "github").format == "github"
    assert shell_for(Shell(format="json"), "text").json
    with pytest.raises(UsageError, match="not known here"):
        shell_for(Shell(), "md")
    with pytest.raises(UsageError, match="exclude each other"):
        shell_for(Shell(format="json"), "github")
