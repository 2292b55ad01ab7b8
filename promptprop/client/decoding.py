"""JSON of the API as frozen values, by the types of their fields."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from promptprop.client.errors import Unreadable

T = TypeVar("T")


def decoded(kind: type[T], value: Any, at: str = "$") -> T:
    """`value` as a `kind`: a dataclass, a plain type, or a tuple, mapping or option of such. Unknown keys are left out.

    Raises Unreadable, naming the place.

    >>> decoded(tuple[int, ...], [1, 2]), decoded(Decimal, "0.10")
    ((1, 2), Decimal('0.10'))
    """
    if kind is Any or kind is object:
        return cast("T", value)
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return cast("T", _option(kind, value, at))
    if origin is tuple:
        return cast("T", _many(kind, value, at))
    if origin is Literal:
        return cast("T", value)  # a newer server may know more of them
    if origin is not None:  # a mapping
        return cast("T", _mapping(kind, value, at))
    if is_dataclass(kind):
        return cast("T", _record(kind, value, at))
    return cast("T", _plain(kind, value, at))


def _option(kind: Any, value: Any, at: str) -> Any:
    if value is None:
        return None
    (inner,) = (one for one in get_args(kind) if one is not type(None))
    return decoded(inner, value, at)


def _many(kind: Any, value: Any, at: str) -> Any:
    if not isinstance(value, list):
        raise _unlike(at, "a list")
    return tuple(decoded(get_args(kind)[0], one, f"{at}[{number}]") for number, one in enumerate(value))


def _mapping(kind: Any, value: Any, at: str) -> Any:
    if not isinstance(value, dict):
        raise _unlike(at, "an object")
    return {key: decoded(get_args(kind)[1], one, f"{at}.{key}") for key, one in value.items()}


def _record(kind: Any, value: Any, at: str) -> Any:
    if not isinstance(value, Mapping):
        raise _unlike(at, "an object")
    found: dict[str, Any] = {}
    for name, hint, needed in _parts(kind):
        if name in value:
            found[name] = decoded(hint, value[name], f"{at}.{name}")
        elif needed:
            raise _unlike(f"{at}.{name}", "a value")
    return kind(**found)


@cache
def _parts(kind: Any) -> tuple[tuple[str, Any, bool], ...]:
    hints = get_type_hints(kind)
    return tuple(
        (one.name, hints[one.name], one.default is MISSING and one.default_factory is MISSING) for one in fields(kind)
    )


def _plain(kind: Any, value: Any, at: str) -> Any:
    try:
        if kind is datetime and isinstance(value, str):
            return datetime.fromisoformat(value.replace("Z", "+00:00"))
        if kind is Decimal and isinstance(value, str):
            return Decimal(value)
    except (ValueError, InvalidOperation) as error:
        raise _unlike(at, f"a {kind.__name__}") from error
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise _unlike(at, f"a {kind.__name__}")
    return value


def _unlike(at: str, wanted: str) -> Unreadable:
    return Unreadable(
        f"the answer is not what this client knows: {at} should be {wanted}",
        remedy="client and server should be of one version; does the address lead to promptprop serve?",
    )
