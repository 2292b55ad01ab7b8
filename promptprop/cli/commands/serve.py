"""`promptprop serve`: the engine as a service."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Optional

import typer

from promptprop.cli.options import Database, EnvFile
from promptprop.cli.shell import Shell


def serve(
    shell: Shell,
    config: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads it on Python 3.10
        typer.Argument(metavar="[CONFIG]", help="A file whose serve: and database: hold.", show_default=False),
    ] = None,
    host: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--host", metavar="ADDRESS", help="Listen here; loopback unless given; repeatable."),
    ] = None,
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=0, max=65535, help="Port; 0 takes a free one.")
    ] = 8000,
    workers: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--workers", metavar="N", min=0, max=64, help="Worker processes; 0 leaves runs to others."),
    ] = None,
    concurrency: Annotated[
        int, typer.Option("--concurrency", metavar="N", min=1, max=64, help="Runs that a worker runs at once.")
    ] = 4,
    allow_origin: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--allow-origin", metavar="ORIGIN", help="Let pages of this origin call; repeatable."),
    ] = None,
    allow_host: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--allow-host", metavar="NAME", help="Answer to this name, too; repeatable."),
    ] = None,
    env_file: EnvFile = None,
    db: Database = None,
) -> None:
    """Serve runs over HTTP, with workers that run them.

    It listens on 127.0.0.1 and ::1, where no token is needed; elsewhere only once there is a token. Ctrl-C or SIGTERM
    ends it within 10 seconds: what runs goes back to the queue, and nothing is paid twice.
    """
    from promptprop.adapters.files.serve_file import load_serve_file
    from promptprop.adapters.logs import configure
    from promptprop.bootstrap.configuration import database_url, project_folder
    from promptprop.server.running import has_ipv6
    from promptprop.server.running import serve as run_server
    from promptprop.server.settings import LOOPBACK, ServerSettings

    found = load_serve_file(config, env_file, {"origins": allow_origin or [], "hosts": allow_host or []})
    settings = ServerSettings(
        url=database_url(db or found.database.url, None, found.environment),
        environment=found.environment,
        serve=found.serve,
        hosts=tuple(host or ()) or (LOOPBACK if has_ipv6() else LOOPBACK[:1]),
        port=port,
        workers=found.serve.workers if workers is None else workers,
        concurrency=concurrency,
        quiet=shell.quiet,
    )
    configure(project_folder() / "logs", shell.verbosity)
    run_server(settings, lambda urls: _tell(shell, urls))


def _tell(shell: Shell, urls: Sequence[str]) -> None:
    """Say where requests are answered now, with --json as a document."""
    if shell.json:
        shell.write_json({"urls": list(urls), "pid": os.getpid()})
    shell.note(f"serving on {' and '.join(urls)}; Ctrl-C ends it")
