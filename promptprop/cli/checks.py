"""How a check ends: its report shown, and the exit code of its verdict, also when it was resumed."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from promptprop.bootstrap.configuration import open_database
from promptprop.bootstrap.gates import gate_report
from promptprop.cli import gates

if TYPE_CHECKING:
    from promptprop.cli.running import Outcome
    from promptprop.cli.shell import Shell
    from promptprop.domain.history import History

ENDS = {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 3}
UNDECIDED = {"fail": 3, "warn": 0, "pass": 0}


def code_of(verdict: str, inconclusive: str = "fail") -> int:
    """The exit code of a verdict; `inconclusive` says how an open one ends."""
    return UNDECIDED[inconclusive] if verdict == "INCONCLUSIVE" else ENDS[verdict]


def show_resumed(shell: Shell, url: str, outcome: Outcome, history: History) -> int:
    """Show a check that was taken up and came to its end; returns the exit code of its verdict."""
    with contextlib.closing(open_database(url, must_exist=True)) as store:
        run = store.run(outcome.run.id)
        report = gate_report(store, run, history)
    shell.show(gates.gate_json(report, None), lambda: gates.gate_parts(report), lambda: gates.markdown_of(report))
    for note in outcome.notes:
        shell.note(note)
    return code_of(report.verdict, run.snapshot["options"].get("inconclusive", "fail"))
