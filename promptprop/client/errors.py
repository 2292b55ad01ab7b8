"""What may go wrong between a program and a server; each error says the remedy where the server knows one.

ClientError (PromptPropError)
├── Unreachable        no answer: refused, cut off, too slow; also after the tries that were allowed
├── Unreadable         an answer that is none of this API's
├── WaitedTooLong      a run was still going on when the time to wait for it was over
└── ApiError           the server said no; `status`, `code`, `problems` and `request_id` tell what
    ├── BadRequest     400, 405, 413, 415, 422, …
    ├── NotAllowed     401, 403, 421
    ├── NotFound       404
    ├── Conflict       409
    ├── TooMany        429
    └── ServerFailed   5xx
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from promptprop.domain.errors import PromptPropError

if TYPE_CHECKING:
    import httpx


@dataclass(frozen=True, slots=True)
class ProblemItem:
    """One thing that is wrong in what was sent; `place` is a dotted key or file:line:column."""

    message: str
    place: str | None = None
    remedy: str | None = None

    def __str__(self) -> str:
        """The problem in one line, place first."""
        head = f"{self.place}: {self.message}" if self.place else self.message
        return f"{head} → {self.remedy}" if self.remedy else head


class ClientError(PromptPropError):
    """Base of what this client raises."""

    exit_code = 4
    code = "client"


class Unreachable(ClientError):
    """The server gave no answer."""

    code = "unreachable"


class Unreadable(ClientError):
    """What answered is not this API, or another version of it."""

    code = "unreadable"


class WaitedTooLong(ClientError):
    """A run goes on, and the time to wait for it is over."""

    code = "waited_too_long"


class ApiError(ClientError):
    """The server refused a request, or failed at it. `code` is the server's own, such as run_not_found."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        remedy: str = "",
        problems: tuple[ProblemItem, ...] = (),
        request_id: str = "",
        retry_after: float | None = None,
    ) -> None:
        """Keep what the answer says."""
        super().__init__(detail, remedy=remedy)
        self.status = status
        self.code = code  # type: ignore[misc]  # of this answer, not of the class
        self.detail = detail
        self.problems = problems
        self.request_id = request_id
        self.retry_after = retry_after

    def __str__(self) -> str:
        """Status and detail, the remedy below."""
        head = f"{self.status} {self.code}: {self.detail}"
        return f"{head}\n    → {self.remedy}" if self.remedy else head


class BadRequest(ApiError):
    """The request cannot be followed as it is; `problems` lists everything that is wrong."""


class NotAllowed(ApiError):
    """A token is missing, unknown or of too small a scope, or the server does not answer to this name."""


class NotFound(ApiError):
    """There is nothing of this name or id."""


class Conflict(ApiError):
    """What was asked does not fit the state that things are in."""


class TooMany(ApiError):
    """A limit of the server: requests a minute, or runs at once."""


class ServerFailed(ApiError):
    """The server, its database or its provider failed."""


_KINDS: dict[int, type[ApiError]] = {
    401: NotAllowed,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    421: NotAllowed,
    429: TooMany,
}


def error_of(response: httpx.Response) -> ApiError:
    """The error that an answer tells of, which has been read; also one that is not in the form of this API."""
    body = _problem(response)
    status = response.status_code
    kind = _KINDS.get(status, ServerFailed if status >= 500 else BadRequest)
    items = [one for one in body.get("problems") or () if isinstance(one, dict)]
    return kind(
        status,
        _text(body.get("code")) or f"http_{status}",
        _text(body.get("detail")) or _phrase(status),
        remedy=_text(body.get("remedy")),
        problems=tuple(
            ProblemItem(*(_text(one.get(name)) for name in ("message", "place", "remedy"))) for one in items
        ),
        request_id=_text(body.get("request_id")) or response.headers.get("x-request-id", ""),
        retry_after=seconds_of(response.headers.get("retry-after", "")),
    )


def seconds_of(text: str) -> float | None:
    """The seconds that a Retry-After asks for; None where it is absent, or a date.

    >>> seconds_of("3"), seconds_of(""), seconds_of("Wed, 21 Oct 2026 07:28:00 GMT")
    (3.0, None, None)
    """
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _problem(response: httpx.Response) -> dict[str, Any]:
    try:
        found = response.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "an unknown status"
