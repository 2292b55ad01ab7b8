"""YAML without its traps: a tree of nodes that know where they stand, built from PyYAML's events.

Scalars follow JSON's idea of types with YAML 1.2's spelling: only true and false are booleans, `1e-3` and `.5` are
numbers, and whatever other tools would mangle (`no`, `010`, `1_000`, `0x1F`, `12:30:00`, `2024-01-01`, `.inf`) stays a
text. Duplicate keys, anchors, aliases, tags, merge keys, several documents and deep nesting are refused.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import yaml

from promptprop.domain.errors import ConfigError, Place, Problem

MAX_BYTES = 5_000_000
MAX_DEPTH = 40
LONGEST_SOURCE = 400

Kind = Literal["map", "list", "text", "number", "flag", "null"]

_BREAKS = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # where PyYAML counts lines
_WHOLE = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_NUMBER = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_FLAGS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULLS = ("", "~", "null", "Null", "NULL")
_SECRETS = re.compile(
    r"""((?:api[_-]?key|authorization|password|secret)["']?\s*:\s*["']?)(?!\$\{)([^\s"',}]+(?:\s[^\s"',}#]+)*)"""
    r"""|(://[^\s:/@]*:)(?!\$\{)([^\s@/]+)(?=@)""",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A value and where it stands. Maps hold `entries`, lists hold `items`, scalars hold `scalar`.

    `text` is a scalar's source text, for keys that want a text where YAML reads a number. `keys` are the places of a
    map's keys. `origin` says where an override came from; empty means from `place`.
    """

    kind: Kind
    place: Place
    scalar: str | int | float | bool | None = None
    text: str | None = None
    entries: dict[str, Node] = field(default_factory=dict)
    items: tuple[Node, ...] = ()
    keys: dict[str, Place] = field(default_factory=dict)
    origin: str = ""

    def plain(self) -> Any:
        """The plain JSON value."""
        if self.kind == "map":
            return {key: node.plain() for key, node in self.entries.items()}
        if self.kind == "list":
            return [node.plain() for node in self.items]
        return self.scalar


def masked(line: str) -> str:
    """The line with keys and passwords that are written out replaced by as many asterisks.

    >>> masked("api_key: sk-123")
    'api_key: ******'
    """
    return _SECRETS.sub(lambda m: (m[1] or m[3]) + "*" * len(m[2] or m[4]), line)


def read_yaml(path: Path) -> Node:
    """The tree of a file. Raises ConfigError with every problem found."""
    return parse_yaml(read_text(path), str(path))


def read_text(path: Path) -> str:
    """A UTF-8 file of at most 5 MB, without byte order mark. Raises ConfigError."""
    whole = Place(str(path))
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(Problem("no such file", whole, _nearest(path))) from None
    except IsADirectoryError:
        raise ConfigError(Problem("this is a folder, not a file", whole, "name a file in it")) from None
    except (OSError, ValueError) as error:
        said = f"cannot be read: {getattr(error, 'strerror', None) or error}"
        raise ConfigError(Problem(said, whole, "check its name, and who may read it")) from None
    if len(data) > MAX_BYTES:
        raise ConfigError(Problem("larger than 5 MB", whole, "keep rows in a dataset file"))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        lines = _BREAKS.split(before)
        place = Place(str(path), len(lines), len(lines[-1]) + 1)
        raise ConfigError(Problem(f"not UTF-8: byte 0x{data[error.start]:02x}", place, "save it as UTF-8")) from None


def _nearest(path: Path) -> str:
    """A remedy for a file that is not there: the closest name in its folder, where there is one."""
    try:
        names = sorted(entry.name for entry in path.parent.iterdir())
    except OSError:
        return f"there is no folder {path.parent} either"
    close = difflib.get_close_matches(path.name, names, n=1)
    return f"did you mean {path.parent / close[0]}?" if close else "check its name, and the folder that you are in"


def parse_yaml(text: str, file: str, most_nodes: int | None = None) -> Node:
    """The tree of one document; an empty one is a null node. Raises ConfigError with every problem found.

    With `most_nodes`, a document of more values and keys is refused once so many were read.
    """
    if len(text) > MAX_BYTES:
        raise ConfigError(Problem("larger than 5 MB", Place(file)))
    return _Composer(text, file, most_nodes).compose()


def parse_scalar(text: str) -> str | int | float | bool | None:
    """What a plain scalar means.

    >>> [parse_scalar(text) for text in ("no", "1e-3", "010", "true", "12:30:00", "~")]
    ['no', 0.001, '010', True, '12:30:00', None]
    """
    if text in _NULLS:
        return None
    if text in _FLAGS:
        return _FLAGS[text]
    if len(text) > 1000:  # a number that long is none, and int() refuses thousands of digits
        return text
    if _WHOLE.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return text


@dataclass(slots=True)
class _Open:
    """A collection whose end has not been seen yet."""

    kind: Literal["map", "list"]
    place: Place
    entries: dict[str, Node] = field(default_factory=dict)
    items: list[Node] = field(default_factory=list)
    keys: dict[str, Place] = field(default_factory=dict)
    key: str | None = None

    def closed(self) -> Node:
        return Node(self.kind, self.place, entries=self.entries, items=tuple(self.items), keys=self.keys)


class _Composer:
    """Builds one tree from events with a stack of its own, so that depth cannot exhaust Python's."""

    def __init__(self, text: str, file: str, most_nodes: int | None) -> None:
        self._text = text
        self._most = most_nodes
        self._file = file
        self._lines = _BREAKS.split(text)
        self._problems: list[Problem] = []
        self._stack: list[_Open] = []
        self._root: Node | None = None

    def compose(self) -> Node:
        try:
            self._read(yaml.parse(self._text, Loader=yaml.SafeLoader))
        except yaml.reader.ReaderError as error:
            self._refuse_character(error.position)
        except yaml.MarkedYAMLError as error:
            self._refuse_syntax(error)
        except yaml.YAMLError as error:
            self._problems.append(Problem(f"not valid YAML: {error}", Place(self._file)))
        except (ValueError, OverflowError):  # chr() of an escape beyond Unicode
            self._problems.append(Problem(r"not valid YAML: a \U escape that is no character", Place(self._file)))
        if self._problems:
            raise ConfigError(self._problems)
        return self._root or Node("null", Place(self._file, 1, 1, self._source(0)))

    def _read(self, events: Iterator[Any]) -> None:
        documents = 0
        for number, event in enumerate(events):
            if self._most is not None and number > 2 * self._most:  # a collection is two events, its ends
                self._refuse(f"more than {self._most:,} values", event.start_mark)
                return
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._refuse("a second document begins here", event.start_mark, "keep one document per file")
                    return
            elif isinstance(event, yaml.AliasEvent):
                self._refuse(
                    "aliases (*name) are not supported", event.start_mark, "write the value out, or use extends"
                )
                self._add(Node("null", self._place(event.start_mark)))
            elif isinstance(event, yaml.ScalarEvent):
                self._check_properties(event)
                self._add_scalar(event)
            elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                self._check_properties(event)
                if len(self._stack) >= MAX_DEPTH:
                    self._refuse(f"nested deeper than {MAX_DEPTH} levels", event.start_mark)
                    return
                kind: Literal["map", "list"] = "map" if isinstance(event, yaml.MappingStartEvent) else "list"
                self._stack.append(_Open(kind, self._place(event.start_mark)))
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                self._add(self._stack.pop().closed())

    def _check_properties(self, event: Any) -> None:
        if event.anchor is not None:
            self._refuse("anchors (&name) are not supported", event.start_mark, "write the value out, or use extends")
        if event.tag is not None:
            self._refuse(f"tags ({event.tag}) are not supported", event.start_mark, "put quotes around a text")

    def _add_scalar(self, event: Any) -> None:
        place = self._place(event.start_mark)
        plain = event.style is None
        value = parse_scalar(event.value) if plain else self._whole_characters(event.value, event.start_mark)
        if isinstance(value, str):
            kind: Kind = "text"
        elif value is None:
            kind = "null"
        else:
            kind = "flag" if isinstance(value, bool) else "number"
        if plain and event.value == "<<" and self._key_expected():
            self._refuse("merge keys (<<) are not supported", event.start_mark, "use extends")
        self._add(Node(kind, place, value, str(value) if kind == "text" else event.value))

    def _key_expected(self) -> bool:
        return bool(self._stack) and self._stack[-1].kind == "map" and self._stack[-1].key is None

    def _add(self, node: Node) -> None:
        """Hand a finished node to the collection around it: as a key, a value or an item."""
        if not self._stack:
            self._root = node
            return
        parent = self._stack[-1]
        if parent.kind == "list":
            parent.items.append(node)
        elif parent.key is None:
            self._open_key(parent, node)
        else:
            parent.entries[parent.key] = node
            parent.key = None

    def _open_key(self, parent: _Open, node: Node) -> None:
        if node.kind in {"map", "list"}:
            self._problems.append(Problem("a key must be a text", node.place, "put quotes around {{ … }} and [ … ]"))
        parent.key = node.text or ""
        if parent.key in parent.keys:
            first = parent.keys[parent.key]
            message = f"the key {parent.key!r} stands there twice, first in line {first.line}"
            self._problems.append(Problem(message, node.place, "keep one of the two"))
        else:
            parent.keys[parent.key] = node.place

    def _whole_characters(self, text: str, mark: Any) -> str:
        r"""Join `\ud83d\ude00`, as JSON writes what lies beyond 16 bits; refuse half a pair."""
        if text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text):
            return text
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self._refuse("half a character: a surrogate without its other half", mark)
            return ""

    def _source(self, line: int) -> str:
        source = self._lines[line] if line < len(self._lines) else ""
        return masked(source) if len(source) <= LONGEST_SOURCE else ""

    def _place(self, mark: Any) -> Place:
        return Place(self._file, mark.line + 1, mark.column + 1, self._source(mark.line))

    def _refuse(self, message: str, mark: Any, remedy: str = "") -> None:
        self._problems.append(Problem(message, self._place(mark), remedy))

    def _refuse_character(self, position: int) -> None:
        before = _BREAKS.split(self._text[:position])
        line, column = len(before), len(before[-1]) + 1
        code = ord(self._text[position]) if position < len(self._text) else 0
        place = Place(self._file, line, column)  # without the line: a terminal should not see the character
        self._problems.append(
            Problem(f"the character U+{code:04X} is not allowed", place, "remove it, or write an escape")
        )

    def _refuse_syntax(self, error: yaml.MarkedYAMLError) -> None:
        problem = str(error.problem or error.context or "syntax error")
        mark = error.problem_mark or error.context_mark
        if "end of stream" in problem or "stream end" in problem:  # where it was opened says more than the end
            mark = error.context_mark or mark
        place = self._place(mark) if mark else Place(self._file)
        if "'\\t'" in problem or place.source[: place.column].strip(" -").startswith("\t"):
            message, remedy = "a tab where YAML wants spaces", "indent with spaces"
        elif "${" in place.source and "flow" in str(error.context):
            message, remedy = "a reference inside { … } or [ … ]", 'put quotes around it: "${env:NAME}"'
        elif "mapping values are not allowed" in problem:
            message, remedy = "a second ': ' in one line", "put quotes around a text that holds ': '"
        elif "cannot start any token" in problem:
            message, remedy = f"not valid YAML: {problem}", "put quotes around the text"
        else:
            context = f" {error.context}," if error.context else ""
            message, remedy = f"not valid YAML:{context} {problem}", ""
        self._problems.append(Problem(message, place, remedy))


def text_node(text: str, place: Place, origin: str = "") -> Node:
    """A text that does not come from YAML."""
    return Node("text", place, text, text, origin=origin)


def node_of(value: Any, place: Place, origin: str = "") -> Node:
    """The tree of a plain value, all of it from one place."""
    if isinstance(value, dict):
        entries = {str(key): node_of(below, place, origin) for key, below in value.items()}
        return Node("map", place, entries=entries, keys=dict.fromkeys(entries, place), origin=origin)
    if isinstance(value, list | tuple):
        return Node("list", place, items=tuple(node_of(below, place, origin) for below in value), origin=origin)
    if isinstance(value, str):
        return text_node(value, place, origin)
    kind: Kind = "null" if value is None else "flag" if isinstance(value, bool) else "number"
    return Node(kind, place, value, None if value is None else str(value), origin=origin)


def moved(node: Node, place: Place, origin: str) -> Node:
    """The same tree as if all of it stood at `place`."""
    return replace(
        node,
        place=place,
        origin=origin,
        entries={key: moved(below, place, origin) for key, below in node.entries.items()},
        items=tuple(moved(below, place, origin) for below in node.items),
        keys=dict.fromkeys(node.entries, place),
    )
