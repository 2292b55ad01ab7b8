"""What validation complains about, in plain words and at its place in the file."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from promptprop.adapters.files.origins import Loc, dotted, find, shown
from promptprop.adapters.files.yaml_strict import Node
from promptprop.domain.errors import Problem
from promptprop.domain.models import Json

Complaint = Mapping[str, Any]  # as pydantic words it: type, loc, msg, input, ctx

OLD_FLAGS = ("yes", "no", "on", "off", "y", "n")
WANTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a number",
    "decimal_type": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a text",
    "model_type": "a map of keys",
    "model_attributes_type": "a map of keys",
    "dict_type": "a map of keys",
    "tuple_type": "a list",
    "list_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
}
BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}


def complaints_of(error: ValidationError) -> list[Complaint]:
    """All that pydantic complains about; a list is not also called too short for the items that were refused."""
    found = error.errors(include_url=False)
    deeper = {complaint["loc"][:length] for complaint in found for length in range(len(complaint["loc"]))}
    return [complaint for complaint in found if complaint["type"] != "too_short" or complaint["loc"] not in deeper]


def described(value: Json | Decimal, loc: Loc = ()) -> str:
    """A value in words: kind and contents, secrets and long texts cut.

    >>> described("five"), described(True), described(None), described(5.0)
    ("the text 'five'", 'true', 'nothing', 'the number 5.0')
    >>> described(Decimal("-1"))  # money is read before its bounds are looked at
    'the number -1'
    """
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return f"the number {value}"
    if isinstance(value, str):
        text = str(shown(loc, value))
        return f"the text {text if len(text) <= 60 else text[:57] + '...'!r}"
    return "a list" if isinstance(value, list | tuple) else "a map"


def worded(complaint: Complaint) -> tuple[str, str]:
    """A complaint as message and remedy, for people who do not know how validation works."""
    kind, loc, value = complaint["type"], complaint["loc"], complaint.get("input")
    context = complaint.get("ctx") or {}
    key = next((str(step) for step in reversed(loc) if isinstance(step, str) and step != "[key]"), "")
    got = described(value, loc)
    remedy = ""
    if kind == "refused":
        return str(context["message"]), str(context["remedy"])
    if kind == "extra_forbidden":
        return f"unknown key {key!r}", ""
    if kind == "missing":
        return f"the key {key!r} is missing", ""
    if kind in WANTED:
        if WANTED[kind] == "true or false" and value in OLD_FLAGS:
            remedy = "write true or false"
        elif isinstance(value, str) and "${env:" in value:
            remedy = "a reference gives a text; set a number with PROMPTPROP_… or --set"
        message = f"{key}: expected {WANTED[kind]}, got {got}"
    elif kind in BOUNDS:
        words, name = BOUNDS[kind]
        message = f"{key}: must be {words} {context[name]}, got {got}"
    elif kind == "literal_error":
        message = f"{key}: expected {context['expected']}, got {got}"
    elif kind == "too_short":
        message = f"{key}: expected at least {context['min_length']} item, got none"
    elif kind == "string_too_short":
        message = f"{key}: must not be empty"
    elif kind == "string_pattern_mismatch":
        message = f"{key}: expected letters, digits and _, got {got}"
        if context.get("pattern") != r"^[A-Za-z_][A-Za-z0-9_]*$":
            message = f"{key}: expected a text like {context.get('pattern')}, got {got}"
    else:
        message = f"{key}: {complaint['msg'].removeprefix('Value error, ')}"
    return message, remedy


def suggestion_for(complaint: Complaint, known: Iterable[str]) -> str:
    """The known key or value that an unknown one is close to, or nothing."""
    kind, loc = complaint["type"], complaint["loc"]
    if kind == "extra_forbidden":
        return closest(str(loc[-1]), known)
    if kind == "literal_error":
        expected = (complaint.get("ctx") or {}).get("expected", "")
        return closest(str(complaint.get("input")), expected.replace(" or ", ", ").replace("'", "").split(", "))
    return ""


def closest(word: str, known: Iterable[str]) -> str:
    """The known word that is most like this one, or nothing.

    >>> closest("metrcs", ["models", "metrics"])
    'metrics'
    """
    lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), list(lower), 1, 0.6)
    return lower[near[0]] if near else ""


def keys_at(model: type[BaseModel], loc: Sequence[str | int]) -> list[str]:
    """The keys that the configuration knows at `loc`; none where it takes any."""
    current: type[BaseModel] | None = model
    for step in loc:
        if current is None:
            return []
        if isinstance(step, str) and step in current.model_fields:
            current = _model_inside(current.model_fields[step].annotation)
    return list(current.model_fields) if current else []


def _model_inside(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation such as `tuple[X, ...] | None` is about."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_inside(part))), None)


def problem_at(root: Node, complaint: Complaint, known: Callable[[Loc], Iterable[str]]) -> Problem:
    """The complaint where it stands in the tree; a missing key is placed at the map that lacks it."""
    context = complaint.get("ctx") or {}
    loc: Loc = tuple(complaint["loc"]) + tuple(context.get("at", ()) if complaint["type"] == "refused" else ())
    message, remedy = worded(complaint)
    node, key_place, taken = find(root, loc)
    about_key = complaint["type"] in {"extra_forbidden", "missing"} or node.kind in {"map", "list"}
    place = key_place if about_key or taken < len(loc) else node.place
    parent = loc[:-1]
    if complaint["type"] == "missing" and parent:
        message = f"{dotted(parent)}: {message}"
    near = suggestion_for(complaint, known(parent))
    if near:
        remedy = f"did you mean {near!r}?"
    elif complaint["type"] == "extra_forbidden" and (keys := sorted(known(parent))):
        remedy = f"known keys: {', '.join(keys)}"
    return Problem(message, place, remedy)


def wanted_texts(root: Node, complaints: Iterable[Complaint]) -> list[tuple[Loc, Node]]:
    """The scalars that were read as numbers or flags where a text is wanted, with the way to each."""
    found = []
    for complaint in complaints:
        if complaint["type"] == "string_type":
            node, _, taken = find(root, complaint["loc"])
            if taken == len(complaint["loc"]) and node.text is not None and node.kind not in {"text", "null"}:
                found.append((complaint["loc"], node))
    return found
