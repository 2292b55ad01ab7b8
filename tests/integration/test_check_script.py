"""`check` through the console script against a server of the OpenAI protocol: every exit code, and no network."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from forked_commands import ForkedCommands
from openai_server import Answer, OpenAIServer

SCRIPT = Path(sys.executable).with_name("promptprop")
ROWS = 80
WELL = "Say yes or no, and nothing else."
BADLY = "Say what you think."
BLOCKED = """\
import socket


def _refused(*_arguments, **_options):
    raise OSError("this process has no network")


socket.socket.connect = socket.socket.connect_ex = _refused
socket.getaddrinfo = socket.create_connection = _refused
"""
BUGGY = """\
import importlib.machinery
import sys


class _Spoiled(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name == "promptprop.services.flips":
            raise ZeroDivisionError("a bug in a dependency")
        return None


sys.meta_path.insert(0, _Spoiled)
"""

Run = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = pytest.mark.slow


def answers(body: dict[str, Any]) -> Answer:
    """Right where it is asked well; on every third row else."""
    text = str(body["messages"][-1]["content"])
    number = int(re.findall(r"\d+", text)[-1])
    right = "yes" if number % 2 else "no"
    return Answer(right if WELL in text or number % 3 == 0 else "perhaps")


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer(answers) as started:
        yield started


@pytest.fixture
def gate(tmp_path: Path, server: OpenAIServer) -> Path:
    """A folder with a configuration, its data, a good prompt `well.md` and a worse one; the good one is configured."""
    rows = [{"id": f"r{n}", "text": f"row {n}", "label": "yes" if n % 2 else "no"} for n in range(ROWS)]
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    for name, text in (("well", WELL), ("badly", BADLY), ("prompt", WELL)):
        (tmp_path / f"{name}.md").write_text(f"{text}\n\n{{{{ text }}}}\n")
    task = {
        "model": "openai/task",
        "api_base": server.url,
        "api_key": "${env:MY_TASK_KEY}",
        "max_tokens": 8,
        "retries": 1,
    }
    config = {
        "version": 1,
        "name": "gate",
        "task": "Say yes or no.",
        "prompt": {"file": "prompt.md"},
        "data": {"file": "rows.jsonl", "inputs": ["text"], "expected": "label", "id": "id"},
        "models": {"task": task},
        "metrics": [{"id": "label", "type": "exact"}],
        "gate": {"replicates": [1, 2]},
        "budget": {"calls": 10_000},
        "tracking": {"mlflow": False},
    }
    (tmp_path / "gate.yaml").write_text(json.dumps(config))
    return tmp_path


def environment(folder: Path, **more: str) -> dict[str, str]:
    kept = {
        name: os.environ[name]
        for name in ("PATH", "LANG", "PYTHONPATH", "COVERAGE_PROCESS_START")
        if name in os.environ
    }
    return {**kept, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config"), "MY_TASK_KEY": "sk-one-two", **more}


def spoiled(folder: Path, code: str) -> dict[str, str]:
    """An environment in which Python begins with this code."""
    (folder / "site").mkdir(exist_ok=True)
    (folder / "site" / "sitecustomize.py").write_text(code)
    inherited = os.environ.get("PYTHONPATH", "")
    return environment(folder, PYTHONPATH=os.pathsep.join(filter(None, [str(folder / "site"), inherited])))


@pytest.fixture
def run(forked_commands: ForkedCommands) -> Run:
    """A command to its end, without the start-up of a process."""
    return lambda folder, *arguments: forked_commands.run(arguments, folder, environment(folder))


def run_script(folder: Path, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(SCRIPT), *arguments], check=False, cwd=folder, env=env or environment(folder), capture_output=True,
        text=True, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_zero_where_it_passes_and_nothing_but_the_report_on_stdout(gate: Path, server: OpenAIServer) -> None:
    done = run_script(gate, "check", "gate.yaml", "--baseline", "badly.md", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["verdict"], document["rows"]) == ("PASS", ROWS)
    assert server.stats.requests == 2 * ROWS
    assert {headers["Authorization"] for headers in server.headers} == {"Bearer sk-one-two"}
    assert "sk-one-two" not in done.stdout + done.stderr


def test_one_where_it_is_surely_worse_and_resuming_says_so_again(gate: Path, run: Run) -> None:
    (gate / "prompt.md").write_text((gate / "badly.md").read_text())
    done = run(gate, "check", "gate.yaml", "--baseline", "well.md")
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("FAIL: the candidate is worse than the baseline")
    assert run(gate, "runs", "resume", "latest").returncode == 1
    assert run(gate, "check", "gate.yaml", "--baseline", "well.md", "--exit-zero").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check", "gate.yaml", "--margin", "much"], "gate.margin"),
        (["check", "none.yaml"], "none.yaml"),
        (["check", "gate.yaml", "--no-such-option"], "there is no option"),
        (
            ["check", "gate.yaml", "--baseline", "well.md", "--require-power", "--margin", "0.1pp"],
            "would not see a drop",
        ),
    ],
)
def test_two_where_it_cannot_be_followed(gate: Path, arguments: list[str], said: str) -> None:
    done = run_script(gate, *arguments)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr


def test_three_where_the_rows_do_not_tell(gate: Path, run: Run) -> None:
    (gate / "same.md").write_text(f"Please. {WELL}\n\n{{{{ text }}}}\n")
    arguments = ("check", "gate.yaml", "--baseline", "same.md", "--margin", "0")  # equal, and none can prove it
    assert run(gate, *arguments).returncode == 3
    assert run(gate, *arguments, "--inconclusive", "warn").returncode == 0


def test_four_where_too_many_calls_fail(gate: Path, server: OpenAIServer, run: Run) -> None:
    server.fail_share(0.6, ["bad_request"])
    done = run(gate, "check", "gate.yaml", "--baseline", "badly.md")
    assert done.returncode == 4, done.stderr
    server.heal()
    assert run(gate, "runs", "resume", "latest", "--retry-errors").returncode == 0


def test_five_where_a_cap_is_in_the_way(gate: Path, run: Run) -> None:
    done = run(gate, "check", "gate.yaml", "--baseline", "badly.md", "--max-calls", "50")
    assert (done.returncode, "runs resume" in done.stderr) == (5, True), done.stderr
    assert run(gate, "runs", "resume", "latest", "--max-calls", "1000").returncode == 0


def test_six_where_there_is_no_baseline_or_it_cannot_be_compared(gate: Path, run: Run) -> None:
    assert run(gate, "check", "gate.yaml").returncode == 6
    assert run(gate, "check", "gate.yaml", "--baseline", "git:HEAD").returncode == 6
    assert run(gate, "baseline", "accept", "gate.yaml").returncode == 0
    assert run(gate, "check", "gate.yaml").returncode == 0
    done = run(gate, "check", "gate.yaml", "--set", "models.task.max_tokens=9")
    assert (done.returncode, "models.task.max_tokens: 8 before, 9 now" in done.stderr) == (6, True)


def test_seventy_where_it_is_our_fault_and_the_log_is_named(gate: Path) -> None:
    done = run_script(gate, "check", "gate.yaml", "--baseline", "badly.md", env=spoiled(gate, BUGGY))
    assert done.returncode == 70, done.stdout
    assert "Traceback" not in done.stderr
    assert "log" in done.stderr


def test_a_hundred_and_thirty_where_it_is_interrupted_and_what_was_answered_is_kept(
    gate: Path, server: OpenAIServer, run: Run
) -> None:
    server.latency = 0.4
    process = subprocess.Popen(
        [str(SCRIPT), "check", "gate.yaml", "--baseline", "badly.md", "--set", "models.task.concurrency=8"], cwd=gate,
        env=environment(gate), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    wait_for(lambda: server.stats.requests >= 16, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "runs resume" in err
    server.latency = 0.0
    before = server.stats.requests
    resumed = run(gate, "runs", "resume", "latest")
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout.startswith("PASS")
    assert server.stats.requests - before <= 2 * ROWS - before


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 40
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "the server was not asked"
        time.sleep(0.02)


def test_without_a_network_and_without_a_key_recorded_calls_give_the_same_verdict(
    gate: Path, server: OpenAIServer, run: Run
) -> None:
    assert run(gate, "baseline", "accept", "gate.yaml").returncode == 0
    (gate / "prompt.md").write_text((gate / "badly.md").read_text())
    online = run(gate, "check", "gate.yaml", "--record", "--json")
    assert online.returncode == 1, online.stderr
    asked = server.stats.requests
    env = spoiled(gate, BLOCKED)
    del env["MY_TASK_KEY"]
    offline = run_script(gate, "check", "gate.yaml", "--offline", "--json", "--db", "sqlite:///fresh.db", env=env)
    assert offline.returncode == 1, offline.stderr
    assert json.loads(offline.stdout)["looks"] == json.loads(online.stdout)["looks"]
    assert server.stats.requests == asked
    recorded = (gate / "promptprop-baselines" / "gate.calls.jsonl.gz").read_bytes()
    assert b"sk-one-two" not in recorded + (gate / "promptprop-baselines" / "gate.json").read_bytes()
    (gate / "prompt.md").write_text("Another one.\n\n{{ text }}\n")
    missing = run_script(gate, "check", "gate.yaml", "--offline", "--db", "sqlite:///fresh.db", env=env)
    assert missing.returncode == 6
    assert "gate.calls.jsonl.gz lacks at least " in missing.stderr


def test_no_socket_can_be_opened_in_the_environment_that_stands_for_no_network(gate: Path) -> None:
    """Or the test above would prove nothing."""
    arguments = ("check", "gate.yaml", "--baseline", "badly.md", "--set", "models.task.patience=1")
    done = run_script(gate, *arguments, env=spoiled(gate, BLOCKED))
    assert done.returncode == 4, done.stderr
