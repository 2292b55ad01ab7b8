"""`promptprop mlflow`: MLflow's own UI on what was tracked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from promptprop.cli.options import EnvFile
from promptprop.cli.shell import Shell
from promptprop.domain.errors import UsageError


def open_mlflow(
    shell: Shell,
    config: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads it on Python 3.10
        typer.Argument(metavar="[CONFIG]", help="Take the address from its tracking.mlflow.uri.", show_default=False),
    ] = None,
    uri: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--uri", metavar="URI", help="Where runs are tracked.", show_default=False),
    ] = None,
    host: Annotated[str, typer.Option("--host", metavar="HOST", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", metavar="N", min=1, max=65535, help="Port to listen on.")] = 5000,
    env_file: EnvFile = None,
) -> None:
    """Open MLflow's UI on what was tracked.

    It runs until Ctrl-C.
    """
    from promptprop.adapters.tracking.client import sqlite_path
    from promptprop.adapters.tracking.mlflow import open_ui
    from promptprop.bootstrap.configuration import load
    from promptprop.bootstrap.outputs import tracking_uri
    from promptprop.cli.running import environment_of

    environment = environment_of(env_file)
    if uri is None and config is not None:
        loaded = load(config, [], None, env_file)
        wanted = loaded.config.tracking.mlflow
        uri, environment = (wanted.uri if wanted else None), dict(loaded.environment)
    store = tracking_uri(uri, environment)
    file = sqlite_path(store)
    if file is not None and not file.is_file():
        raise UsageError(f"nothing has been tracked at {file} yet", remedy="run something with tracking.mlflow set")
    shell.note(f"MLflow's UI on http://{host}:{port}; Ctrl-C ends it")
    open_ui(store, port, host).replace_process()
