"""The paths inside a configuration: relative to the file that names them, and there or reported."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from promptprop.adapters.files.origins import Pattern, children, dotted, matches, settings, with_children
from promptprop.adapters.files.yaml_strict import Node
from promptprop.domain.errors import Problem
from promptprop.domain.models import Json

STDIN = "-"
READ: tuple[Pattern, ...] = (
    ("prompt", "file"),
    ("prompt", "#", "file"),
    ("steps", "#", "prompt", "file"),
    ("steps", "#", "model", "world"),
    ("data", "file"),
    ("data", "files", "*"),
    ("models", "*", "world"),
    ("models", "jury", "#", "world"),
    ("serve", "models", "*", "world"),
    ("serve", "models", "jury", "#", "world"),
    ("metrics", "#", "file"),
    ("roles", "*", "template"),
)
WRITTEN: tuple[Pattern, ...] = (("output",),)
CODE: tuple[Pattern, ...] = (("metrics", "#", "type"), ("metrics", "#", "function"))
_SCRIPT = re.compile(r"(python:)?([^:]+\.py)(:[A-Za-z_][A-Za-z0-9_.]*)")  # python:./metrics.py:tone


def absolute(node: Node, base: Path, path: tuple[str, ...] = ()) -> Node:
    """The tree with every path made absolute against `base`; `-` and references stay as they are."""
    if node.kind == "text" and _is_path(path, (*READ, *WRITTEN)) and node.text not in {None, "", STDIN}:
        if "${env:" in str(node.text):
            return node
        text = os.path.abspath(base / str(node.text))  # noqa: PTH100 — resolve() would follow links
        return replace(node, scalar=text, text=text)
    if node.kind == "text" and _is_path(path, CODE) and (match := _SCRIPT.fullmatch(str(node.text))):
        text = f"{match[1] or ''}{os.path.abspath(base / match[2])}{match[3]}"  # noqa: PTH100
        return replace(node, scalar=text, text=text)
    return with_children(node, {step: absolute(child, base, (*path, step)) for step, child in children(node)})


def path_problems(root: Node) -> list[Problem]:
    """What is wrong with the paths that a run reads: not there, a folder, or a reference."""
    problems = []
    for path, node in _paths(root):
        text = str(node.text)
        key = dotted(path)
        if "${env:" in text:
            remedy = "set the path with --set or a PROMPTPROP_ variable instead"
            problems.append(Problem(f"{key}: a path cannot hold a reference", node.place, remedy))
        elif text == STDIN or not _is_path(path, READ):
            continue
        elif Path(text).is_dir():
            problems.append(Problem(f"{key}: a folder, not a file: {text}", node.place))
        elif not Path(text).exists():
            remedy = "paths are relative to the file that names them" if not node.origin else ""
            problems.append(Problem(f"{key}: no such file: {text}", node.place, remedy))
    return problems


def paths_read(snapshot: Json) -> list[Path]:
    """The files that a validated configuration names: prompts, datasets, worlds, templates, schemas and scripts."""
    found = []
    for loc, value in settings(snapshot):
        path = tuple(str(step) for step in loc)
        if not isinstance(value, str) or value in {"", STDIN}:
            continue
        if is_read(path):
            found.append(Path(value))
        elif _is_path(path, CODE) and (match := _SCRIPT.fullmatch(value)):
            found.append(Path(match[2]))
    return list(dict.fromkeys(found))


def is_read(path: tuple[str, ...]) -> bool:
    """Whether this setting names a file that a run reads."""
    return _is_path(path, READ)


def _paths(node: Node, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Node]]:
    if node.kind == "text" and node.text and _is_path(path, (*READ, *WRITTEN)):
        yield path, node
    for step, child in children(node):
        yield from _paths(child, (*path, step))


def _is_path(path: tuple[str, ...], patterns: tuple[Pattern, ...]) -> bool:
    return any(matches(pattern, path) for pattern in patterns)
