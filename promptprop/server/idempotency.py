"""`Idempotency-Key`: a POST that is sent twice is done once, and answered alike both times."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Header, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from promptprop.domain.models import canonical
from promptprop.server.auth import Caller
from promptprop.server.context import Context
from promptprop.server.problems import Refused

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="Any text of your own, such as a UUID: with the same one, the same request is done once.",
    ),
]
REPLAYED = "Idempotency-Replayed"


async def once(
    request: Request,
    context: Context,
    caller: Caller,
    key: str | None,
    body: BaseModel,
    act: Callable[[], Awaitable[JSONResponse]],
) -> JSONResponse:
    """What `act` answers; under a key that was used before, what it answered then.

    A request that failed leaves its key free. Raises Refused (409 while the first one is under way, 422 where the key
    belongs to another request).
    """
    if key is None:
        return await act()
    whole = canonical([request.url.path, body.model_dump(mode="json")])
    fingerprint = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()
    known = await context.store.begin_request(caller.id, key, fingerprint)
    if known is not None:
        if known.fingerprint != fingerprint:
            raise Refused(422, "idempotency_key_reused", "this Idempotency-Key belongs to another request")
        if known.status is None:
            raise Refused(
                409, "idempotency_in_progress", "the request with this Idempotency-Key is under way",
                headers={"Retry-After": "1"},
            )  # fmt: skip
        headers = {"Location": known.location} if known.location else {}
        return JSONResponse(json.loads(known.body or "null"), known.status, headers={**headers, REPLAYED: "true"})
    try:
        response = await act()
        await context.store.keep_answer(
            caller.id, key, response.status_code, bytes(response.body).decode(), response.headers.get("location")
        )
    except BaseException:
        await context.store.drop_request(caller.id, key)
        raise
    return response
