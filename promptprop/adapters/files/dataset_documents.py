"""Dataset formats that are one document: JSON and YAML. The document lies in memory as a whole, the rows do not.

Rows are a list, or stand in an object under one of `ROW_KEYS`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator
from typing import Any, BinaryIO

import yaml

from promptprop.adapters.files.dataset_formats import BAD_UTF8, UTF8_REMEDY, JsonDecoder, Record, json_flaw
from promptprop.adapters.files.yaml_strict import parse_scalar
from promptprop.domain.models import Json

ROW_KEYS = ("rows", "data", "examples")
SHAPE_REMEDY = f"write a list of objects, or an object with the list under one of {', '.join(ROW_KEYS)}"
MEND = "mend it there; rows behind this place were not read"
MAX_DEPTH = 100

_BLANK = re.compile(r"[ \t\r\n]*")


class _Unreadable(Exception):
    """The document ends being readable here; `record` says where and why."""

    def __init__(self, record: Record) -> None:
        super().__init__(record.flaw)
        self.record = record


def _document(stream: BinaryIO) -> str:
    """The whole text, without a BOM."""
    data = stream.read()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _Unreadable(Record(line, flaw=BAD_UTF8, remedy=UTF8_REMEDY)) from error


# --- JSON -----------------------------------------------------------------------------------------------------------


def read_json(stream: BinaryIO) -> Iterator[Record]:
    """A JSON array of objects, or an object that holds one; the rows are decoded one at a time."""
    try:
        text = _document(stream)
        if text.strip():
            yield from _JsonWalk(text).records()
    except _Unreadable as error:
        yield error.record


class _JsonWalk:
    """A walk over a JSON text that stops at every row."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.decoder = JsonDecoder()
        self.line = 1
        self.counted = 0

    def records(self) -> Iterator[Record]:
        """The rows, then the check that nothing follows them. Raises _Unreadable."""
        at = self._blank(0)
        try:
            if self.text[at] == "[":
                at = yield from self._array(at)
            elif self.text[at] == "{":
                at = yield from self._object(at)
            else:
                raise self._stop(at, "expected a list of rows", SHAPE_REMEDY)
            if at < len(self.text):
                remedy = "where each line is a row of its own, name the file .jsonl"
                raise self._stop(at, "invalid JSON: something follows the end of the document", remedy)
        except json.JSONDecodeError as error:
            raise _Unreadable(
                Record(error.lineno, flaw=f"invalid JSON: {error.msg}", remedy=MEND, column=error.colno)
            ) from error
        except (ValueError, RecursionError) as error:
            raise self._stop(at, json_flaw(error)) from error

    def _blank(self, at: int) -> int:
        """The next place that is no white space."""
        match = _BLANK.match(self.text, at)
        return match.end() if match else at

    def _lines_to(self, at: int) -> int:
        """The line of a place, counted on from the last one asked for."""
        if at < self.counted:
            return self.text.count("\n", 0, at) + 1
        self.line += self.text.count("\n", self.counted, at)
        self.counted = at
        return self.line

    def _stop(self, at: int, flaw: str, remedy: str = "") -> _Unreadable:
        return _Unreadable(Record(self._lines_to(at), flaw=flaw, remedy=remedy))

    def _sign(self, at: int, signs: str) -> int:
        """The place of the next sign, which must be one of `signs`."""
        at = self._blank(at)
        if self.text[at : at + 1] not in tuple(signs):
            raise json.JSONDecodeError(f"Expecting {' or '.join(map(repr, signs))}", self.text, at)
        return at

    def _array(self, at: int) -> Generator[Record, None, int]:
        """The elements of the array that starts at `at`; returns the place behind it."""
        at = self._blank(at + 1)
        if self.text[at : at + 1] == "]":
            return self._blank(at + 1)
        while True:
            line = self._lines_to(at)
            value, end = self.decoder.raw_decode(self.text, at)
            yield self.decoder.record(line, value)
            at = self._sign(end, ",]")
            if self.text[at] == "]":
                return self._blank(at + 1)
            at = self._blank(at + 1)

    def _object(self, at: int) -> Generator[Record, None, int]:
        """The rows under the one row key of the object that starts at `at`; returns the place behind it."""
        keys: list[str] = []
        start = at
        at = self._sign(at + 1, '"}')
        while self.text[at] == '"':
            key, end = self.decoder.raw_decode(self.text, at)
            keys.append(key)
            value_at = self._blank(self._sign(end, ":") + 1)
            if key in ROW_KEYS and self.text[value_at : value_at + 1] == "[":
                if sum(name in ROW_KEYS for name in keys) > 1:
                    raise self._stop(at, f"the rows stand under several keys: {', '.join(keys)}", SHAPE_REMEDY)
                end = yield from self._array(value_at)
            else:
                _, end = self.decoder.raw_decode(self.text, value_at)
                self.decoder.repeated.clear()
                if key in ROW_KEYS:
                    raise self._stop(value_at, f"{key!r} is not a list", SHAPE_REMEDY)
            at = self._sign(end, ",}")
            if self.text[at] == ",":
                at = self._sign(at + 1, '"')
        if not any(key in ROW_KEYS for key in keys):
            remedy = f"{SHAPE_REMEDY}; where each line is a row of its own, name the file .jsonl"
            raise self._stop(start, f"no list of rows among the keys {', '.join(keys[:12]) or '(none)'}", remedy)
        return self._blank(at + 1)


# --- YAML -----------------------------------------------------------------------------------------------------------


def read_yaml(stream: BinaryIO) -> Iterator[Record]:
    """A YAML list of mappings, or a mapping that holds one; scalars as in a configuration: `no` and times stay text.

    Nothing but plain data is built. Aliases are refused, since a few of them can stand for gigabytes.
    """
    try:
        root = _compose(_document(stream))
        if root is None:
            return
        seen: set[int] = set()
        for node in _row_nodes(root):
            line = node.start_mark.line + 1
            try:
                yield Record(line, _value(node, seen, 0))
            except ValueError as error:
                yield Record(line, flaw=str(error))
    except _Unreadable as error:
        yield error.record


PLAIN = "!plain"


class _PlainLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # a base known at run time
    """Leaves scalars without quotes and tags alone, so that they mean here what they mean in a configuration."""

    yaml_implicit_resolvers: dict[str | None, list[tuple[str, re.Pattern[str]]]] = {  # noqa: RUF012  (PyYAML's own)
        None: [(PLAIN, re.compile(""))]
    }


def _compose(text: str) -> yaml.Node | None:
    """The document's tree of nodes; None where it is empty. Raises _Unreadable."""
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=_PlainLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise _Unreadable(Record(line, flaw=f"invalid YAML: {error.problem}", remedy=MEND, column=column)) from error
    except (yaml.YAMLError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else str(error).splitlines()[0]
        raise _Unreadable(Record(0, flaw=f"invalid YAML: {why}", remedy=MEND)) from error
    return node


def _row_nodes(root: yaml.Node) -> list[yaml.Node]:
    """The nodes of the rows. Raises _Unreadable."""
    line = root.start_mark.line + 1
    if isinstance(root, yaml.MappingNode):
        lists = [value for key, value in root.value if key.value in ROW_KEYS]
        if len(lists) != 1:
            raise _Unreadable(Record(line, flaw="there is not one list of rows", remedy=SHAPE_REMEDY))
        root = lists[0]
    if not isinstance(root, yaml.SequenceNode):
        raise _Unreadable(Record(line, flaw="expected a list of rows", remedy=SHAPE_REMEDY))
    return list(root.value)


def _value(node: yaml.Node, seen: set[int], depth: int) -> Json:
    """The plain value of a node. Raises ValueError for aliases, repeated or odd keys, tags and deep nesting."""
    if not isinstance(node, yaml.ScalarNode):
        if id(node) in seen:
            raise ValueError("YAML aliases are not read in datasets: write the value out")
        seen.add(id(node))
        if depth > MAX_DEPTH:
            raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
    kind = node.tag.rpartition(":")[2]
    if isinstance(node, yaml.SequenceNode) and kind == "seq":
        return [_value(child, seen, depth + 1) for child in node.value]
    if isinstance(node, yaml.MappingNode) and kind == "map":
        found: dict[str, Any] = {}
        for key, child in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ValueError("a key must be a scalar")
            if key.value in found:
                raise ValueError(f"the key {key.value!r} stands twice in one mapping")
            found[key.value] = _value(child, seen, depth + 1)
        return found
    if isinstance(node, yaml.ScalarNode) and node.tag == PLAIN:
        return parse_scalar(node.value)
    if isinstance(node, yaml.ScalarNode) and kind == "str":
        return node.value
    raise ValueError(f"the tag {node.tag} is not read in datasets")
