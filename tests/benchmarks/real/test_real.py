"""The comparison on a real task, tried on the simulated models: planned first, then run, then not run again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
RUNNER = Path(__file__).with_name("run.py")


def bench_real(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(RUNNER), str(ROOT / "configs" / "quickstart.yaml"), *arguments]
    untracked = {**os.environ, "PROMPTPROP_TRACKING__MLFLOW": "false"}  # MLflow takes longer than the runs
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=untracked)


@pytest.mark.slow
def test_it_is_planned_capped_run_and_found_on_record(tmp_path: Path) -> None:
    assert bench_real(tmp_path).returncode == 2, "no cap, no run"
    chosen = ("--optimizers", "random,classic", "--seeds", "1", "--max-calls", "700")
    planned = bench_real(tmp_path, *chosen)
    assert planned.returncode == 0, planned.stderr
    assert "2 runs, at most 2 × 700 calls" in planned.stdout
    assert not (tmp_path / "bench-real.db").exists()
    first = bench_real(tmp_path, *chosen, "--go")
    assert first.returncode == 0, first.stderr
    assert first.stdout.count("| random | 1 |") == first.stdout.count("| classic | 1 |") == 1
    again = bench_real(tmp_path, *chosen, "--go")
    assert again.stdout == first.stdout
    assert "round 1" not in again.stderr, "what is on record is not run again"
