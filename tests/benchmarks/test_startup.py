"""How long commands take that do next to nothing, against an interpreter that does nothing at all."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import promptprop

ROOT = Path(__file__).parents[2]
QUICKSTART = str(ROOT / "configs" / "quickstart.yaml")
CONSOLE = "import sys; from promptprop.cli.main import main; sys.exit(main())"
TIMES = 9
COMMANDS = {
    "promptprop --version": ("--version",),
    "promptprop --help": ("--help",),
    "promptprop validate CONFIG": ("validate", QUICKSTART),
    "promptprop runs list": ("runs", "list"),
}


def seconds_of(arguments: list[str], folder: Path) -> float:
    """Wall seconds of a process that must end well."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=folder, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return time.perf_counter() - began


@pytest.mark.bench
def test_start_up_of_commands_that_call_no_model(tmp_path: Path, note: Callable[[str, str, str], None]) -> None:
    database = f"sqlite:///{tmp_path / '.promptprop' / 'promptprop.db'}"
    promptprop.evaluate(QUICKSTART, sets=["tracking.mlflow=false"], database=database)
    lines = {"python -c pass": ["-c", "pass"], **{name: ["-c", CONSOLE, *rest] for name, rest in COMMANDS.items()}}
    taken: dict[str, list[float]] = {name: [] for name in lines}
    for _ in range(TIMES):  # in turns, so that a busy moment of the machine hits all alike
        for name, arguments in lines.items():
            taken[name].append(seconds_of(arguments, tmp_path))
    medians = {name: statistics.median(values) for name, values in taken.items()}
    bare = medians["python -c pass"]
    for name, median in medians.items():
        note(
            f"start-up: {name}", f"{median * 1000:.0f} ms", f"{median / bare:.1f} × python -c pass (median of {TIMES})"
        )
    assert all(len(values) == TIMES for values in taken.values())
