"""A request as a value: what to send, and how to read the answer. Both clients send the same ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import quote

from promptprop.client.decoding import decoded
from promptprop.client.errors import Unreadable

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
PREFIX = "/api/v1"


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request. `repeatable`: sent twice, it does what it does once; `keyed`: so it is under an Idempotency-Key."""

    method: str
    path: str
    read: Callable[[httpx.Response], T] = field(repr=False)
    params: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    upload: Path | bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = False
    keyed: bool = False

    def query(self) -> list[tuple[str, str]]:
        """The parameters that were given, as they are sent: lists repeat their name."""
        found: list[tuple[str, str]] = []
        for name, value in self.params.items():
            many = value if isinstance(value, list | tuple) else [value]
            found += [(name, _text(one)) for one in many if one is not None]
        return found


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of a list; `next_cursor` is None on the last one."""

    items: tuple[T, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A list in pages: the call for the first one. `parameter` takes the cursor of the next."""

    first: Call[Page[T]]
    parameter: str = "cursor"

    def after(self, page: Page[T]) -> Call[Page[T]] | None:
        """The call for the page after this one; None where there is none."""
        if page.next_cursor is None:
            return None
        return replace(self.first, params={**self.first.params, self.parameter: page.next_cursor})


def path(*parts: str) -> str:
    """A path of the native API, each part escaped.

    >>> path("runs", "a/b ü", "cancel")
    '/api/v1/runs/a%2Fb%20%C3%BC/cancel'
    """
    if "" in parts:
        raise ValueError("an id or a name is empty")
    return "/".join([PREFIX, *(quote(part, safe="@") for part in parts)])


def given(**values: Any) -> dict[str, Any]:
    """Those that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def listing(kind: type[T], where: str, **params: Any) -> Listing[T]:
    """A list of `kind` in pages."""

    def read(response: httpx.Response) -> Page[T]:
        body = json_of(response)
        items = body.get("items") if isinstance(body, dict) else None
        return Page(decoded(tuple[kind, ...], items, "$.items"), body.get("next_cursor") if items is not None else None)  # type: ignore[valid-type]

    return Listing(Call("GET", where, read, params, repeatable=True))


def reads(kind: type[T]) -> Callable[[httpx.Response], T]:
    """Reads a JSON answer as a `kind`."""
    return lambda response: decoded(kind, json_of(response))


def as_text(response: httpx.Response) -> str:
    """The answer as a text."""
    return response.text


def as_nothing(response: httpx.Response) -> None:
    """An answer that is empty."""


def json_of(response: httpx.Response) -> Any:
    """The JSON of an answer. Raises Unreadable."""
    try:
        return response.json()
    except ValueError as error:
        kind = response.headers.get("content-type", "no content type")
        raise Unreadable(
            f"{response.request.url.path} answered {response.status_code} with {kind} instead of JSON",
            remedy="the base_url should lead to promptprop serve",
        ) from error


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
