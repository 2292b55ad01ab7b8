"""Errors on the wire: `application/problem+json` (RFC 9457) with a `detail` that is always a text."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from promptprop.adapters.logs import redact
from promptprop.bootstrap.service import NotFound, NotPossible, TooManyRuns
from promptprop.bootstrap.uploads import Busy, TooLarge
from promptprop.domain import errors
from promptprop.domain.errors import InputError, PromptPropError
from promptprop.domain.models import storable
from promptprop.server.guards.answers import MEDIA_TYPE, problem_body

log = logging.getLogger("promptprop.server")
SHOWN = 50  # problems that one answer lists
LOCKED = "another process is working on the run"
UNLOCKING = "pause or cancel the run, and ask again once it has stopped"
LONGEST_PLACE = 300  # characters: a key may be anything

# The first class that fits decides, so subclasses come before their bases.
STATUSES: tuple[tuple[type[PromptPropError], int], ...] = (
    (errors.RunNotFound, 404),
    (NotFound, 404),
    (errors.AmbiguousRun, 409),
    (errors.RunLocked, 409),
    (errors.SnapshotMismatch, 409),
    (TooLarge, 413),
    (Busy, 503),
    (TooManyRuns, 429),
    (NotPossible, 409),
    (errors.UsageError, 400),
    (errors.InputError, 422),
    (errors.StorageFull, 507),
    (errors.StorageError, 503),
    (errors.OfflineWorldError, 422),
    (errors.UnknownModel, 422),
    (errors.ModelError, 502),
    (errors.TooManyErrors, 502),
    (errors.UnusableReplies, 502),
    (errors.BaselineMissing, 409),
    (errors.BudgetExhausted, 409),
)


class ProblemItem(BaseModel):
    """One thing that is wrong in what was sent."""

    message: str
    place: str | None = Field(None, description="Where it stands: a dotted key, or file:line:column.")
    remedy: str | None = None


class ProblemDetails(BaseModel):
    """An error. `detail` says what happened, `remedy` what to do."""

    type: str = Field("about:blank", description="Always about:blank: `code` tells errors apart.")
    title: str
    status: int
    detail: str
    code: str = Field(description="A stable name, such as run_not_found.")
    remedy: str | None = None
    problems: list[ProblemItem] | None = Field(None, description="Everything that is wrong, where there is more.")
    request_id: str | None = Field(None, description="Stands in the server's log, too.")

    model_config = {
        "json_schema_extra": {
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Not Found",
                    "status": 404,
                    "detail": "no run answers to 'abcd'",
                    "code": "run_not_found",
                    "request_id": "5f0c6a0e7b1f4c62",
                }
            ]
        }
    }


class Refused(Exception):
    """What a route refuses with a status of its own."""

    def __init__(
        self, status: int, code: str, detail: str, *, remedy: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        """Keep what the answer says."""
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.remedy = remedy
        self.headers = dict(headers or {})


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of a route that may answer with these, besides what every route may answer."""
    known = {400, 401, 403, 421, 422, 429, 500, 503, *statuses}
    schema = {"$ref": "#/components/schemas/ProblemDetails"}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in sorted(known)
    }


def status_of(error: PromptPropError) -> int:
    """The HTTP status that an error of the tree answers with."""
    return next((status for kind, status in STATUSES if isinstance(error, kind)), 500)


def told(text: str) -> str:
    """A text as strangers may see it: no secrets, and no paths of the machine beyond the project."""
    text, folder = storable(redact(text)), str(Path.cwd())
    return text.replace(f"{folder}/", "").replace(folder, ".") if folder != "/" else text


def problem(
    request: Request,
    status: int,
    code: str,
    detail: str,
    *,
    remedy: str = "",
    problems: Sequence[Mapping[str, Any]] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """The answer that tells of an error."""
    body = problem_body(
        status,
        code,
        told(detail),
        remedy=told(remedy),
        problems=problems[:SHOWN],
        request_id=getattr(request.state, "request_id", None),
    )
    return JSONResponse(body, status, headers=headers, media_type=MEDIA_TYPE)


def of_error(request: Request, error: Exception) -> JSONResponse:
    """The answer to an error of the tree. What went wrong inside is logged, and not shown."""
    if not isinstance(error, PromptPropError) or status_of(error) == 500:
        return of_failure(request, error)
    if isinstance(error, errors.RunLocked):  # which process it is, and how to end it, is for people on its machine
        return problem(request, 409, error.code, LOCKED, remedy=UNLOCKING)
    items = problem_items(error)
    remedy = error.remedy or (items[0].remedy or "" if len(items) == 1 else "")
    problems = [one.model_dump(exclude_none=True) for one in items]
    detail = sentence_of(items) or error.message
    return problem(request, status_of(error), error.code, detail, remedy=remedy, problems=problems)


def sentence_of(items: Sequence[ProblemItem]) -> str:
    """The first three problems in a line."""
    shown = [placed(one) for one in items[:3]]
    more = [f"and {len(items) - len(shown)} more"] if len(items) > len(shown) else []
    return "; ".join([*shown, *more])


def placed(item: ProblemItem) -> str:
    """A problem with its place before it, once."""
    named = not item.place or item.message.startswith(f"{item.place}: ")
    return item.message if named else f"{item.place}: {item.message}"


def problem_items(error: PromptPropError) -> list[ProblemItem]:
    """What is wrong with an input, as strangers may see it; nothing for other errors."""
    return [
        ProblemItem(
            message=told(one.message),
            place=told(str(one.place)) if one.place else None,
            remedy=told(one.remedy) or None,
        )
        for one in (error.problems if isinstance(error, InputError) else ())
    ]


def of_refusal(request: Request, error: Exception) -> JSONResponse:
    """The answer to `Refused`."""
    assert isinstance(error, Refused)  # noqa: S101 - starlette hands over what was registered
    return problem(request, error.status, error.code, error.detail, remedy=error.remedy, headers=error.headers)


def of_validation(request: Request, error: Exception) -> JSONResponse:
    """The answer to a body, path or query that does not fit its schema, or to a body that is not said to be JSON."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    if any(one["loc"] == ("body",) and isinstance(one.get("input"), bytes) for one in found):
        remedy = "send JSON, and Content-Type: application/json"
        return problem(request, 415, "media_type", "the body is not said to be JSON", remedy=remedy)
    items = [
        ProblemItem(place=told(".".join(map(str, one["loc"]))[:LONGEST_PLACE]), message=told(_said(one["msg"])))
        for one in found[:SHOWN]
    ]
    problems = [one.model_dump(exclude_none=True) for one in items]
    return problem(request, 422, "invalid", sentence_of(items) or "the request does not fit", problems=problems)


def _said(message: object) -> str:
    """What a validator says, without what the framework puts before the words of ours."""
    return str(message).removeprefix("Value error, ")


def of_http(request: Request, error: Exception) -> JSONResponse:
    """The answer to what the framework refuses: unknown paths, wrong methods."""
    assert isinstance(error, HTTPException)  # noqa: S101 - starlette hands over what was registered
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_").replace("'", "")
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(request.app.state.allowed(request.scope["path"])) or headers.get("Allow", "")
    unread = error.status_code == 400 and isinstance(error.__cause__, ValueError)
    detail = "the body cannot be read as JSON in UTF-8" if unread else str(error.detail)
    return problem(request, error.status_code, code, detail, headers=headers)


def of_failure(request: Request, error: Exception) -> JSONResponse:
    """The answer to a mistake of ours: what happened stands in the log alone."""
    log.error("a request failed", exc_info=error, extra={"path": request.scope.get("path", "")})
    sentence = "an internal error; the server's log tells what happened under this request's id"
    return problem(request, 500, "internal", sentence)


def install(app: FastAPI) -> None:
    """Answer every error in one form."""
    app.add_exception_handler(PromptPropError, of_error)
    app.add_exception_handler(Refused, of_refusal)
    app.add_exception_handler(RequestValidationError, of_validation)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(Exception, of_failure)
