"""Checks of prompts as tests: `@pytest.mark.promptprop("configs/router.yaml", baseline=…)`, and a fixture.

pytest loads this module in every suite of an environment that has promptprop, so that nothing else of the package is
imported before a test asks for a check.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from promptprop.bootstrap.gates import GateReport
    from promptprop.domain.errors import PromptPropError

MARK = "promptprop"
MARKER = (
    "promptprop(config, baseline=None, inconclusive='fail', **options): hold the prompt of a configuration against a "
    "baseline before the test runs, and fail where it is surely worse. Options are those of promptprop.check"
)
HOW_OPEN = ("fail", "warn", "pass")
SHOWN = 5  # rows of each kind in the text of a failure


@dataclass(frozen=True, slots=True)
class _Ended:
    """What came of a check: its report, or the error that ended it."""

    report: GateReport | None
    error: PromptPropError | None = None


_KNOWN = pytest.StashKey[dict[str, _Ended]]()


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", MARKER)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Make the checks of a marked test before its body, and fail it where one does not pass."""
    for mark in item.iter_markers(MARK):
        config, options, inconclusive = _asked(mark)
        report = _report(item.config, config, options)
        if report.verdict == "FAIL" or (report.verdict == "INCONCLUSIVE" and inconclusive == "fail"):
            pytest.fail(_text(report), pytrace=False)
        if report.verdict == "INCONCLUSIVE" and inconclusive == "warn":
            item.warn(pytest.PytestWarning(f"promptprop check {report.name}: {report.sentence}"))


@pytest.fixture
def promptprop_check(request: pytest.FixtureRequest) -> GateReport | Callable[..., GateReport]:
    """Of a marked test the report of its check; else a function that makes one: `promptprop_check(config, baseline)`.

    It takes what promptprop.check does, and returns the report whatever the verdict is.
    """
    mark = request.node.get_closest_marker(MARK)
    if mark is not None:
        config, options, _ = _asked(mark)
        return _report(request.config, config, options)

    def check(config: str | Path, baseline: str | None = None, **options: Any) -> GateReport:
        __tracebackhide__ = True
        return _report(request.config, str(config), {"baseline": baseline, **options})

    return check


def _asked(mark: pytest.Mark) -> tuple[str, dict[str, Any], str]:
    """Configuration, options, and how an open verdict ends."""
    options = dict(mark.kwargs)
    inconclusive = options.pop("inconclusive", "fail")
    if inconclusive not in HOW_OPEN:
        pytest.fail(f"promptprop: inconclusive={inconclusive!r} is not one of {', '.join(HOW_OPEN)}", pytrace=False)
    if len(mark.args) != 1:
        pytest.fail(f"promptprop: the mark takes one configuration, and was given {len(mark.args)}", pytrace=False)
    return str(mark.args[0]), options, inconclusive


def _report(config: pytest.Config, path: str, options: dict[str, Any]) -> GateReport:
    """The report of a check, made once for equal ones; a test fails with what ended it, where something did."""
    __tracebackhide__ = True
    known = config.stash.setdefault(_KNOWN, {})
    key = repr((path, sorted(options.items())))
    if key not in known:
        known[key] = _made(config.rootpath, path, options)
    ended = known[key]
    if ended.report is None:
        pytest.fail(f"promptprop check {path}: {ended.error}", pytrace=False)
    return ended.report


def _made(root: Path, path: str, options: dict[str, Any]) -> _Ended:
    """Make a check, with paths below the root of the tests."""
    import inspect

    from promptprop.bootstrap.checks import check
    from promptprop.domain.errors import PromptPropError

    known = set(inspect.signature(check).parameters) - {"config"}
    if unknown := sorted(set(options) - known):
        pytest.fail(
            f"promptprop: there is no option {unknown[0]!r}: known are {', '.join(sorted(known))}", pytrace=False
        )
    try:
        with _below(root):
            return _Ended(_in_a_thread(lambda: check(path, **options)))
    except PromptPropError as error:
        return _Ended(None, error)


def _in_a_thread(make: Callable[[], Coroutine[Any, Any, GateReport]]) -> GateReport:
    """Run a coroutine apart from any event loop that the test may have; its warnings are shown and never raised.

    Ctrl-C lets the calls in flight end, and goes on. Raises what the coroutine raises.
    """
    import asyncio
    import threading
    import warnings
    from concurrent.futures import Future

    ended: Future[GateReport] = Future()
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []

    async def made() -> GateReport:
        task = asyncio.current_task()
        if task is not None:
            running.append((asyncio.get_running_loop(), task))
        return await make()

    def work() -> None:
        try:
            ended.set_result(asyncio.run(made()))
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread of the test
            ended.set_exception(error)

    thread = threading.Thread(target=work, name="promptprop-check", daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        thread.start()
        try:
            return ended.result()
        except KeyboardInterrupt:
            for loop, task in running:
                loop.call_soon_threadsafe(task.cancel)
            raise
        finally:
            thread.join()


@contextmanager
def _below(folder: Path) -> Iterator[None]:
    """Work in a folder, where `.promptprop`, `promptprop-baselines` and relative paths are looked for."""
    import os
    from pathlib import Path as HerePath

    before = HerePath.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _text(report: GateReport) -> str:
    """A report that fails a test: the verdict, what it rests on, and the rows that are worst."""
    from promptprop.adapters.files.gate_words import GROUPS, row_head, row_lines
    from promptprop.adapters.files.report_words import counted
    from promptprop.bootstrap.gate_document import abridged, clean, facts_of

    document = abridged(report.as_json(), SHOWN, 0)
    lines = [f"promptprop check {document['name']}: {document['sentence']}"]
    lines += [f"{name:9} {clean(said)}" for name, said in facts_of(report)]
    for name, title in GROUPS.items():
        rows = document[name] if name != "better" else []
        if rows:
            lines += ["", f"{counted(len(rows), 'row')} {title}"]
        for row in rows[:SHOWN]:
            lines.append("  " + "  ".join(row_head(row)))
            lines += [f"      {line}" for line in (*row_lines(row), row["command"])]
        if len(rows) > SHOWN:
            lines.append(f"… and {len(rows) - SHOWN} more; `promptprop runs show {report.run_id[:8]}` tells all")
    return "\n".join(lines)
