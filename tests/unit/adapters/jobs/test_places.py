from __future__ import annotations

from pathlib import Path

from promptprop.adapters.jobs.places import jobs_url, slots_folder


def test_jobs_lie_beside_their_runs() -> None:
    assert jobs_url("sqlite:///state/promptprop.db") == "sqlite:///state/jobs.db"
    assert jobs_url("sqlite:///runs.db") == "sqlite:///runs-jobs.db"


def test_two_databases_in_one_folder_share_neither_jobs_nor_executors() -> None:
    urls = ["sqlite:////srv/promptprop.db", "sqlite:////srv/a.db", "sqlite:////srv/b.db"]
    assert len({jobs_url(url) for url in urls}) == 3
    assert len({slots_folder(url, Path("/project")) for url in urls}) == 3


def test_on_a_server_jobs_lie_in_the_same_database() -> None:
    url = "postgresql+psycopg://me:s%40cret@db:5433/runs?sslmode=require"
    assert jobs_url(url) == "postgresql://me:s%40cret@db:5433/runs?sslmode=require"


def test_executors_of_a_server_have_their_locks_in_the_project_and_apart_by_database() -> None:
    one = slots_folder("postgresql://me:old@db/runs", Path("/project"))
    assert one.parent == Path("/project/executors")
    assert one == slots_folder("postgresql+psycopg://me:new@db/runs", Path("/project"))
    assert one != slots_folder("postgresql://me@db/others", Path("/project"))
