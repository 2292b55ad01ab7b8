"""Refusals as `application/problem+json`, for guards and routes alike."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from starlette.types import Scope, Send

MEDIA_TYPE = "application/problem+json"
Headers = Iterable[tuple[bytes, bytes]]


def problem_body(
    status: int,
    code: str,
    detail: str,
    *,
    remedy: str = "",
    problems: Sequence[Mapping[str, Any]] = (),
    request_id: str | None = None,
) -> dict[str, Any]:
    """The fields of an error on the wire; what is not known is left out."""
    body: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    body |= {"detail": detail, "code": code}
    optional = {"remedy": remedy, "problems": list(problems), "request_id": request_id}
    return {**body, **{name: value for name, value in optional.items() if value}}


async def refuse(
    scope: Scope, send: Send, status: int, code: str, detail: str, *, remedy: str = "", headers: Headers = ()
) -> None:
    """Answer a request that goes no further. `detail` and `remedy` hold nothing that the request said."""
    request_id = scope.get("state", {}).get("request_id")
    content = json.dumps(problem_body(status, code, detail, remedy=remedy, request_id=request_id)).encode()
    given = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(content)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": given})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else content})


def values_of(scope: Scope, name: bytes) -> list[bytes]:
    """Every value of a header of the request; names are in small letters."""
    return [value for header, value in scope["headers"] if header == name]
