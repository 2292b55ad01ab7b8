"""A YAML file as plain values with the place of each, so that every problem can point at its line.

`no`, `yes` and `on` stay texts, as in YAML 1.2: they are ordinary labels. Dates stay texts too.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from functools import lru_cache

import yaml

from promptprop.domain.errors import ConfigError, Place, Problem
from promptprop.domain.models import Json

Path_ = tuple[Hashable, ...]
_BOOLEAN, _STAMP, _MERGE = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """SafeLoader whose only booleans are true and false."""


class _FastLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # a base known at run time
    """The same by libyaml, where PyYAML was built with it: which reads a world in a sixth of the time."""


_Loader.yaml_implicit_resolvers = _FastLoader.yaml_implicit_resolvers = {
    char: [(tag, pattern) for tag, pattern in resolvers if tag not in {_STAMP, _MERGE} and
           (tag != _BOOLEAN or char in "tTfF")]
    for char, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tree:
    """The value of a YAML file, and where each part of it stands, by its path of keys and indexes."""

    value: Json
    places: dict[Path_, Place]
    problems: list[Problem] = field(default_factory=list)

    def get(self, *path: Hashable) -> Json:
        """The part at a path of keys and indexes; None where there is none."""
        value = self.value
        for key in path:
            if isinstance(value, dict):
                value = value.get(key)
            elif isinstance(value, list) and isinstance(key, int) and key < len(value):
                value = value[key]
            else:
                return None
        return value

    def place(self, *path: Hashable) -> Place | None:
        """Where this part stands; where it is missing, its nearest parent."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path)

    def blame(self, message: str, *path: Hashable, remedy: str = "") -> None:
        """Note a problem of this part."""
        self.problems.append(Problem(message, self.place(*path), remedy))


def read_tree(text: str, file: str) -> Tree:
    """The tree of a YAML text. Raises ConfigError where it is no YAML; a duplicate key is a problem of the tree.

    The value and its places are shared by all trees of one text, so nobody may change them; the problems are one's own.
    """
    kept = _read(text, file)
    return replace(kept, problems=list(kept.problems))


@lru_cache(maxsize=16)  # a run reads the same world for each of its models, and for each digest of it
def _read(text: str, file: str) -> Tree:
    try:
        node = _compose(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        said = getattr(error, "problem", None) or str(error).splitlines()[0]
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
        raise ConfigError(Problem(f"this is not valid YAML: {said}", place)) from error
    builder = _Builder(file, text.splitlines())
    value = None if node is None else builder.value(node, ())
    return Tree(value, builder.tree.places, builder.tree.problems)


def _compose(text: str) -> yaml.Node | None:
    """The nodes of a text. What libyaml refuses is read again by the loader whose words we show."""
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=_FastLoader)
    except yaml.YAMLError:
        node = yaml.compose(text, Loader=_Loader)
    return node


class _Builder:
    """Turns nodes into values, and notes the place of each."""

    def __init__(self, file: str, lines: list[str]) -> None:
        self.file = file
        self.lines = lines
        self.tree = Tree(None, {})
        self.loader = _Loader("")
        self.seen: set[int] = set()

    def value(self, node: yaml.Node, path: Path_) -> Json:
        """The value of a node."""
        self.tree.places.setdefault(path, self.place(node))
        if isinstance(node, yaml.ScalarNode):
            return self.loader.construct_object(node)
        if id(node) in self.seen:  # an alias; a recursive one would never end
            self.tree.blame("aliases are not supported here", *path, remedy="write the value out")
            return None
        self.seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self.mapping(node, path)

    def mapping(self, node: yaml.Node, path: Path_) -> Json:
        """The value of a mapping; keys are what is written: 1042 and no are row ids or labels, not numbers."""
        result: dict[str, Json] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            here = (*path, key)
            self.tree.places[here] = self.place(key_node)
            if key in result:
                self.tree.blame(f"the key {key!r} stands here twice", *here, remedy="delete one of the two")
            result[key] = self.value(value_node, here)
        return result

    def place(self, node: yaml.Node) -> Place:
        """Where a node begins."""
        mark = node.start_mark
        source = self.lines[mark.line] if mark.line < len(self.lines) else ""
        return Place(self.file, mark.line + 1, mark.column + 1, source)
