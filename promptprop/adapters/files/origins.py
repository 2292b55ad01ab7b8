"""Layers of settings as trees: merging them, finding what a validated value came from, and showing it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from promptprop.adapters.files.yaml_strict import Node
from promptprop.domain.errors import Place, Problem
from promptprop.domain.models import Json
from promptprop.domain.settings import names_secret

Loc = tuple[str | int, ...]

# Patterns of paths: `*` is any key, `#` an index.
Pattern = tuple[str, ...]
# Where a layer sets one of these alternatives, the others go, for they say the same thing another way.
EXCLUSIVE: dict[Pattern, tuple[tuple[str, ...], ...]] = {
    (): (("prompt",), ("steps",)),
    ("prompt",): (("file",), ("text",), ("messages",)),
    ("prompt", "#"): (("file",), ("text",), ("messages",)),
    ("steps", "#", "prompt"): (("file",), ("text",), ("messages",)),
    ("data",): (("file",), ("files",)),
    ("data", "split"): (("column",), ("train", "select", "test")),
    ("budget",): (("minutes",), ("seconds",)),
}
# Keys where a bare value stands for a map with one key.
SHORTHANDS: dict[Pattern, str] = {
    ("prompt",): "text",
    ("prompt", "#"): "text",
    ("steps", "#", "prompt"): "text",
    ("steps", "#", "model"): "model",
    ("models", "*"): "model",
    ("models", "jury", "#"): "model",
    ("metrics", "#"): "type",
    ("optimizer",): "name",
    ("tracking", "mlflow"): "enabled",
    ("serve", "models", "*"): "model",
    ("serve", "models", "jury", "#"): "model",
    ("serve", "api_bases", "#"): "url",
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a setting comes from: `configs/x.yaml:12:3`, `--set`, `--max-usd`, `PROMPTPROP_…`, `.env:3`, `default`."""

    text: str

    def __str__(self) -> str:
        """The text."""
        return self.text


DEFAULT = Origin("default")


def origin_of(node: Node) -> Origin:
    """Where a node comes from."""
    return Origin(node.origin or str(node.place))


def matches(pattern: Pattern, path: Sequence[str]) -> bool:
    """Whether `path` is one that `pattern` stands for.

    >>> matches(("metrics", "#"), ("metrics", "0")), matches(("metrics", "#"), ("metrics", "id"))
    (True, False)
    """
    return len(pattern) == len(path) and all(
        want in {"*", step} or (want == "#" and step.isdecimal()) for want, step in zip(pattern, path, strict=True)
    )


def expanded(node: Node, path: tuple[str, ...] = ()) -> Node:
    """The tree with every shorthand written out, so that layers can be merged key by key; places stay."""
    node = with_children(node, {step: expanded(child, (*path, step)) for step, child in children(node)})
    key = next((key for pattern, key in SHORTHANDS.items() if matches(pattern, path)), None)
    short = node.kind == "flag" if key == "enabled" else node.kind in {"text", "number"}
    if key is None or not short:
        return node
    return Node("map", node.place, entries={key: node}, keys={key: node.place}, origin=node.origin)


def children(node: Node) -> Iterator[tuple[str, Node]]:
    """What lies directly below a node, by key or index."""
    if node.kind == "map":
        yield from node.entries.items()
    elif node.kind == "list":
        yield from ((str(index), item) for index, item in enumerate(node.items))


def with_children(node: Node, below: Mapping[str, Node]) -> Node:
    """The node with other children, given by key or index in their order."""
    if node.kind == "map":
        return replace(node, entries=dict(below))
    if node.kind == "list":
        return replace(node, items=tuple(below.values()))
    return node


def merged(lower: Node, upper: Node, path: tuple[str, ...] = ()) -> Node:
    """Two layers as one: maps merge, everything else is replaced by `upper`."""
    if lower.kind != "map" or upper.kind != "map":
        return upper
    kept = _without_rivals(lower, upper.entries, path)
    entries = dict(kept.entries)
    for key, node in upper.entries.items():
        entries[key] = merged(entries[key], node, (*path, key)) if key in entries else node
    return replace(upper, entries=entries, keys={**kept.keys, **upper.keys})


def _without_rivals(lower: Node, upper: Mapping[str, Node], path: tuple[str, ...]) -> Node:
    """`lower` without the keys that the keys of `upper` replace although they are called differently."""
    groups = next((groups for pattern, groups in EXCLUSIVE.items() if matches(pattern, path)), ())
    chosen = [group for group in groups if any(key in upper for key in group)]
    dropped = {key for group in groups if chosen and group not in chosen for key in group}
    old, new = lower.entries.get("name"), upper.get("name")
    if path == ("optimizer",) and old and new and old.plain() != new.plain():
        dropped = {"options"}  # another optimizer has other options
    return replace(lower, entries={key: node for key, node in lower.entries.items() if key not in dropped})


def placed(root: Node, path: tuple[str, ...], node: Node, problems: list[Problem]) -> Node:
    """The tree with `node` at `path`; a step into a list is an index. A step that fails adds a problem."""
    return _placed(root, path, 0, node, problems)


def _placed(current: Node | None, path: tuple[str, ...], depth: int, node: Node, problems: list[Problem]) -> Node:
    if depth == len(path):
        return node
    step = path[depth]
    if current is not None and current.kind == "list":
        if not step.isdecimal() or int(step) >= len(current.items):
            dotted, count = ".".join(path[:depth]), len(current.items)
            wants = f"wants an index from 0 to {count - 1}" if count else "is empty"
            problems.append(Problem(f"{dotted} is a list and {wants}, got {step!r}", node.place))
            return current
        items = list(current.items)
        items[int(step)] = _placed(items[int(step)], path, depth + 1, node, problems)
        return replace(current, items=tuple(items))
    below = current.entries.get(step) if current is not None and current.kind == "map" else None
    child = _placed(below, path, depth + 1, node, problems)
    layer = Node("map", node.place, entries={step: child}, keys={step: node.place}, origin=node.origin)
    if current is None or current.kind != "map":
        return layer
    kept = _without_rivals(current, layer.entries, path[:depth])
    keys = {**kept.keys, step: node.place if depth + 1 == len(path) else kept.keys.get(step, node.place)}
    return replace(kept, entries={**kept.entries, step: child}, keys=keys)


def find(root: Node, loc: Loc) -> tuple[Node, Place, int]:
    """The deepest node on the way to `loc`, the place of its key, and how many steps of `loc` led there.

    Steps that validation adds (`[key]`, the index of a lone seed) are passed over.
    """
    node, place, taken = root, root.place, 0
    for count, step in enumerate(loc, start=1):
        if node.kind == "map" and str(step) in node.entries:
            place = node.keys.get(str(step), node.place)
            node = node.entries[str(step)]
        elif node.kind == "list" and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
            place = node.place
        elif node.kind == "map" and (isinstance(step, int) or step == "[key]"):
            pass
        else:
            break
        taken = count
    return node, place, taken


def settings(value: Json, path: Loc = ()) -> Iterator[tuple[Loc, Json]]:
    """The leaves of a plain value with their paths; lists without maps inside are leaves."""
    if isinstance(value, dict) and value:
        for key, below in value.items():
            yield from settings(below, (*path, key))
    elif isinstance(value, list) and any(isinstance(below, dict) for below in value):
        for index, below in enumerate(value):
            yield from settings(below, (*path, index))
    else:
        yield path, value


def origins_of(root: Node, snapshot: Json) -> dict[str, Origin]:
    """Where each setting of a snapshot comes from, by dotted path."""
    found = {}
    for loc, _ in settings(snapshot):
        node, _, taken = find(root, loc)
        found[dotted(loc)] = origin_of(node) if taken == len(loc) else DEFAULT
    return found


def dotted(loc: Loc) -> str:
    """A path as people write it: `metrics.0.weight`."""
    return ".".join(str(step) for step in loc)


def shown(loc: Loc, value: Json) -> Json:
    """A setting as it may be shown: a secret that is written out becomes asterisks, a reference stays."""
    if not isinstance(value, str) or "${env:" in value:
        return value
    if loc and names_secret(str(loc[-1])):
        return "******"
    return re.sub(r"(://[^\s:/@]*:)[^\s@/]+(?=@)", r"\1******", value)
