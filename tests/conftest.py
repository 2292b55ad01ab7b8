"""What all tests share: the folder of fixtures on the path, a loopback server that counts, and databases."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent / "fixtures"))

from forked_commands import ForkedCommands
from openai_server import OpenAIServer
from postgres_server import MISSING, PostgresServer, find_binaries, shared_server

settings.register_profile(  # wherever the tests run: examples that do not change by themselves, and no time to keep
    "promptprop", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("promptprop")
UNTRACED = tuple(str(Path(__file__).parent / name) for name in ("e2e", "integration"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole runs are not traced for coverage: it would take longer, and unit tests cover what they run."""
    for item in items:
        if str(item.path).startswith(UNTRACED):
            item.add_marker(pytest.mark.no_cover)


def pytest_collection_finish() -> None:
    """Thousands of tests stay in memory until the end: what outlives them all is looked through less often."""
    gc.set_threshold(50_000, 20, 50)


@pytest.fixture
def openai_server() -> Iterator[OpenAIServer]:
    """A server that echoes, on a free port; fail it with `fail_at`, `fail_share` or `fail_always`."""
    with OpenAIServer() as server:
        yield server


@pytest.fixture(scope="session")
def forked_commands() -> Iterator[ForkedCommands]:
    """Commands without the seconds that a process takes to start; those that show how one starts have the script."""
    commands = ForkedCommands()
    yield commands
    commands.close()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """The server in PROMPTPROP_TEST_POSTGRES_URL, else one for this session. In CI there must be one."""
    if given := os.environ.get("PROMPTPROP_TEST_POSTGRES_URL"):
        server = PostgresServer(given)
        yield server
        server.close()
        return
    binaries = find_binaries()
    if binaries is None:
        (pytest.fail if os.environ.get("CI", "").lower() == "true" else pytest.skip)(MISSING)
    base = tmp_path_factory.getbasetemp()  # below a folder of the session where xdist runs several processes
    with shared_server(binaries, base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) as url:
        yield PostgresServer(url)


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A database of this test's own on PostgreSQL, with all tables and no rows."""
    with postgres_server.database() as url:
        yield url


@pytest.fixture
def empty_postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A database of this test's own on PostgreSQL, without a table."""
    with postgres_server.database(empty=True) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def any_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of this test's own, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/runs.db"
    return str(request.getfixturevalue("postgres_url"))
