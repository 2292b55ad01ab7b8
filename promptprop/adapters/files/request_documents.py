"""A configuration that comes with a request, as a tree: bounded, and closed to all that only files may say."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from promptprop.adapters.files.origins import Pattern, children, dotted, matches
from promptprop.adapters.files.yaml_strict import MAX_DEPTH, Node, parse_yaml, text_node
from promptprop.domain.errors import ConfigError, Place, Problem
from promptprop.domain.models import Json

NAME = "config"  # how problems call the document
MOST_NODES = 20_000
MOST_KEYS = 2_000
LONGEST_KEY = 200
LONGEST = 400_000  # characters of all texts together: a template of so many takes seconds to be compiled
LONGEST_TEXT = 100_000
LONGEST_OPTION = 2_000  # characters of a text among the options of a metric, such as a regular expression
LONGEST_LIST = 1_000
WHOLE = 2**63  # databases hold no larger ones
MOST_PROBLEMS = 50

CLOSED: dict[Pattern, str] = {
    ("extends",): "write the whole configuration",
    ("output",): "leave it out: the server says where runs write",
    ("database",): "leave it out: the server has one",
    ("serve",): "leave it out: it is the server's own",
    ("tracking", "mlflow", "uri"): "leave it out: the server says where runs are tracked",
}
"""Settings that no request can make, and what to do instead."""


def request_tree(given: Mapping[str, Json] | str) -> Node:
    """The tree of a JSON object, placed by dotted keys, or of a YAML text, placed by lines. Raises ConfigError."""
    if isinstance(given, str):
        if len(given) > LONGEST:
            raise ConfigError(
                Problem(f"longer than {LONGEST:,} characters", Place(NAME), "name files for what is long")
            )
        root = _parsed(given)
    else:
        root = _tree(given, (), [MOST_NODES])
    if root.kind != "map":
        raise ConfigError(Problem("expected a map of keys", Place(NAME)))
    if problems := [*_too_much(root), *_flaws(root, ())]:
        raise ConfigError(problems[:MOST_PROBLEMS])
    return root


def _parsed(text: str) -> Node:
    try:
        return parse_yaml(text, NAME, most_nodes=MOST_NODES)
    except ConfigError as error:
        raise ConfigError(list(error.problems[:MOST_PROBLEMS])) from None


def _tree(value: Json, loc: tuple[str, ...], left: list[int]) -> Node:
    place = Place(dotted(loc) or NAME)
    left[0] -= 1
    if left[0] < 0:
        raise ConfigError(Problem(f"more than {MOST_NODES:,} values", Place(NAME), "keep rows in a dataset"))
    if len(loc) > MAX_DEPTH:
        raise ConfigError(Problem(f"nested deeper than {MAX_DEPTH} levels", Place(loc[0][:LONGEST_KEY])))
    if isinstance(value, dict):
        if long := next((key for key in value if len(key) > LONGEST_KEY), None):
            raise ConfigError(Problem(f"a key of {len(long):,} characters", place, "keys are short"))
        entries = {key: _tree(below, (*loc, key), left) for key, below in value.items()}
        return Node("map", place, entries=entries, keys={key: node.place for key, node in entries.items()})
    if isinstance(value, list):
        return Node("list", place, items=tuple(_tree(below, (*loc, str(i)), left) for i, below in enumerate(value)))
    if isinstance(value, str):
        return text_node(value, place)
    if value is None or isinstance(value, bool):
        return Node("null" if value is None else "flag", place, value)
    if isinstance(value, int) and abs(value) >= WHOLE:
        raise ConfigError(Problem(f"{dotted(loc)}: a number beyond all bounds", place))
    return Node("number", place, value, str(value))


def _too_much(root: Node) -> Iterator[Problem]:
    """What there is too much of, over the whole document."""
    nodes = [node for _, node in _nodes(root, ())]
    if sum(len(node.entries) for node in nodes) > MOST_KEYS:
        yield Problem(f"more than {MOST_KEYS:,} keys", Place(NAME), "keep rows in a dataset")
    if sum(len(node.scalar) for node in nodes if isinstance(node.scalar, str)) > LONGEST:
        yield Problem(f"longer than {LONGEST:,} characters", Place(NAME), "name files for what is long")


def _nodes(node: Node, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Node]]:
    yield path, node
    for step, child in children(node):
        yield from _nodes(child, (*path, step))


def _flaws(root: Node, path: tuple[str, ...]) -> Iterator[Problem]:
    """What a request may not say, wherever it says it."""
    for at, node in _nodes(root, path):
        key = dotted(at)
        closed = next((remedy for pattern, remedy in CLOSED.items() if matches(pattern, at)), None)
        if closed is not None:
            yield Problem(f"{key}: a request cannot set this", node.place, closed)
        elif at and at[0] in ("models", "steps") and at[-1] == "api_key":
            yield Problem(f"{key}: a request holds no keys", node.place, "leave it out: the server has them")
        if any(flaw in name for name in node.entries for flaw in ("${env:", "\x00")) or _odd("".join(node.entries)):
            yield Problem(f"{key or NAME}: a key with characters that no key has", node.place)
        if flaw := _length_flaw(node, at):
            yield Problem(f"{key}: {flaw}", node.place, "name a file for what is long")
        if flaw := _scalar_flaw(node):
            yield Problem(f"{key}: {flaw}", node.place, "write the value itself" if "reference" in flaw else "")


def _length_flaw(node: Node, at: tuple[str, ...]) -> str:
    if isinstance(node.scalar, str):
        option = at[:1] == ("metrics",) and len(at) > 2 and at[2] != "rubric"
        most = LONGEST_OPTION if option else LONGEST_TEXT
        return f"at most {most:,} characters here, got {len(node.scalar):,}" if len(node.scalar) > most else ""
    most = LONGEST_LIST if at[:1] != ("metrics",) else MOST_NODES
    return f"at most {most:,} entries here, got {len(node.items):,}" if len(node.items) > most else ""


def _scalar_flaw(node: Node) -> str:
    if isinstance(node.scalar, str):
        if "${env:" in node.scalar:
            return "a request cannot refer to the server's environment"
        return "holds characters that cannot be stored" if _odd(node.scalar) else ""
    if isinstance(node.scalar, float) and not math.isfinite(node.scalar):
        return "not a number"
    if isinstance(node.scalar, int) and abs(node.scalar) >= WHOLE:
        return "a number beyond all bounds"
    return ""


def _odd(text: str) -> bool:
    """True for what no database stores: NUL, and half a character."""
    return "\x00" in text or (not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text))
