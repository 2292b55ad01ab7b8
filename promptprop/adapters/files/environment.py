"""The environment: `.env` files, `${env:X}` references, and the settings that PROMPTPROP_* variables hold."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from promptprop.adapters.files.yaml_strict import Node, moved, parse_yaml, read_text, text_node
from promptprop.domain.errors import ConfigError, Place, Problem
from promptprop.domain.models import Json

if TYPE_CHECKING:
    from promptprop.domain.model_config import ModelConfig

PREFIX = "PROMPTPROP_"
SPECIAL = {"PROMPTPROP_DATABASE_URL": ("database", "url")}
SECRET_KEYS = (("api_key",), ("database", "url"))

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "$": "$"}


@dataclass(frozen=True, slots=True)
class Override:
    """A setting from outside the files: the key's path, the value, and whence."""

    path: tuple[str, ...]
    node: Node


def read_env_file(path: Path) -> dict[str, tuple[str, int]]:
    """The variables of a `.env` file, each with its line. Raises ConfigError with every problem; values are not shown.

    Lines are `NAME=value`, `export NAME=value`, comments or empty. Values may stand in single quotes (literal) or
    double quotes (with backslash escapes); nothing is interpolated.
    """
    found: dict[str, tuple[str, int]] = {}
    problems = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.fullmatch(stripped)
        value = _unquoted(match[2]) if match else None
        if match is None or value is None:
            remedy = "write NAME=value; quotes must be closed, and a text with # needs them"
            problems.append(Problem("not a line of an .env file", Place(str(path), number, 1), remedy))
        elif match[1] in found:
            problems.append(Problem(f"{match[1]} is set twice", Place(str(path), number, 1), "keep one of the two"))
        else:
            found[match[1]] = (value, number)
    if problems:
        raise ConfigError(problems)
    return found


def _unquoted(text: str) -> str | None:
    """The value behind `NAME=`, or None where quotes are not closed or something follows them."""
    if match := re.fullmatch(r"'([^']*)'(?:\s+#.*)?", text):
        return match[1]
    if match := re.fullmatch(r'"((?:[^"\\]|\\.)*)"(?:\s+#.*)?', text):
        return re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[0]), match[1])
    if text.startswith(("'", '"')):
        return None
    return re.split(r"(?:^|\s)#", text, maxsplit=1)[0].strip()


def resolve(text: str, env: Mapping[str, str], key: str = "") -> str:
    """`text` with `${env:X}` and `${env:X:-default}` replaced; an empty variable counts as not set.

    `key` is the dotted path that errors name. Raises ConfigError with every variable that is missing.

    >>> resolve("${env:HOST:-localhost}:80", {})
    'localhost:80'
    """
    from promptprop.domain.settings import REFERENCE

    problems = []

    def value_of(match: re.Match[str]) -> str:
        value = env.get(match[1]) or match[2]
        if value is None:
            wants = f"{key} needs" if key else f"{match[0]} needs"
            message = f"{wants} the environment variable {match[1]}, which is not set or empty"
            problems.append(Problem(message, remedy=f"export {match[1]}=…, or put it into .env"))
        return value or ""

    resolved = REFERENCE.sub(value_of, text)
    if "${env:" in REFERENCE.sub("", text):
        problems.append(Problem(f"{key or text}: not a reference", remedy="write ${env:NAME} or ${env:NAME:-default}"))
    if problems:
        raise ConfigError(problems)
    return resolved


def resolve_model(model: ModelConfig, env: Mapping[str, str], key: str) -> ModelConfig:
    """`model` with the references in its name, base, key and parameters resolved: for opening a client, never to store.

    `key` is the dotted path of the model, such as `models.task`. Raises ConfigError.
    """
    changed: dict[str, Json] = {"params": _resolve_below(model.params, env, f"{key}.params")}
    for name in ("model", "api_base", "api_key"):
        if (text := getattr(model, name)) is not None:
            changed[name] = resolve(text, env, f"{key}.{name}")
    return model.model_copy(update=changed)


def _resolve_below(value: Json, env: Mapping[str, str], key: str) -> Json:
    if isinstance(value, str):
        return resolve(value, env, key)
    if isinstance(value, dict):
        return {name: _resolve_below(below, env, f"{key}.{name}") for name, below in value.items()}
    if isinstance(value, list | tuple):
        return [_resolve_below(below, env, f"{key}.{index}") for index, below in enumerate(value)]
    return value


def environment_overrides(
    variables: Mapping[str, str], known: Iterable[str], places: Mapping[str, Place], problems: list[Problem]
) -> Iterator[Override]:
    """The settings among `variables`: `PROMPTPROP_BUDGET__USD=5` sets budget.usd; empty variables set nothing.

    `known` are the keys of the configuration's top level. A name that is close to one, or that nests below none, is a
    problem; other PROMPTPROP_* names belong to other parts of the program. Secrets are set as references.
    """
    known = list(known)
    for name, value in sorted(variables.items()):
        if not name.startswith(PREFIX) or not value:
            continue
        path = SPECIAL.get(name) or tuple(name[len(PREFIX) :].lower().split("__"))
        place = places.get(name, Place(name))
        if path[0] not in known:
            near = difflib.get_close_matches(path[0], known, 1, 0.75)
            if near or len(path) > 1:
                remedy = f"did you mean {PREFIX}{near[0].upper()}?" if near else ""
                problems.append(Problem(f"{name} sets the unknown key {path[0]!r}", place, remedy))
            continue
        origin = name if place.file == name else str(place)
        if any(path[-len(secret) :] == secret for secret in SECRET_KEYS):
            yield Override(path, text_node("${env:" + name + "}", place, origin))
        elif node := parse_override(value, place, origin, problems):
            yield Override(path, node)


def set_overrides(sets: Iterable[str], problems: list[Problem]) -> Iterator[Override]:
    """The settings of `--set key=value`, values read by the rules of YAML."""
    for text in sets:
        key, equals, value = text.partition("=")
        path = tuple(key.strip().split("."))
        place = Place(f"--set {key.strip()}")
        if not equals or not all(path):
            problems.append(Problem("expected key=value", Place("--set"), "such as --set budget.usd=5"))
        elif node := parse_override(value, place, "--set", problems):
            yield Override(path, node)


def parse_override(value: str, place: Place, origin: str, problems: list[Problem]) -> Node | None:
    """The tree of a value given outside a file, all of it at `place`; None after a problem was added."""
    try:
        node = moved(parse_yaml(value, place.file), place, origin)
    except ConfigError as error:
        problems.extend(Problem(problem.message, place, problem.remedy) for problem in error.problems)
        return None
    # What was typed is the text, should a text be wanted: `a: b` reads as a map, `1.10` as a number.
    return replace(node, text=value) if node.kind in {"map", "list", "number", "flag"} else node
