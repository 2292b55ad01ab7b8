"""Where jobs lie: beside the runs, in a file of their own or in a schema of their own."""

from __future__ import annotations

import hashlib
from pathlib import Path

from promptprop.adapters.storage.connection import parse_url, sqlite_file

QUEUE = "runs"
WORKFLOW = "run"
APPLICATION = "promptprop"
SCHEMA = "dbos"


def jobs_url(url: str) -> str:
    """The address of the jobs that belong to the runs at `url`: jobs.db beside promptprop.db, else the same server.

    >>> jobs_url("sqlite:////srv/.promptprop/promptprop.db"), jobs_url("sqlite:////srv/mine.db")
    ('sqlite:////srv/.promptprop/jobs.db', 'sqlite:////srv/mine-jobs.db')
    """
    file = sqlite_file(url)
    if file is None:
        return parse_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return f"sqlite:///{file.with_name(_name(file) + 'jobs.db')}"


def slots_folder(url: str, project: Path) -> Path:
    """Where the executors of this host that work on the runs at `url` have their locks."""
    file = sqlite_file(url)
    if file is not None:
        return file.parent / f"{_name(file)}executors"
    parsed = parse_url(url)
    named = hashlib.sha256(f"{parsed.host}:{parsed.port}/{parsed.database}".encode()).hexdigest()
    return project / "executors" / named[:12]


def _name(file: Path) -> str:
    return "" if file.name == "promptprop.db" else f"{file.stem}-"
