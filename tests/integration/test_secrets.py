"""No secret is ever written: keys from everywhere, servers that echo them, and then a search through every byte."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from canaries import leaks_below, run_forked, run_script
from forked_commands import ForkedCommands
from openai_server import Body, Fault, error
from world_server import WorldServer

ROOT = Path(__file__).parents[2]
# values that no pattern would recognise: only where they came from tells that they are secrets
CANARIES = {
    "TASK_KEY": "canaryTask-Zq81/Xw+55==",
    "OPENAI_API_KEY": "canaryEnvironment-7Hd0qLm",
    "CRITIC_KEY": "canaryCritic-k2J9aaPwq",
    "CRITIC_HEADER": "canaryHeader-Uu77Yt3x",
    "CRITIC_TENANT": "canaryTenant-B1ccD4e5",
    "TRACKING_PASSWORD": "canaryTracking-0o9Ii8u",
    "DATABASE_PASSWORD": "canaryDatabase-Vv5gG6h",
}
Run = Callable[..., subprocess.CompletedProcess[str]]
SENT = ("TASK_KEY", "OPENAI_API_KEY", "CRITIC_HEADER", "CRITIC_TENANT")

pytestmark = pytest.mark.slow


class EchoingServer(WorldServer):
    """The world, with refusals that repeat all headers of the request, far down a long message too."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def _admit(self, request: web.Request, body: Body) -> Fault | None:
        self.seen.append(json.dumps(dict(request.headers)))
        return super()._admit(request, body)

    async def _refuse(self, request: web.Request, fault: Fault | None) -> web.Response | None:
        if fault is None or not fault.kind.startswith("echo"):
            return await super()._refuse(request, fault)
        values = [
            request.headers[name] for name in ("Authorization", "x-api-key", "x-tenant") if name in request.headers
        ]
        filler = "." * (500 - 20 - len(values[0]))  # the values lie across the place where messages are cut
        words = f"refused {values}, {json.dumps(dict(request.headers))} {filler} {values}"
        return error(int(fault.kind.removeprefix("echo")), words, "echo", values[-1])


@pytest.fixture
def echoing() -> Iterator[EchoingServer]:
    """The server, on a free port."""
    with EchoingServer() as server:
        yield server


def write_config(folder: Path, server: EchoingServer, **changes: Any) -> Path:
    """A small run with a key in every place that a configuration has for one."""
    data = folder / "support.jsonl"
    lines = (ROOT / "datasets" / "support.jsonl").read_text("utf-8").splitlines(keepends=True)
    data.write_text("".join(lines[:100]), "utf-8")
    common = {"concurrency": 8, "retries": 1, "timeout": 30}
    headers = {"Authorization": "Bearer ${env:CRITIC_HEADER}", "x-api-key": "${env:CRITIC_KEY}"}
    config = {
        "version": 1,
        "task": "Route each customer message to one desk.",
        "prompt": {"file": str(ROOT / "configs" / "prompts" / "support.md")},
        "data": {
            "file": str(data),
            "inputs": ["text"],
            "expected": "label",
            "id": "id",
            "split": {"train": 0.2, "select": 0.4, "test": 0.4, "seed": 7},
        },
        "models": {
            "task": {"model": "openai/task", "api_base": server.url, "api_key": "${env:TASK_KEY}", **common},
            # an address of this machine that is not taken for one: so the provider's own variable is used
            "rewriter": {"model": "openai/rewriter", "api_base": server.url.replace("127.0.0.1", "0.0.0.0"), **common},
            "critic": {
                "model": "openai/critic",
                "api_base": server.url,
                "params": {"extra_headers": {**headers, "x-tenant": "${env:CRITIC_TENANT}"}},
                **common,
            },
        },
        "metrics": [{"id": "label", "type": "exact"}],
        "optimizer": {
            "name": "backprop",
            "options": {
                "rounds": 1, "children": 2, "shortlist": 1, "headroom_rows": 6, "evidence_rows": 12, "race_block": 10
            },
        },
        "budget": {"calls": 3000},
        "max_error_rate": 0.5,
        "tracking": {"mlflow": {"uri": "sqlite:///.promptprop/mlflow.db", "experiment": "canaries"}},
        **changes,
    }  # fmt: skip
    path = folder / "run.yaml"
    path.write_text(json.dumps(config), "utf-8")
    return path


@pytest.fixture
def run(forked_commands: ForkedCommands) -> Run:
    """A command with all canaries in its environment; what it shows is kept in the folder too."""
    return lambda folder, *arguments: run_forked(forked_commands, folder, arguments, CANARIES)


def test_no_secret_is_ever_written(tmp_path: Path, echoing: EchoingServer, run: Run) -> None:
    config = write_config(tmp_path, echoing)
    echoing.fail_share(0.25, ["echo400", "echo500", "echo429"], seed=4)
    done = run_script(tmp_path, ("optimize", str(config), "-vv", "--json"), CANARIES)
    assert done.returncode == 0, done.stderr
    for arguments in (
        ("runs", "show", "latest"),
        ("runs", "show", "latest", "--json"),
        ("runs", "export", "latest", "-o", "exported.json"),
        ("report", "latest", "--md"),
        ("config", "show", str(config), "--origin"),
        ("plan", str(config)),
    ):
        run(tmp_path, *arguments)
    seen = "\n".join(echoing.seen)
    assert [name for name in SENT if CANARIES[name] not in seen] == []
    assert "${env:" not in seen
    with closing(sqlite3.connect(tmp_path / ".promptprop" / "promptprop.db")) as connection, connection:
        failures = connection.execute("SELECT failure FROM run_calls WHERE failure IS NOT NULL").fetchall()
        requests = connection.execute("SELECT request FROM calls WHERE model = 'openai/critic'").fetchall()
    connection.close()
    assert failures
    assert all("[redacted]" in text for (text,) in failures)
    assert requests
    assert all("Bearer ${env:CRITIC_HEADER}" in text for (text,) in requests)
    assert leaks_below(tmp_path, CANARIES) == []


@pytest.mark.parametrize("kind", ["echo401", "echo403", "echo404"])
def test_no_secret_is_written_where_the_first_refusal_ends_the_run(
    tmp_path: Path, echoing: EchoingServer, run: Run, kind: str
) -> None:
    echoing.fail_always(kind)
    told = {} if kind == "echo401" else {"tracking": {"mlflow": False}}  # MLflow takes seconds to load
    done = run(tmp_path, "optimize", str(write_config(tmp_path, echoing, **told)), "-vv")
    assert done.returncode == 2
    assert "refused" in done.stderr
    run(tmp_path, "runs", "show", "latest", "--json")
    assert leaks_below(tmp_path, CANARIES) == []


def test_no_password_of_a_tracker_or_a_database_is_ever_written(
    tmp_path: Path, echoing: EchoingServer, run: Run
) -> None:
    tracking = {"mlflow": {"uri": "http://me:${env:TRACKING_PASSWORD}@127.0.0.1:9/", "experiment": "canaries"}}
    config = write_config(tmp_path, echoing, tracking=tracking)
    done = run(tmp_path, "optimize", str(config), "-vv")
    assert done.returncode == 0, done.stderr
    assert "MLflow could not" in done.stderr + done.stdout
    unreachable = f"postgresql+psycopg://me:{CANARIES['DATABASE_PASSWORD']}@127.0.0.1:9/runs"
    for url in (
        unreachable,
        unreachable.replace("postgresql+psycopg", "mysql"),
        unreachable.replace("127.0.0.1:9", ""),
    ):
        assert run(tmp_path, "runs", "list", "--db", url, "-vv").returncode == 2
    assert leaks_below(tmp_path, CANARIES) == []
