"""`promptprop serve` as its users meet it: a process that answers, runs what it is asked to, and ends in good order."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from server_process import PATIENCE, SUPPORT, ServerProcess, frames, project

pytestmark = [pytest.mark.slow, pytest.mark.no_cover]


def promptprop(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PROMPTPROP_")}
    return subprocess.run(
        [sys.executable, "-m", "promptprop", *arguments],
        cwd=folder, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


def job_over(http: httpx.Client, run_id: str) -> dict[str, Any]:
    """The run's job, once it is over: its worker has a few last words to write after those of the run."""
    until = time.monotonic() + PATIENCE
    while (job := http.get(f"/api/v1/runs/{run_id}").json()["job"])["status"] in ("queued", "running"):
        assert time.monotonic() < until, job
        time.sleep(0.05)
    return dict(job)


def test_a_run_that_is_asked_for_over_http_is_run_followed_and_seen_by_the_command_line(tmp_path: Path) -> None:
    with ServerProcess(project(tmp_path)) as server, server.http() as http:
        run_id = server.begin(http)
        followed = frames(http.get(f"/api/v1/runs/{run_id}/events").text)
        detail = http.get(f"/api/v1/runs/{run_id}").json()
        seqs = [seq for seq, _, _ in followed if seq is not None]
        assert seqs == list(range(1, len(seqs) + 1))
        assert followed[-1][1:] == ("end", {"status": "finished", "stop_reason": detail["stop_reason"]})
        assert detail["status"] == "finished"
        assert job_over(http, run_id)["status"] == "done"
        again = frames(http.get(f"/api/v1/runs/{run_id}/events", headers={"Last-Event-ID": str(seqs[-3])}).text)
        assert [seq for seq, _, _ in again if seq is not None] == seqs[-2:]
    shown = promptprop(tmp_path, "runs", "show", run_id, "--json")
    assert shown.returncode == 0
    assert f'"run_id": "{run_id}"' in shown.stdout
    assert (tmp_path / ".promptprop" / "runs" / run_id[:8] / "report.md").is_file()


def test_a_run_of_the_command_line_is_seen_over_http(tmp_path: Path) -> None:
    project(tmp_path)
    assert promptprop(tmp_path, "eval", "configs/quickstart.yaml", "--split", "test").returncode == 0
    with ServerProcess(tmp_path, "--workers", "0", "--json") as server, server.http() as http:
        assert f'"http://127.0.0.1:{server.port}"' in server.log.read_text(encoding="utf-8")  # stdout goes there, too
        [listed] = http.get("/api/v1/runs").json()["items"]
        events = frames(http.get(f"/api/v1/runs/{listed['run_id']}/events").text)
    assert (listed["activity"], listed["status"]) == ("evaluate", "finished")
    assert events[-1][1] == "end"


def test_sigterm_ends_server_and_workers_in_good_order_and_a_run_goes_on_later(tmp_path: Path) -> None:
    server = ServerProcess(project(tmp_path))
    with server, server.http() as http:
        run_id = server.begin(http, optimizer={"name": "backprop", "options": {"rounds": 40}})
        deadline = time.monotonic() + PATIENCE
        while http.get(f"/api/v1/runs/{run_id}").json()["status"] != "running":
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert server.process is not None
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE) == 0
        assert time.monotonic() - began < 15  # 10 are promised; a busy machine may need more
    assert "Traceback" not in server.log.read_text(encoding="utf-8")
    with server, server.http() as http:
        assert server.ended(http, run_id)["status"] == "finished"


def test_a_server_that_others_could_reach_is_refused_without_a_token(tmp_path: Path) -> None:
    refused = promptprop(project(tmp_path), "serve", "--host", "0.0.0.0", "--port", "0")
    assert refused.returncode == 2
    assert "there is no token yet" in refused.stderr
    assert "promptprop token create" in refused.stderr


def test_with_a_token_it_may_be_reached_and_the_token_is_asked_for(tmp_path: Path) -> None:
    project(tmp_path)
    secret = promptprop(tmp_path, "token", "create", "ci", "--scope", "read").stdout.strip()
    options = ("--host", "0.0.0.0", "--workers", "0", "--allow-host", "prompts.example")
    with ServerProcess(tmp_path, *options) as server, server.http() as http:
        abroad = {"Host": f"prompts.example:{server.port}"}
        assert http.get("/api/v1/runs", headers=abroad).status_code == 401
        bearer = {**abroad, "Authorization": f"Bearer {secret}"}
        assert http.get("/api/v1/runs", headers=bearer).status_code == 200
        refused = http.post("/api/v1/runs", json={"config": SUPPORT}, headers=bearer)
        assert (refused.status_code, refused.json()["code"]) == (403, "scope")


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = promptprop(project(tmp_path), "serve", "--port", str(port))
    assert refused.returncode == 2
    assert f"cannot listen on 127.0.0.1 port {port}" in refused.stderr
    assert "--port" in refused.stderr
