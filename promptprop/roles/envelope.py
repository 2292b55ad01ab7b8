"""The reply envelope: a JSON object, bare, fenced or inside prose; for models that cannot, a fenced text."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence

from promptprop.domain.models import Json, canonical, storable

FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})")
_DECODER = json.JSONDecoder(strict=False)  # models put raw line ends into strings


def fenced_blocks(text: str) -> list[str]:
    """The contents of all fenced blocks, in order; a block ends at the first line that holds the same fence alone.

    >>> fenced_blocks("a" + chr(10) + "```json" + chr(10) + "{}" + chr(10) + "```")
    ['{}']
    """
    lines = text.split("\n")
    fences: list[tuple[int, str]] = []
    ends: dict[str, list[int]] = {}  # by fence, ascending: a hostile reply of open fences must not cost quadratic time
    for number, line in enumerate(lines):
        mark = FENCE.match(line)
        if mark and "`" not in line[mark.end() :]:
            fences.append((number, mark[1]))
            if not line[mark.end() :].strip():
                ends.setdefault(mark[1], []).append(number)
    blocks, next_line = list[str](), 0
    for number, fence in fences:
        closing = ends.get(fence, [])
        place = bisect_right(closing, number)
        if number >= next_line and place < len(closing):
            blocks.append("\n".join(lines[number + 1 : closing[place]]).strip("\n"))
            next_line = closing[place] + 1
    return blocks


def read_object(text: str, required: str) -> dict[str, Json]:
    """The JSON object of a reply that has the key `required`. Raises ValueError with a sentence for the model.

    >>> read_object('Sure: {"a": 1}. Done', "a")
    {'a': 1}
    """
    found_other = False
    for source in (text.strip(), *fenced_blocks(text), text):
        for value in _objects(source):
            if required in value:
                return value
            found_other = True
    if found_other:
        raise ValueError(f'the JSON object has no key "{required}"')
    raise ValueError(f'no JSON object with the key "{required}" was found in the reply')


def _objects(source: str) -> Iterator[dict[str, Json]]:
    start = source.find("{")
    tries = 0
    while start >= 0 and tries < 50:  # a hostile reply of braces must not cost quadratic time
        tries += 1
        try:
            value, end = _DECODER.raw_decode(source, start)
        except (ValueError, RecursionError):
            start = source.find("{", start + 1)
            continue
        if isinstance(value, dict):
            yield value
        start = source.find("{", end)


def data_lines(objects: Sequence[Mapping[str, Json]]) -> str:
    """Data for a role: one JSON object a line, with angle brackets escaped so that data cannot close its fence."""
    lines = (canonical(dict(item)) for item in objects)
    return "\n".join(line.replace("<", "\\u003c").replace(">", "\\u003e") for line in lines)


def storable_value(value: Json) -> Json:
    r"""A JSON value with all texts below it storable: escapes of JSON can bring back what no database holds.

    >>> storable_value({"a": ["x" + chr(0)]}) == {"a": ["x\ufffd"]}
    True
    """
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable(str(key)): storable_value(one) for key, one in value.items()}
    return [storable_value(one) for one in value] if isinstance(value, list) else value
