"""The part of a configuration that `promptprop serve` reads: `serve:` and `database:`, whatever else stands there."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from promptprop.adapters.files.config import outside_settings, overridden, read_layers, user_config_file, validated_as
from promptprop.adapters.files.origins import merged
from promptprop.adapters.files.yaml_strict import Node
from promptprop.domain.config import DatabaseConfig
from promptprop.domain.errors import ConfigError, Place, Problem
from promptprop.domain.serve_config import ServeConfig
from promptprop.domain.settings import ConfigModel

READ = ("version", "serve", "database")


class ServeFile(ConfigModel):
    """What of a file concerns a server."""

    version: int = Field(1, description="Version of this format.")
    serve: ServeConfig = Field(ServeConfig(), description="Settings of the server.")
    database: DatabaseConfig = Field(DatabaseConfig(), description="Where runs are stored.")


@dataclass(frozen=True, slots=True)
class LoadedServeFile:
    """A server's settings, and the process's environment over that of `.env`."""

    serve: ServeConfig
    database: DatabaseConfig
    environment: Mapping[str, str] = field(repr=False)


def load_serve_file(
    path: Path | None, env_file: Path | None = None, more: Mapping[str, Sequence[str]] | None = None
) -> LoadedServeFile:
    """The settings of a server: those of the file over the user's own, and PROMPTPROP_SERVE__… over both.

    `more` are entries that join lists: `origins` and `hosts`. A run's configuration may be named: of it only `serve`
    and `database` count. Raises ConfigError with every problem.
    """
    problems: list[Problem] = []
    files: list[Path] = []
    root = Node("map", Place(str(path or "serve")))
    for source in (user_config_file(), path):
        if source is not None and (source is path or source.is_file()):
            root = merged(root, _concerned(read_layers(source, files, ())))
    environment, overrides = outside_settings(os.environ, env_file, problems)
    for override in overrides:
        if override.path[0] in READ:
            root = overridden(root, override, problems)
    found = validated_as(ServeFile, root, problems)
    if problems or found is None:
        raise ConfigError(problems)
    return LoadedServeFile(_joined(found.serve, more or {}), found.database, environment)


def _joined(serve: ServeConfig, more: Mapping[str, Sequence[str]]) -> ServeConfig:
    """The settings with the entries that flags add. Raises ConfigError."""
    lists = {name: [*getattr(serve, name), *given] for name, given in more.items() if given}
    if not lists:
        return serve
    try:
        return ServeConfig.model_validate({**serve.model_dump(), **lists})
    except ValidationError as error:
        raise ConfigError([_problem_of_flag(one) for one in error.errors()]) from error


def _problem_of_flag(complaint: Any) -> Problem:
    flag = {"origins": "--allow-origin", "hosts": "--allow-host"}.get(str(complaint["loc"][0]), "serve")
    return Problem(complaint["msg"], Place(flag), (complaint.get("ctx") or {}).get("remedy", ""))


def _concerned(root: Node) -> Node:
    """The tree without what does not concern a server."""
    entries = {key: node for key, node in root.entries.items() if key in READ}
    keys = {key: place for key, place in root.keys.items() if key in READ}
    return Node("map", root.place, entries=entries, keys=keys)
