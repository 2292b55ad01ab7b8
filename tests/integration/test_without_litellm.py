"""Runs whose models all speak OpenAI's protocol never load LiteLLM, which takes seconds and much memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from openai_server import OpenAIServer

SHOWN_AFTER = "\x1eloaded:"
PROBE = f"""
import json, sys
sys.argv = ["promptprop", *sys.argv[1:]]
code = 0
try:
    from promptprop.cli.main import main
    code = main()
except SystemExit as stop:
    code = stop.code
print({SHOWN_AFTER!r} + json.dumps([code or 0, sorted(sys.modules)]))
"""


@pytest.fixture
def http_project(tmp_path: Path, openai_server: OpenAIServer) -> Path:
    """Six rows for a model at the loopback server, and one for a rewriter there."""
    rows = [{"id": f"r{number}", "text": f"message {number}", "label": "ab"[number % 2]} for number in range(40)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    model = {"model": "openai/gpt-4o-mini", "api_base": openai_server.url, "api_key": "loopback"}
    config = {
        "version": 1,
        "name": "small",
        "task": "Say a or b.",
        "prompt": {"text": "Label {{ text }}"},
        "data": {"file": "rows.jsonl", "inputs": ["text"], "expected": "label", "id": "id"},
        "models": {"task": model, "rewriter": {**model, "model": "hosted_vllm/m"}},
        "metrics": [{"id": "label", "type": "exact"}],
        "budget": {"calls": 5000},
    }
    (tmp_path / "small.yaml").write_text(json.dumps(config))
    return tmp_path


@pytest.mark.parametrize(("command", "calls"), [("eval", 40), ("plan", 0)])
def test_a_run_over_http_alone_never_loads_litellm(
    http_project: Path, openai_server: OpenAIServer, command: str, calls: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, command, "small.yaml"],
        cwd=http_project,
        env={**os.environ, "PROMPTPROP_TRACKING__MLFLOW": "false"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    code, loaded = json.loads(done.stdout.rpartition(SHOWN_AFTER)[2])
    assert code == 0, done.stdout + done.stderr
    assert {"litellm", "openai", "httpx"} & set(loaded) == set()
    assert ("aiohttp" in loaded) == (calls > 0)
    assert openai_server.stats.requests == calls
