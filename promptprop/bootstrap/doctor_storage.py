"""Where things are kept: the project's folder, the database and its locks, the store of MLflow."""

from __future__ import annotations

import shutil
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from promptprop.adapters.logs import redact
from promptprop.bootstrap.configuration import database_url, project_folder
from promptprop.bootstrap.doctor import Check, Patient, writable

MEGABYTE = 2**20
SCARCE, TOO_LITTLE = 1024, 100  # free megabytes
SECONDS = 5.0


def check_folder(_: Patient) -> Iterator[Check]:
    """Can the project's folder be written, or made?"""
    folder = project_folder()
    at = folder if folder.is_dir() else folder.parent
    if folder.exists() and not folder.is_dir():
        yield Check("folder", "fail", f"{folder} is no folder", "move that file away: runs are kept in this place")
    elif not writable(at):
        yield Check("folder", "fail", f"{at} cannot be written", "check its owner and permissions, or work elsewhere")
    else:
        yield Check("folder", "ok", f"{at} can be written")
        free = shutil.disk_usage(at).free // MEGABYTE
        if free < SCARCE:
            state = "fail" if free < TOO_LITTLE else "warn"
            yield Check("folder", state, f"{free} MB are free on its disk", "free some space before a run needs it")  # type: ignore[arg-type]  # one of two states


def check_database(patient: Patient) -> Iterator[Check]:
    """Is the database there, sound, and of this version?"""
    url = _url(patient)
    if urlsplit(url).scheme.startswith("postgres") and find_spec("psycopg") is None:
        remedy = 'install the extra: pip install "promptprop[postgres]"'
        yield Check("database", "fail", "the PostgreSQL driver is not installed", remedy)
        return
    from promptprop.adapters.storage.connection import shown, sqlite_file
    from promptprop.adapters.storage.migrate import HEAD, check

    file, named = sqlite_file(url), shown(url)
    if file is None and patient.offline:
        yield Check("database", "ok", f"{named}, not asked (--offline)")
        return
    if file is not None and (not file.exists() or not file.stat().st_size):
        yield Check("database", "ok", f"none yet: the first run makes {file}")
        return
    problems = check(url)
    if problems:
        remedy = "back it up, then run `promptprop db upgrade`" if "revision" in problems[0] else "restore a backup"
        yield from (Check("database", "fail", f"{named}: {problem}", remedy) for problem in problems)
        return
    size = f", {file.stat().st_size / MEGABYTE:,.1f} MB" if file is not None else ""
    yield Check("database", "ok", f"{named}: sound, at revision {HEAD}{size}")
    if file is not None and not writable(file.parent):
        yield Check("database", "fail", f"{file.parent} cannot be written", "check its owner and permissions")


def check_locks(patient: Patient) -> Iterator[Check]:
    """Is somebody working on a run? A lock whose process is gone holds nothing, so that none has to be cleared."""
    from promptprop.adapters.storage.connection import sqlite_file
    from promptprop.adapters.storage.locks import run_holder
    from promptprop.domain.errors import PromptPropError

    try:
        url = _url(patient)
        file = sqlite_file(url)
    except PromptPropError:
        return  # told of the database already
    files = sorted((file.parent / "locks").glob("*.lock")) if file is not None else []
    for lock in files:
        held = run_holder(url, lock.stem)
        if held is not None:
            yield Check("locks", "ok", held.message)


def check_mlflow(patient: Patient) -> Iterator[Check]:
    """Where a configuration tracks its runs: is MLflow installed, and can its store be opened? MLflow is not loaded."""
    wanted = patient.loaded.config.tracking.mlflow if patient.loaded else None
    if wanted is None or not wanted.enabled:
        return
    from promptprop.adapters.tracking.client import sqlite_path
    from promptprop.bootstrap.outputs import tracking_uri

    if find_spec("mlflow") is None:
        yield Check("mlflow", "fail", "MLflow is not installed", "install it, or set tracking.mlflow: false")
        return
    uri = tracking_uri(wanted.uri, patient.environment)
    file = sqlite_path(uri)
    if file is not None:
        yield _sqlite_store(file)
    elif uri.startswith(("http://", "https://")):
        if not patient.offline:
            yield _server(uri)
    else:
        yield Check("mlflow", "ok", f"{redact(uri)}, not looked at")


def _sqlite_store(file: Path) -> Check:
    at = next((folder for folder in file.parents if folder.is_dir()), file.parent)
    if not writable(at):
        return Check("mlflow", "fail", f"{at} cannot be written", "check its owner, or set tracking.mlflow.uri")
    if not file.exists():
        return Check("mlflow", "ok", f"no store yet: the first run makes {file}")
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        return Check("mlflow", "fail", f"{file} is no store of MLflow: {error}", "move it away, or name another one")
    return Check("mlflow", "ok", f"{file} can be opened")


def _server(uri: str) -> Check:
    parts = urlsplit(uri)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), SECONDS).close()
    except OSError as error:
        reason = error.strerror or str(error)
        message = f"no connection to the tracking server at {parts.hostname}:{port}: {reason}"
        return Check("mlflow", "warn", message, "runs go on without it; start it, or check tracking.mlflow.uri")
    return Check("mlflow", "ok", f"the tracking server at {parts.hostname}:{port} takes connections")


def _url(patient: Patient) -> str:
    return database_url(patient.db, patient.loaded.config if patient.loaded else None, patient.environment)
