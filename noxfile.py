"""What CI runs, session by session: `nox` for all of the default ones, `nox -s tests -- -k budget` for a part.

Sessions run in the environment that nox itself runs in; so `.venv/bin/nox` needs no second installation.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "imports", "docs", "tests", "coverage"]

PYTHON = sys.executable
LINES_OVERALL = 80  # per cent of lines and branches, over the whole package
BRANCHES_IN_DOMAIN = 90  # per cent of branches
MEMORY = Path("/dev/shm")  # noqa: S108 - files there need no disk; mkdtemp makes the folder
ROOM = 4 * 1024**3  # bytes that must be free there; a run of the tests takes a few hundred megabytes
DOCUMENTATION = ("tests/docs", "tests/unit/metrics/test_reference.py")


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: rules, then layout."""
    session.run(PYTHON, "-m", "ruff", "check", ".")
    session.run(PYTHON, "-m", "ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Mypy, strict, on the package."""
    session.run(PYTHON, "-m", "mypy")


@nox.session
def imports(session: nox.Session) -> None:
    """import-linter: the layers, and who may import which vendor library."""
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    session.run(PYTHON, "-c", command, "--no-logo")


@nox.session
def tests(session: nox.Session) -> None:
    """All tests but benchmarks and campaigns, on two processes; coverage data goes to `.coverage`.

    Tests start hundreds of processes, and each would compile the package anew where bytecode may not be kept.
    """
    selected = session.posargs or ["-m", "not bench and not campaign"]
    session.run(PYTHON, "-m", "coverage", "erase")
    with _in_memory() as places:
        keeping = {"PYTHONDONTWRITEBYTECODE": "", **places}
        session.run(PYTHON, "-m", "pytest", "-n", "2", "--cov", "--cov-report=", *selected, env=keeping)


@nox.session
def coverage(session: nox.Session) -> None:
    """The thresholds, on the data of the last `tests`."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        session.run(PYTHON, "-m", "coverage", "report", "--skip-covered", f"--fail-under={LINES_OVERALL}")
        session.run(PYTHON, "-m", "coverage", "json", "--include=promptprop/domain/*", "-o", str(report), silent=True)
        totals = json.loads(report.read_text(encoding="utf-8"))["totals"]
    share = 100 * totals["covered_branches"] / max(totals["num_branches"], 1)
    session.log(f"branches covered in domain/: {share:.1f} % (at least {BRANCHES_IN_DOMAIN} %)")
    if share < BRANCHES_IN_DOMAIN:
        session.error("too few branches of domain/ are covered")


@nox.session
def docs(session: nox.Session) -> None:
    """Links resolve, and what is generated from code is in step with it."""
    session.run(PYTHON, "-m", "pytest", "-n", "0", "-q", *DOCUMENTATION)


@nox.session
def bench(session: nox.Session) -> None:
    """Speed and overhead in one table; nothing fails for being slow. `nox -s bench -- --bench-json FILE` keeps it."""
    _run_marked(session, "bench", Path("tests/benchmarks"))


@nox.session
def bench_quality(session: nox.Session) -> None:
    """Search quality in simulated offices: report, plot and trials in a folder; `-- --folder DIR` names it.

    By default the reporting families at three caps, four worlds each; what follows `--` goes to the runner.
    """
    arguments = [str(argument) for argument in session.posargs]
    if "--folder" not in arguments:
        arguments += ["--folder", tempfile.mkdtemp(prefix="bench_quality-")]
    usual = ["--families", "reporting", "--calls", "200,600,1500", "--worlds", "4"]
    session.run(PYTHON, "tests/benchmarks/quality/run.py", *usual, *arguments, env={"PYTHONPATH": str(Path.cwd())})


@nox.session
def bench_real(session: nox.Session) -> None:
    """Optimizers on a real task with your key: `-- CONFIG --max-usd 2` plans it, `--go` spends it. Never in CI."""
    session.run(PYTHON, "tests/benchmarks/real/run.py", *map(str, session.posargs or ["--help"]))


@nox.session
def campaigns(session: nox.Session) -> None:
    """Claims in simulated worlds, kills at random points (`PROMPTPROP_KILLS=20` for few), odd inputs; takes long."""
    _run_marked(session, "campaign", Path("tests/campaigns"))


def _run_marked(session: nox.Session, mark: str, folder: Path) -> None:
    if not folder.is_dir():
        session.skip(f"{folder} does not exist yet")
    session.run(PYTHON, "-m", "pytest", "-n", "0", "-s", "-m", mark, str(folder), *session.posargs)


@contextmanager
def _in_memory() -> Iterator[dict[str, str]]:
    """A TMPDIR in memory where there is room: tests make thousands of databases, each waiting for a disk. Else none."""
    there = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ROOM
    if not there or os.statvfs(MEMORY).f_flag & os.ST_NOEXEC:  # some tests write programs and run them
        yield {}
        return
    folder = Path(tempfile.mkdtemp(prefix="promptprop-tests-", dir=MEMORY))
    folder.chmod(0o755)  # PostgreSQL runs as a user of its own below it
    try:
        yield {"TMPDIR": str(folder)}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
