"""JSON schemas: a validator that fetches nothing, and that ends whatever it is given."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from promptprop.domain.errors import ConfigError
from promptprop.domain.models import Json, canonical
from promptprop.metrics.backtracking import Tangled, search, ways_of

MOST_STEPS = 200_000  # a keyword applied to a value is one; about a second
_ERROR_STEPS = 10  # an error takes as long as ten keywords that hold
_SHORT_KEY = 20  # characters: no pattern takes long on so few


class TooMuch(Exception):
    """A value takes too long to be checked."""


class SchemaValidator:
    """Checks values against one schema."""

    def __init__(self, schema: dict[str, Any]) -> None:
        """Take a schema. Raises ConfigError where it is none, or refers to what it does not define."""
        self._left = 0
        self._validator = _validator(schema, self._spend)
        self._key_patterns = _key_patterns(schema)

    def errors(self, value: Json) -> tuple[list[Any], bool]:
        """The violations, by place, and whether these are all: a value with very many is not checked to its end.

        Raises TooMuch where there is none so far; referencing's Unresolvable where a reference leads nowhere.
        """
        self._left = MOST_STEPS
        for pattern in self._key_patterns:
            for key in (key for item in _inside(value) if isinstance(item, dict) for key in item):
                if len(key) > _SHORT_KEY and search(re.compile(pattern), key)[1] < len(key):
                    raise TooMuch(f"it has a key of {len(key):,} characters")
        found: list[Any] = []
        try:
            found += self._validator.iter_errors(value)
        except TooMuch:
            if not found:
                raise
        whole = self._left >= 0
        return sorted(found, key=lambda error: ([str(part) for part in error.absolute_path], error.message)), whole

    def _spend(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            raise TooMuch(f"it takes more than {MOST_STEPS:,} steps")


def _validator(schema: dict[str, Any], spend: Callable[[int], None]) -> Any:
    """A validator that fetches nothing, and tells what it spends. Raises ConfigError."""
    import jsonschema
    from referencing import Registry

    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise ConfigError(f"the JSON schema is not valid at {pointer(error.path)}: {brief(error.message)}") from error
    except RecursionError as error:
        raise ConfigError("the JSON schema is nested too deeply") from error
    ids = {str(value).rstrip("#") for key, value in _entries(schema) if key in ("$id", "id")}
    for key, value in _entries(schema):
        if key in ("$ref", "$dynamicRef") and "://" in str(value) and str(value).split("#")[0] not in ids:
            raise ConfigError(
                f"the JSON schema refers to {value}, and remote references are not followed",
                remedy="Copy the definition under `$defs` and refer to `#/$defs/NAME`.",
            )
        if key == "$ref" and str(value).startswith("#/") and len(ids) <= 1 and not _leads_somewhere(schema, str(value)):
            raise ConfigError(f"the JSON schema refers to {value}, which it does not define")
    keywords = {**kind.VALIDATORS, "pattern": _pattern, "uniqueItems": _unique_items}
    counted = {name: _counted(keyword, spend) for name, keyword in keywords.items()}
    # where a reference leads back to a schema that names its draft, jsonschema would go on with its own class
    unnamed = {key: value for key, value in schema.items() if key != "$schema"}
    bounded: Any = jsonschema.validators.extend(kind, counted)  # type: ignore[no-untyped-call]
    return bounded(unnamed, registry=Registry())


def _counted(keyword: Callable[..., Any], spend: Callable[[int], None]) -> Callable[..., Iterator[Any]]:
    def apply(validator: Any, wanted: Json, instance: Json, schema: Json) -> Iterator[Any]:
        spend(1)
        for error in keyword(validator, wanted, instance, schema) or ():
            spend(_ERROR_STEPS)
            yield error

    return apply


def _pattern(validator: Any, wanted: str, instance: Json, _schema: Json) -> Iterator[Any]:
    from jsonschema import ValidationError

    if not validator.is_type(instance, "string"):
        return
    match, reached = search(re.compile(wanted), instance)
    if match is None:
        where = "" if reached == len(instance) else f" (in its first {reached:,} characters)"
        yield ValidationError(f"{instance!r} does not match {wanted!r}{where}")


def _unique_items(validator: Any, wanted: bool, instance: Json, _schema: Json) -> Iterator[Any]:
    """As jsonschema has it, but without comparing each item to each other."""
    from jsonschema import ValidationError

    if wanted and validator.is_type(instance, "array") and len({identity(item) for item in instance}) < len(instance):
        yield ValidationError(f"{instance!r} has non-unique elements")


def _key_patterns(schema: Json) -> list[str]:
    """The patterns that keys are held against. Raises ConfigError for any that is slow on every text."""
    keys, texts = list[str](), list[str]()
    for value in _inside(schema):
        if isinstance(value, Mapping):
            named = value.get("patternProperties")
            keys += named if isinstance(named, Mapping) else ()
            texts += [value["pattern"]] if isinstance(value.get("pattern"), str) else []
    for pattern in (*keys, *texts):
        try:
            ways_of(pattern, re.compile(pattern).flags)
        except (re.error, Tangled) as error:
            raise ConfigError(f"the JSON schema has the pattern `{brief(pattern)}`: {error}") from error
    return list(dict.fromkeys(keys))


def _inside(value: Json) -> Iterator[Json]:
    """A value, and all that lie in it."""
    pending = [value]
    while pending:
        item = pending.pop()
        yield item
        pending += item.values() if isinstance(item, Mapping) else item if isinstance(item, list | tuple) else ()


def _entries(value: Json) -> Iterator[tuple[str, Json]]:
    """All keys with their values, at any depth, that could be keywords of a schema."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, Mapping):
            for key, below in item.items():
                if isinstance(below, str):
                    yield str(key), below
                elif key not in ("const", "enum", "examples", "default"):
                    pending.append(below)
        elif isinstance(item, list | tuple):
            pending.extend(item)


def _leads_somewhere(schema: Json, reference: str) -> bool:
    from urllib.parse import unquote

    for part in unquote(reference[2:]).split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(schema, Mapping) and key in schema:
            schema = schema[key]
        elif isinstance(schema, list) and key.isascii() and key.isdigit() and int(key) < len(schema):
            schema = schema[int(key)]
        else:
            return False
    return True


def pointer(path: Sequence[str | int]) -> str:
    """A JSON pointer (RFC 6901); the whole value is `/`, which reads better than nothing."""
    return "/" + "/".join(str(part).replace("~", "~0").replace("/", "~1") for part in path)


def brief(message: str) -> str:
    """A message without its middle, where it is long."""
    return message if len(message) <= 100 else f"{message[:60]} … {message[-36:]}"


def identity(value: Json) -> str:
    """One text per JSON value: 1 and 1.0 are one value, 1 and true are two, the order of keys is none."""
    return canonical(_plain(value))


def _plain(value: Json) -> Json:
    if isinstance(value, float):
        return int(value) if value.is_integer() else (value if math.isfinite(value) else str(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
