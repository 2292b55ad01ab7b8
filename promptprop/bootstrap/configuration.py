"""From files, flags and the environment to a validated configuration and an open database."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from promptprop.domain.errors import PromptPropError
from promptprop.domain.models import Json

if TYPE_CHECKING:
    from pydantic import BaseModel

    from promptprop.adapters.files.config import LoadedConfig
    from promptprop.adapters.storage.store import SqlStore
    from promptprop.domain.config import RunConfig

PROJECT_FOLDER = ".promptprop"
DATABASE_VARIABLE = "PROMPTPROP_DATABASE_URL"


class SystemClock:
    """The machine's time."""

    def now(self) -> datetime:
        """UTC."""
        return datetime.now(timezone.utc)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()


def option_models() -> dict[str, Mapping[str, type[BaseModel]]]:
    """The option models of everything registered, for validation and the schema."""
    from promptprop.metrics import registry as metrics
    from promptprop.optimizers import registry as optimizers

    return {"metrics": metrics.option_models(), "optimizers": optimizers.option_models()}


def load(
    path: Path | str, sets: Sequence[str] = (), flags: Mapping[str, Json] | None = None, env_file: Path | None = None
) -> LoadedConfig:
    """Read and validate a configuration, what it writes out in secret kept apart. Raises ConfigError."""
    from promptprop.adapters.files.config import load_config
    from promptprop.adapters.files.written_secrets import kept_apart
    from promptprop.adapters.logs import register_environment

    loaded = kept_apart(load_config(path, sets, flags, option_models=option_models(), env_file=env_file))
    register_environment(loaded.environment)
    return loaded


def with_written_secrets(snapshot: Mapping[str, Json], environment: Mapping[str, str]) -> Mapping[str, str]:
    """The environment with the secrets that a run's configuration file writes out, read from it again.

    No database holds them. Where the file is gone, or says them no longer, the environment stays as it is, and the
    variables that are missing are asked for by name.
    """
    from promptprop.adapters.files.environment import PREFIX
    from promptprop.domain.models import canonical
    from promptprop.domain.settings import REFERENCE

    names = {match[1] for match in REFERENCE.finditer(canonical(snapshot["config"])) if match[1].startswith(PREFIX)}
    missing = names - environment.keys()
    if not missing:
        return environment
    try:
        written = load(Path(snapshot["folder"]) / Path(snapshot["path"]).name).environment
    except PromptPropError:  # the file has gone or changed since: what is missing is asked for by whoever needs it
        return environment
    return {**{name: written[name] for name in missing if name in written}, **environment}


def schema() -> dict[str, Json]:
    """The JSON Schema of a configuration."""
    from promptprop.adapters.files.config_schema import config_schema

    return config_schema(option_models())


def project_folder() -> Path:
    """Where a project keeps its state: below the current folder."""
    return Path.cwd() / PROJECT_FOLDER


def database_url(flag: str | None = None, config: RunConfig | None = None, env: Mapping[str, str] | None = None) -> str:
    """The database in force: flag, configuration, environment, else SQLite in the project folder."""
    from promptprop.adapters.files.environment import resolve

    environment = os.environ if env is None else env
    configured = config.database.url if config else None
    url = flag or configured or environment.get(DATABASE_VARIABLE)
    return resolve(url, environment, "database.url") if url else f"sqlite:///{project_folder() / 'promptprop.db'}"


def open_database(url: str, *, must_exist: bool = False) -> SqlStore:
    """Open the store; a new SQLite database brings its folder and that folder's .gitignore."""
    from promptprop.adapters.files.writing import write_atomically
    from promptprop.adapters.storage.store import open_store

    store = open_store(url, must_exist=must_exist, migrate=False)
    folder = project_folder()
    if folder.is_dir() and not (folder / ".gitignore").exists():
        write_atomically(folder / ".gitignore", "*\n")
    return store
