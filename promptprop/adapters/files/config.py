"""Loading a configuration: files, environment and flags as layers, one validation, every problem at its place."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from promptprop.adapters.files.config_options import OptionModels, option_complaints, option_keys
from promptprop.adapters.files.config_paths import absolute, path_problems
from promptprop.adapters.files.config_problems import Complaint, complaints_of, keys_at, problem_at, wanted_texts
from promptprop.adapters.files.environment import Override, environment_overrides, read_env_file, set_overrides
from promptprop.adapters.files.origins import (
    DEFAULT,
    Loc,
    Origin,
    dotted,
    expanded,
    merged,
    origins_of,
    placed,
    settings,
    shown,
)
from promptprop.adapters.files.yaml_strict import Node, node_of, read_yaml, text_node
from promptprop.domain.config import RunConfig
from promptprop.domain.errors import ConfigError, Place, Problem
from promptprop.domain.models import Json, storable
from promptprop.domain.settings import ConfigModel

FLAGS = {
    "budget.usd": "--max-usd",
    "budget.calls": "--max-calls",
    "budget.tokens": "--max-tokens",
    "budget.seconds": "--max-time",
    "seed": "--seed",
    "optimizer.name": "--optimizer",
    "database.url": "--db",
}
C = TypeVar("C", bound=ConfigModel)
REVALIDATIONS = 4  # a text read as a number can hide another one behind it


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A configuration with what it was made of. `environment` is the process's over `.env`'s, to resolve references."""

    config: RunConfig
    origins: Mapping[str, Origin]
    path: Path
    files: tuple[Path, ...]
    environment: Mapping[str, str] = field(repr=False)


def load_config(
    path: Path | str,
    sets: Sequence[str] = (),
    flags: Mapping[str, Json] | None = None,
    env: Mapping[str, str] | None = None,
    user_file: Path | None = None,
    option_models: OptionModels | None = None,
    env_file: Path | None = None,
) -> LoadedConfig:
    """The configuration in `path`, under the settings from outside it.

    Precedence: `flags` (dotted key → plain value, None for not given), `sets` (`key=value`), PROMPTPROP_* variables of
    `env`, those of `env_file` (`.env` in the current folder, if it is there), the file with what it extends,
    `user_file` (the user's own unless given; need not exist), defaults. With `option_models`, types and options of
    metrics and optimizers are checked. Raises ConfigError with every problem that was found.
    """
    path, problems = Path(path), list[Problem]()
    process = os.environ if env is None else env
    user = user_config_file() if user_file is None else user_file
    files: list[Path] = []
    root = Node("map", Place(str(path)))
    if user.is_file():
        root = merged(root, read_layers(user, files, ()))
    root = merged(root, read_layers(path, files, ()))
    environment, overrides = outside_settings(process, env_file, problems)
    overrides += [*set_overrides(sets, problems), *_flag_overrides(flags or {})]
    for override in overrides:
        root = overridden(root, override, problems)
    if "name" not in root.entries:
        root = placed(root, ("name",), text_node(storable(path.stem), Place(str(path)), DEFAULT.text), problems)
    problems += path_problems(root)
    config = validated_as(RunConfig, root, problems, option_models)
    if problems or config is None:
        raise ConfigError(in_order(problems))
    return LoadedConfig(config, origins_of(root, config.snapshot()), path, tuple(files), environment)


def user_config_file() -> Path:
    """The user's own settings, under those of every project."""
    from platformdirs import user_config_path

    return user_config_path("promptprop", appauthor=False) / "config.yaml"


def show(loaded: LoadedConfig) -> list[tuple[str, Json, str]]:
    """Every setting as dotted key, value (secrets as asterisks) and origin, in the order of the models."""
    rows = []
    for loc, value in settings(loaded.config.snapshot()):
        key = dotted(loc)
        rows.append((key, shown(loc, value), str(loaded.origins.get(key, DEFAULT))))
    return rows


def read_layers(path: Path, files: list[Path], extending: tuple[Path, ...]) -> Node:
    """A file over what it extends, shorthands expanded and paths absolute; `files` collects what was read."""
    root = expanded(read_yaml(path))
    files.append(path)
    if root.kind == "null":
        raise ConfigError(
            Problem("the file is empty", Place(str(path)), "write the keys of a run, as in configs/quickstart.yaml")
        )
    if root.kind != "map":
        raise ConfigError(Problem("expected a map of keys", root.place))
    base = root.entries.get("extends")
    entries = {key: node for key, node in root.entries.items() if key != "extends"}
    root = absolute(Node("map", root.place, entries=entries, keys=root.keys), path.parent)
    if base is None:
        return root
    if base.kind != "text" or not base.text:
        raise ConfigError(Problem("extends: expected the path of one file", base.place))
    lower = path.parent / base.text
    chain = (*extending, path.resolve())
    if lower.resolve() in chain:
        cycle = " → ".join(file.name for file in (*chain, lower))
        raise ConfigError(Problem(f"extends: goes round in a circle: {cycle}", base.place))
    if not lower.is_file():
        raise ConfigError(Problem(f"extends: no such file: {lower}", base.place))
    return merged(read_layers(lower, files, chain), root)


def outside_settings(
    process: Mapping[str, str], env_file: Path | None, problems: list[Problem]
) -> tuple[dict[str, str], list[Override]]:
    """The environment with `.env` below it, and the settings of both, those of `.env` first."""
    file = Path(".env") if env_file is None else env_file
    found: dict[str, tuple[str, int]] = {}
    if env_file is not None or file.is_file():
        try:
            found = read_env_file(file)
        except ConfigError as error:
            problems += error.problems
    variables = {name: value for name, (value, _) in found.items()}
    places = {name: Place(str(file), line) for name, (_, line) in found.items()}
    known = list(RunConfig.model_fields)
    overrides = [
        *environment_overrides(variables, known, places, problems),
        *environment_overrides(process, known, {}, problems),
    ]
    return {**variables, **process}, overrides


def _flag_overrides(flags: Mapping[str, Json]) -> Iterable[Override]:
    for key, value in flags.items():
        if value is not None:
            name = FLAGS.get(key, f"flag for {key}")
            yield Override(tuple(key.split(".")), node_of(value, Place(name), name))


def overridden(root: Node, override: Override, problems: list[Problem]) -> Node:
    """The tree with one setting from outside; its paths are relative to the current folder."""
    node = absolute(expanded(override.node, override.path), Path.cwd(), override.path)
    return placed(root, override.path, node, problems)


def validated_as(
    model: type[C], root: Node, problems: list[Problem], option_models: OptionModels | None = None
) -> C | None:
    """What a tree says as `model`, or None and its problems. Where a text is wanted, numbers keep their spelling."""
    complaints: list[Complaint] = []
    config = None
    for _ in range(REVALIDATIONS):
        config, complaints = _attempt(model, root, option_models)
        texts = wanted_texts(root, complaints)
        if not texts:
            break
        for loc, node in texts:
            text = text_node(str(node.text), node.place, node.origin)
            root = placed(root, tuple(str(step) for step in _taken(root, loc)), text, problems)
    known = _known_keys(model, config, option_models)
    problems += [problem_at(root, complaint, known) for complaint in complaints]
    return config


def _attempt(model: type[C], root: Node, option_models: OptionModels | None) -> tuple[C | None, list[Complaint]]:
    try:
        config = model.model_validate(root.plain())
    except ValidationError as error:
        return None, complaints_of(error)
    if not isinstance(config, RunConfig) or option_models is None:
        return config, []
    return config, option_complaints(config, option_models)


def _taken(root: Node, loc: Loc) -> Loc:
    """The steps of `loc` that are steps of the tree: a lone seed has no index there."""
    node, steps = root, list[str | int]()
    for step in loc:
        if node.kind == "map" and str(step) in node.entries:
            node = node.entries[str(step)]
        elif node.kind == "list" and isinstance(step, int):
            node = node.items[step]
        else:
            continue
        steps.append(step)
    return tuple(steps)


def _known_keys(
    model: type[ConfigModel], config: ConfigModel | None, option_models: OptionModels | None
) -> Callable[[Loc], list[str]]:
    def known(loc: Loc) -> list[str]:
        options: list[str] = []
        if isinstance(config, RunConfig) and option_models is not None:
            options = option_keys(loc, config, option_models)
        return options or [*keys_at(model, loc), *([] if loc else ["extends"])]

    return known


def _named_once(problem: Problem) -> Problem:
    """The problem without its key, where a flag is its place: `--set budget.calls` has named the key already."""
    if problem.place is None or not problem.place.file.startswith("--"):
        return problem
    flag, _, path = problem.place.file.partition(" ")
    path = path or next((key for key, name in FLAGS.items() if name == flag), "")
    key, colon, rest = problem.message.partition(": ")
    return replace(problem, message=rest) if colon and key in {path, path.rpartition(".")[2]} else problem


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """In the order of files and lines, the same problem once."""
    unique = list(dict.fromkeys(map(_named_once, problems)))
    return sorted(unique, key=lambda problem: (problem.place.file, problem.place.line) if problem.place else ("", 0))
