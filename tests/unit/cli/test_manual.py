"""docs/cli.md and docs/exit-codes.md say what the program does."""

from __future__ import annotations

from pathlib import Path

from promptprop.cli.interrupts import Terminated
from promptprop.cli.manual import manual
from promptprop.cli.registry import COMMANDS
from promptprop.domain.errors import PromptPropError

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_of_the_command_line_is_in_step() -> None:
    """Write it anew with `python -m promptprop.cli.manual > docs/cli.md`."""
    assert (DOCS / "cli.md").read_text("utf-8") == manual()


def test_every_command_has_its_section() -> None:
    page = manual()
    assert [name for name in COMMANDS if f"# promptprop {name}\n" not in page] == []


def test_every_exit_code_of_an_error_is_documented() -> None:
    codes, found = {Terminated.exit_code}, [PromptPropError]
    while found:
        kind = found.pop()
        codes.add(kind.exit_code)
        found += kind.__subclasses__()
    page = (DOCS / "exit-codes.md").read_text("utf-8")
    assert [code for code in sorted(codes) if f"\n| {code} |" not in page] == []
