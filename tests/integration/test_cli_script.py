"""The console script as people and pipelines run it: a process of its own, real streams, signals and terminals."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = Path(sys.executable).with_name("promptprop")
SMALL = ["--set", "optimizer.options.rounds=1", "--set", "optimizer.options.children=2", "--set", "tracking={}"]
OPTIMIZE = [str(SCRIPT), "optimize", "configs/quickstart.yaml"]

pytestmark = pytest.mark.slow


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with the quickstart."""
    for folder in ("configs/prompts", "datasets"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("configs/quickstart.yaml", "configs/prompts/support.md", "datasets/support.jsonl",
                 "datasets/support.world.yaml"):  # fmt: skip
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    return tmp_path


def environment(folder: Path, **more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return {**kept, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config"), **more}


def run(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(SCRIPT), *arguments], check=False, cwd=folder, env=environment(folder, **more), capture_output=True,
        text=True, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_the_version_is_told(tmp_path: Path) -> None:
    done = run(tmp_path, "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("promptprop ")


def test_a_run_a_look_at_it_and_a_pipe_that_closes(shop: Path) -> None:
    done = run(shop, "optimize", "configs/quickstart.yaml", *SMALL, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "verdict" in done.stdout
    assert "simulated model" in done.stdout
    assert "round 1" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert run(shop, "runs", "show", "latest").returncode == 0
    command = f"'{SCRIPT}' runs export latest | head -c 10 >/dev/null; echo ${{PIPESTATUS[0]}}"
    piped = subprocess.run(
        ["bash", "-c", command], check=True, cwd=shop, env=environment(shop), capture_output=True, text=True, timeout=60
    )
    assert piped.stdout.strip() == "0"
    assert piped.stderr == ""


def test_a_full_disk_behind_the_output_is_told(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [str(SCRIPT), "schema"], check=False, env=environment(tmp_path), stdout=full, stderr=subprocess.PIPE,
            text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode == 2
    assert "no space is left" in done.stderr


@pytest.fixture
def started(shop: Path) -> Iterator[subprocess.Popen[str]]:
    """A run in its second round."""
    process = subprocess.Popen(
        [*OPTIMIZE, "--json", "--set", "tracking={}"], cwd=shop, env=environment(shop), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    stderr: IO[str] = process.stderr  # type: ignore[assignment]
    assert any(line.startswith("round 1") for line in stderr)
    yield process
    process.kill()
    process.wait()
    for stream in (process.stdout, stderr):
        assert stream is not None
        stream.close()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_a_run_in_good_order(
    started: subprocess.Popen[str], shop: Path, number: signal.Signals, code: int
) -> None:
    started.send_signal(number)
    out, err = started.communicate(timeout=60)
    assert started.returncode == code, err
    assert "Ctrl-C again to stop now" in err
    envelope = json.loads(out)
    assert envelope["exit_code"] == code
    assert envelope["run"]["status"] == "stopped"
    assert "runs resume" in envelope["error"]["remedy"]
    resumed = run(shop, "runs", "resume", "latest", "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["run_id"] == envelope["run"]["run_id"]
    assert json.loads(resumed.stdout)["status"] == "finished"


def test_a_killed_run_is_called_so(started: subprocess.Popen[str], shop: Path) -> None:
    listed = json.loads(run(shop, "runs", "list", "--json").stdout)
    assert [one["status"] for one in listed] == ["running"]
    started.kill()
    started.wait()
    listed = json.loads(run(shop, "runs", "list", "--json").stdout)
    assert [one["status"] for one in listed] == ["killed"]


def on_a_terminal(folder: Path, command: list[str], typed: bytes = b"", **more: str) -> tuple[int, str]:
    """Run on a terminal of 80 columns; type once a question is asked. Returns exit code and all that was shown."""
    ours, theirs = pty.openpty()
    env = environment(folder, TERM="xterm", COLUMNS="80", LINES="24", **more)
    process = subprocess.Popen(command, cwd=folder, env=env, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown, deadline = b"", time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                shown += os.read(ours, 65536)
            except OSError:  # the other side is closed
                break
            if typed and b"[y/N]" in shown:
                os.write(ours, typed)
                typed = b""
    process.wait(timeout=10)
    os.close(ours)
    return process.returncode, shown.decode()


def test_a_terminal_shows_a_live_table_and_colours(shop: Path) -> None:
    code, shown = on_a_terminal(shop, [*OPTIMIZE, *SMALL])
    assert code == 0, shown
    assert "\x1b[?25l" in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
    assert "hypothesis" in shown
    assert "\x1b[31m" in shown or "\x1b[32m" in shown


def test_without_colour_nothing_is_coloured(shop: Path) -> None:
    code, shown = on_a_terminal(shop, [*OPTIMIZE, *SMALL], NO_COLOR="1")
    assert code == 0, shown
    assert "\x1b[3" not in shown
    assert "\x1b[1m" not in shown


def test_without_a_cap_a_terminal_is_asked(shop: Path) -> None:
    path = shop / "configs/quickstart.yaml"
    path.write_text(path.read_text().replace("budget: {calls: 4000, usd: 5, minutes: 10}\n", ""))
    code, shown = on_a_terminal(shop, OPTIMIZE, b"n\n")
    assert code == 2
    assert "no cap at all" in shown
    assert "not started" in shown
    code, shown = on_a_terminal(shop, [*OPTIMIZE, *SMALL], b"y\n")
    assert code == 0, shown


def test_a_watch_shows_each_save_on_a_terminal_and_ends_with_ctrl_c(shop: Path) -> None:
    ours, theirs = pty.openpty()
    env = environment(shop, TERM="xterm", COLUMNS="80", LINES="24")
    command = [str(SCRIPT), "watch", "configs/quickstart.yaml"]
    process = subprocess.Popen(command, cwd=shop, env=env, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = ""

    def until(said: str) -> str:
        """All that is shown from here on until `said`."""
        nonlocal shown
        start, deadline = len(shown), time.monotonic() + 60
        while said not in shown[start:]:
            assert time.monotonic() < deadline, shown
            if select.select([ours], [], [], 0.1)[0]:
                shown += os.read(ours, 65536).decode(errors="replace")
        return shown[start:]

    prompt = shop / "configs/prompts/support.md"
    good = prompt.read_text()
    until("Ctrl-C ends")
    prompt.write_text(good.replace("Which desk is it?", "Which desk is it?\n- Output just the label."))
    second = until("Ctrl-C ends")
    assert "run 2" in second
    assert "since last" in second
    prompt.write_text(good.replace("{{ text }}", "{{ txt }}"))
    assert "did you mean {{ text }}?" in until("watching on")
    (shop / "new.md").write_text(good)
    (shop / "new.md").replace(prompt)  # as editors do
    third = until("Ctrl-C ends")
    assert "no new call" in third
    assert "no row differs" in third
    assert "\x1b[2J" not in shown, "what was shown before must stay"
    process.send_signal(signal.SIGINT)
    until("watched 3 runs")
    assert process.wait(timeout=30) == 0
    os.close(ours)
