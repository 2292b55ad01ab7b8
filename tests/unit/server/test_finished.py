"""Reports of runs that have finished are made once; all others as often as they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone

from promptprop.domain.models import Json
from promptprop.ports.jobs import JobState
from promptprop.ports.service import RunHead
from promptprop.server.finished import LARGEST, finished_jobs, finished_reports

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
HEAD = RunHead("a", "run", "optimize", "finished", 7, NOW, NOW, "data", "")


def counted(candidates: int = 1) -> tuple[Callable[[], dict[str, Json]], list[int]]:
    made: list[int] = []

    def make() -> dict[str, Json]:
        made.append(1)
        return {"number": len(made), "candidates": [{}] * candidates}

    return make, made


def test_a_finished_run_is_reported_once() -> None:
    make, made = counted()
    reports = finished_reports()
    assert [reports.of(HEAD, make)["number"] for _ in range(3)] == [1, 1, 1]
    assert len(made) == 1


def test_a_run_that_may_go_on_is_reported_anew() -> None:
    for status in ("created", "queued", "running", "stopped", "cancelled"):
        make, made = counted()
        reports = finished_reports()
        for _ in range(2):
            reports.of(replace(HEAD, status=status), make)
        assert len(made) == 2


def test_a_run_that_was_changed_is_reported_anew() -> None:
    make, _ = counted()
    reports = finished_reports()
    reports.of(HEAD, make)
    assert reports.of(replace(HEAD, updated_at=NOW + timedelta(seconds=1)), make)["number"] == 2


def test_the_one_that_was_not_asked_for_the_longest_goes_first() -> None:
    make, made = counted()
    reports = finished_reports(kept=2)
    for name in ("a", "b", "a", "c", "a", "b"):
        reports.of(replace(HEAD, id=name), make)
    assert len(made) == 4  # a, b, c, and b once more


def test_a_document_that_is_very_long_is_not_kept() -> None:
    make, made = counted(LARGEST + 1)
    reports = finished_reports()
    for _ in range(2):
        reports.of(HEAD, make)
    assert len(made) == 2


def test_a_job_is_kept_for_a_run_that_has_finished_alone() -> None:
    jobs, state = finished_jobs(), (JobState("a", "done", 1, 0, NOW),)
    jobs.keep(replace(HEAD, status="stopped"), state)
    assert jobs.known(HEAD) is None
    jobs.keep(HEAD, state)
    assert jobs.known(HEAD) == state
    assert jobs.known(replace(HEAD, status="stopped")) is None
