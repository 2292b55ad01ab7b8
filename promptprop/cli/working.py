"""A worker at the command line: its signals, its log, and what it says."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from promptprop.cli.interrupts import SIGNALS
from promptprop.cli.shell import Shell


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the flags of `worker` ask for."""

    concurrency: int
    executor: str | None
    slot: int | None
    supervised: bool


def work_until_stopped(shell: Shell, wishes: Wishes, env_file: Path | None, db: str | None) -> int:
    """Work until a signal comes; ends the process, for threads of libraries would hold it up. Raises UsageError."""
    from promptprop.adapters.logs import configure
    from promptprop.bootstrap.configuration import database_url, project_folder
    from promptprop.cli.running import environment_of

    if wishes.supervised:
        from promptprop.adapters.jobs.supervisor import die_with_parent

        die_with_parent()
    environment = environment_of(env_file)
    url = database_url(db, None, environment)
    name = wishes.executor or (f"slot-{wishes.slot}" if wishes.slot is not None else "worker")
    configure(project_folder() / "logs" / name, shell.verbosity)
    with redirect_stdout(sys.stderr):  # metrics are people's own code, and stdout is for the answer
        executor = asyncio.run(_work(shell, wishes, url, environment))
    if shell.json:
        shell.write_json({"executor": executor, "stopped": True})
    _leave()
    return 0


async def _work(shell: Shell, wishes: Wishes, url: str, environment: Mapping[str, str]) -> str:
    from promptprop.adapters.storage.connection import shown
    from promptprop.bootstrap.jobs import Post, run_worker
    from promptprop.cli.running import unusual

    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def receive(number: int) -> None:
        if stopping.is_set():
            os._exit(143 if number == signal.SIGTERM else 130)
        stopping.set()
        shell.note("stopping: runs are interrupted and go back to the queue — again to stop now")

    def ready(executor: str) -> None:
        where = f" from {shown(url)}" if unusual(url, environment) else ""
        shell.note(f"worker {executor} takes up runs{where}, {wishes.concurrency} at once")

    for number in SIGNALS:
        loop.add_signal_handler(number, receive, number)
    return await run_worker(url, environment, Post(wishes.concurrency, wishes.executor, wishes.slot), stopping, ready)


def _leave() -> None:
    """End the process with its work done: what DBOS and vendors have running in threads waits for nothing more."""
    import logging

    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(0)
