"""Answers that refuse become errors which tell all that the server said."""

from __future__ import annotations

import httpx
import pytest

from promptprop.client import errors
from promptprop.domain.errors import PromptPropError

BODY = {
    "type": "about:blank",
    "title": "Unprocessable Entity",
    "status": 422,
    "detail": "config:3: task is missing",
    "code": "config",
    "remedy": "write one",
    "problems": [{"message": "task is missing", "place": "config:3"}, {"message": "b", "remedy": "c"}],
    "request_id": "5f0c",
}


def test_an_error_keeps_all_that_the_answer_says() -> None:
    error = errors.error_of(httpx.Response(422, json=BODY))
    assert isinstance(error, errors.BadRequest)
    assert (error.status, error.code, error.detail) == (422, "config", "config:3: task is missing")
    assert (error.remedy, error.request_id) == ("write one", "5f0c")
    assert [str(one) for one in error.problems] == ["config:3: task is missing", "b → c"]
    assert str(error) == "422 config: config:3: task is missing\n    → write one"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.BadRequest), (401, errors.NotAllowed), (403, errors.NotAllowed), (404, errors.NotFound),
        (405, errors.BadRequest), (409, errors.Conflict), (413, errors.BadRequest), (421, errors.NotAllowed),
        (429, errors.TooMany), (500, errors.ServerFailed), (502, errors.ServerFailed), (507, errors.ServerFailed),
    ],
)  # fmt: skip
def test_the_status_decides_the_class(status: int, kind: type[errors.ApiError]) -> None:
    error = errors.error_of(httpx.Response(status, json={**BODY, "status": status}))
    assert type(error) is kind
    assert isinstance(error, PromptPropError)


@pytest.mark.parametrize(
    "content", [b"<html>Bad Gateway</html>", b"[]", b'{"detail": [1], "problems": ["x"]}', b"\xff"]
)
def test_an_answer_that_is_not_in_our_form_is_an_error_all_the_same(content: bytes) -> None:
    error = errors.error_of(httpx.Response(502, content=content, headers={"x-request-id": "7", "retry-after": "5"}))
    assert (error.code, error.detail, error.problems) == ("http_502", "Bad Gateway", ())
    assert (error.request_id, error.retry_after) == ("7", 5.0)


def test_a_status_that_nobody_knows_is_an_error_too() -> None:
    assert str(errors.error_of(httpx.Response(299 + 300))) == "599 http_599: an unknown status"
