"""Command lines in processes of their own, with the time they take."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

LOCAL = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}  # nobody looks for prices on the network


def command_seconds(measures: Path, arguments: list[str]) -> float:
    """Wall seconds of a command line in a process of its own, start-up included; it must end well."""
    began = time.perf_counter()
    command = [sys.executable, str(Path(__file__).with_name("own_run.py")), str(measures), *arguments]
    ended = subprocess.run(
        command,
        cwd=measures.parent,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **LOCAL},
    )
    wall = time.perf_counter() - began
    assert ended.returncode == 0, f"{ended.stdout[-1000:]}\n{ended.stderr[-3000:]}"
    return wall
