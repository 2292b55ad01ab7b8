"""Which of several forms an answer takes: `format` says it, else the Accept header does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from fastapi import Request

Form = TypeVar("Form", bound=str)


def form_of(request: Request, asked: Form | None, media: Mapping[Form, str]) -> Form:
    """The form that is asked for; the first of `media` where neither says one that there is."""
    if asked is not None:
        return asked
    known = {kind: form for form, kind in media.items()}
    weighed = [_weighed(part) for part in request.headers.get("accept", "").lower().split(",")[:50]]
    for kind, _ in sorted(weighed, key=lambda pair: -pair[1]):
        if kind in known:
            return known[kind]
        if kind in ("*/*", "application/*"):
            break
    return next(iter(media))


def _weighed(part: str) -> tuple[str, float]:
    """A media range of an Accept header with its weight.

    >>> _weighed("text/markdown; q=0.5"), _weighed("*/*"), _weighed("text/html;q=x")
    (('text/markdown', 0.5), ('*/*', 1.0), ('text/html', 0.0))
    """
    kind, *parameters = (one.strip() for one in part.split(";"))
    weight = next((one.removeprefix("q=") for one in parameters if one.startswith("q=")), "1")
    try:
        return kind, float(weight)
    except ValueError:
        return kind, 0.0
