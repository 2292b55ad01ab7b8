"""The two environments that templates are filled in: one for the roles' own templates, one for prompts.

A role's template comes with the package or from the user's disk. A prompt may have been written by a model: only the
parts listed here are let through, no attribute of a Python object can be reached, and a meter bounds what filling it
can cost. Loaded when the first template is read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from jinja2 import StrictUndefined, TemplateRuntimeError, TemplateSyntaxError, nodes, pass_context
from jinja2.filters import do_title
from jinja2.runtime import Context, LoopContext, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from promptprop.domain.models import Json, text_of

MOST_WORK = 10_000_000  # characters that filling one prompt may write or turn over: more than any model reads
TURN = 1000  # what a turn of a loop counts: 10,000 turns are the most
MOST_PARTS = 20_000  # of one prompt: variables, texts between them, statements
DEEPEST = 40  # nested expressions and statements: deeper ones overflow the stack of the compiler
WIDEST = 8  # blanks by which `tojson` indents

METER: Final = " meter"  # names in the context that no template can spell
TURNS: Final = " turns"

TESTS = ("defined", "undefined", "none", "string", "number", "boolean", "mapping", "sequence", "true", "false")
LOOP = ("index", "index0", "revindex", "revindex0", "first", "last", "length")
RESERVED = ("self", "super", "caller", "varargs", "kwargs")

_STATEMENTS = (nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For)
_LOGIC = (nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Test)
_VALUES = (nodes.Name, nodes.Const, nodes.Neg, nodes.Tuple, nodes.List, nodes.Getattr, nodes.Getitem, nodes.Filter)
ALLOWED = frozenset((*_STATEMENTS, *_LOGIC, *_VALUES, nodes.Keyword))


class Meter:
    """What is left of the work that filling one prompt may take."""

    def __init__(self, left: int = MOST_WORK) -> None:
        """Start with this many characters."""
        self.left = left

    def take(self, amount: int) -> None:
        """Count so many characters. Raises TemplateRuntimeError where they are too many."""
        self.left -= amount
        if self.left < 0:
            raise TemplateRuntimeError(f"it multiplies its values to more than {MOST_WORK:,} characters")


def shown(value: Any) -> Any:
    """A value as a prompt shows it: nothing for null, JSON for lists, maps and flags."""
    return "" if value is None else text_of(value) if isinstance(value, dict | list | tuple | bool) else value


def role_environment() -> ImmutableSandboxedEnvironment:
    """For role templates: Jinja's own sandbox. Texts are for a model, so nothing is escaped for HTML."""
    return ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True, finalize=shown)


class PromptEnvironment(ImmutableSandboxedEnvironment):
    """For prompts: values are JSON, so that `a.b` and `a["b"]` are keys or positions and nothing else."""

    def __init__(self) -> None:
        """Take away everything that is not listed in this module."""
        super().__init__(undefined=StrictUndefined, keep_trailing_newline=True, finalize=shown, optimized=False)
        self.globals.clear()
        self.filters = {**FILTERS, TURNS: _turns}
        self.tests = {name: self.tests[name] for name in TESTS}

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A key of a map, or what `loop` tells of a loop."""
        if isinstance(obj, LoopContext) and attribute in LOOP:
            return getattr(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """A key of a map, or a position of a list or text; a part of what is missing is missing."""
        if isinstance(obj, Undefined):
            return obj
        by_key = isinstance(obj, Mapping) and isinstance(argument, str)
        by_place = isinstance(obj, list | tuple | str) and type(argument) is int
        try:
            return obj[argument] if by_key or by_place else self.undefined(obj=obj, name=argument)
        except LookupError:
            return self.undefined(obj=obj, name=argument)

    def read(self, text: str) -> nodes.Template:
        """The tree of a prompt. Raises TemplateSyntaxError for anything that prompts may not use, with its line."""
        tree = self.parse(text)
        _check(tree, 0, [MOST_PARTS])
        for loop in tree.find_all(nodes.For):
            loop.iter = nodes.Filter(loop.iter, TURNS, [], [], None, None, lineno=loop.lineno)
        return tree


def _check(node: nodes.Node, depth: int, left: list[int]) -> None:
    left[0] -= 1
    if left[0] < 0:
        raise TemplateSyntaxError(f"it has more than {MOST_PARTS:,} parts", node.lineno)
    if depth > DEEPEST:
        raise TemplateSyntaxError("its parts are nested too deeply", node.lineno)
    odd = _oddity(node)
    if odd:
        raise TemplateSyntaxError(f"it uses {odd}, which a prompt may not use", node.lineno)
    for child in node.iter_child_nodes():
        _check(child, depth + 1, left)


def _oddity(node: nodes.Node) -> str:
    """What is wrong with this node, its children apart; nothing where it is let through."""
    if type(node) not in ALLOWED:
        return _NAMES.get(type(node).__name__, f"the construct “{type(node).__name__}”")
    return _odd_name(node) or _odd_shape(node)


def _odd_name(node: nodes.Node) -> str:
    match node:
        case nodes.Name(name=name) if name in RESERVED:
            return f"the reserved name {name}"
        case nodes.Filter(name=name) if name not in FILTERS or node.node is None:
            return f"the filter {name}"
        case nodes.Test(name=name) if name not in TESTS:
            return f"the test {name}"
        case nodes.Getattr(attr=name) if name.startswith("__"):
            return f"the attribute {name}"
        case _:
            return ""


def _odd_shape(node: nodes.Node) -> str:
    match node:
        case nodes.Filter() | nodes.Test() if node.dyn_args or node.dyn_kwargs:
            return "spread arguments"
        case nodes.Getattr() | nodes.Getitem() if not _is_path(node):
            return "a part of something that is no variable"
        case nodes.Neg() if not isinstance(node.node, nodes.Const):
            return "arithmetic"
        case nodes.For() if node.recursive or not _is_path(node.iter):
            return "a loop over something that is no variable"
        case _:
            return ""


_NAMES = {
    "Call": "a call",
    "Slice": "a slice",
    "Concat": "the operator ~",
    "Dict": "a map",
    "Assign": "{% set %}",
    "AssignBlock": "{% set %}",
    "Macro": "{% macro %}",
    "CallBlock": "{% call %}",
    "FilterBlock": "{% filter %}",
    "With": "{% with %}",
    "Block": "{% block %}",
    "Import": "{% import %}",
    "FromImport": "{% from %}",
    "Include": "{% include %}",
    "Extends": "{% extends %}",
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "FloorDiv", "Mod", "Pow", "Pos"), "arithmetic"),
}


def _is_path(node: nodes.Node) -> bool:
    """True for a variable, and for a key or position of one that is a constant or a variable itself."""
    while isinstance(node, nodes.Getattr | nodes.Getitem):
        if isinstance(node, nodes.Getitem) and not isinstance(node.arg, nodes.Const | nodes.Name | nodes.Neg):
            return False
        node = node.node
    return isinstance(node, nodes.Name)


# --- filters: on JSON values, each one metered ----------------------------------------------------------------------


def _text(value: Any) -> str:
    return str(shown(value))


def _turns(context: Context, value: Any) -> list[Json]:
    """What a loop goes over, paid for in advance."""
    if isinstance(value, Undefined):
        return list(value)  # tells which variable is missing
    if not isinstance(value, list | tuple | Mapping):
        raise TemplateRuntimeError(f"a loop goes over a list or a map, not over {_text(value)[:40]!r}")
    context[METER].take(TURN * len(value))
    return list(value)


pass_context(_turns)


def _joined(meter: Meter, value: Any, separator: Any = "") -> str:
    if isinstance(value, str):
        raise TemplateRuntimeError(f"join takes a list, not the text {value[:40]!r}")
    parts, between = [_text(part) for part in value], _text(separator)
    meter.take(sum(map(len, parts)) + len(between) * len(parts))
    return between.join(parts)


def _replaced(meter: Meter, value: Any, old: Any, new: Any, count: int = -1) -> str:
    text, before, after = _text(value), _text(old), _text(new)
    meter.take(max(0, len(after) - len(before)) * text.count(before))
    return text.replace(before, after, count)


def _as_json(_meter: Meter, value: Any, indent: int | None = None) -> str:
    if isinstance(value, Undefined):
        return str(value)
    blanks = None if indent is None else min(max(0, int(indent)), WIDEST)
    return json.dumps(value, ensure_ascii=False, sort_keys=True, indent=blanks)


def _shortened(
    _meter: Meter, value: Any, length: int = 255, killwords: bool = False, end: str = "...", leeway: int = 5
) -> str:
    text = _text(value)
    if len(text) <= length + leeway:
        return text
    kept = text[: max(0, length - len(end))]
    return (kept if killwords else kept.rsplit(" ", 1)[0]) + end


def _fallback(_meter: Meter, value: Any, default_value: Any = "", boolean: bool = False) -> Any:
    return default_value if isinstance(value, Undefined) or (boolean and not value) else value


def _length(_meter: Meter, value: Any) -> int:
    return len(value)


def _at(place: int, _meter: Meter, value: Any) -> Any:
    items = value if isinstance(value, str | Undefined) else list(value)
    return items[place] if len(items) else StrictUndefined("the list is empty")


def _trimmed(_meter: Meter, value: Any, characters: str | None = None) -> str:
    return _text(value).strip(characters)


def _metered(compute: Callable[..., Any]) -> Callable[..., Any]:
    """The filter, with the texts that go in and come out counted."""

    def apply(context: Context, value: Any, *given: Any, **named: Any) -> Any:
        meter: Meter = context[METER]
        meter.take(len(value) if isinstance(value, str) else 1)
        result = compute(meter, value, *given, **named)
        meter.take(len(result) if isinstance(result, str) else 1)
        return result

    return pass_context(apply)


_COMPUTED: dict[str, Callable[..., Any]] = {
    "upper": lambda _meter, value: _text(value).upper(),
    "lower": lambda _meter, value: _text(value).lower(),
    "title": lambda _meter, value: do_title(_text(value)),
    "trim": _trimmed,
    "join": _joined,
    "default": _fallback,
    "tojson": _as_json,
    "replace": _replaced,
    "truncate": _shortened,
    "length": _length,
    "first": partial(_at, 0),
    "last": partial(_at, -1),
}
FILTERS = {name: _metered(compute) for name, compute in _COMPUTED.items()}
