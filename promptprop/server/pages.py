"""Cursor pagination: a page of items, and an opaque cursor that names where the next one begins."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar, cast

from fastapi import Query, Response
from pydantic import BaseModel, Field

from promptprop.server.problems import Refused

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)
LIMIT = 50
MOST = 500

Limit = Annotated[int, Query(ge=1, le=MOST, description="Items at most.")]
Cursor = Annotated[
    str | None, Query(max_length=400, description="`next_cursor` of the page before; the first page unless given.")
]


class Page(BaseModel, Generic[T]):
    """A page; `next_cursor` is null on the last one."""

    items: list[T]
    next_cursor: str | None = Field(None, description="Pass it as `cursor` to get the next page.")


def written(model: M) -> M:
    """The model as an answer that is JSON already, for what is read often.

    FastAPI would validate it once more, in another thread, and encode it with the interpreter's own encoder.
    """
    return cast("M", Response(model.model_dump_json(), media_type="application/json"))


def encoded(*position: Any) -> str:
    """A cursor that holds this position.

    >>> decoded(encoded("2026-01-01T00:00:00Z", "abc"), str, str)
    ['2026-01-01T00:00:00Z', 'abc']
    """
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


def decoded(cursor: str | None, *parts: Callable[[Any], Any]) -> list[Any] | None:
    """The position that a cursor holds, each part converted; None for no cursor. Raises Refused."""
    if cursor is None:
        return None
    try:
        raw = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        position = json.loads(raw)
        if not isinstance(position, list) or len(position) != len(parts):
            raise ValueError
        if any(isinstance(one, dict | list) or one is None for one in position):
            raise ValueError
        return [convert(one) for convert, one in zip(parts, position, strict=True)]
    except (ValueError, TypeError, binascii.Error, OverflowError, RecursionError) as error:
        raise Refused(400, "bad_cursor", "this cursor is none of ours", remedy="begin without a cursor") from error


def page_of(
    found: Sequence[Any], limit: int, position: Callable[[Any], tuple[Any, ...]]
) -> tuple[list[Any], str | None]:
    """A page of at most `limit` of what was found, asked for one more than that, and the cursor of the next one."""
    shown = list(found[:limit])
    return shown, encoded(*position(shown[-1])) if len(found) > limit else None
