"""Who may ask, and what was done: tokens, the audit log, and what a caller is told of itself."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from promptprop.ports import SCOPES, Scope, TokenRow
from promptprop.server.api.runs import Closed, order_of
from promptprop.server.auth import Admin, Reader
from promptprop.server.context import Ctx
from promptprop.server.pages import Cursor, Limit, Page, decoded, page_of
from promptprop.server.problems import Refused, answers
from promptprop.server.times import Time

router = APIRouter(prefix="/api/v1", tags=["tokens"])
TokenId = Annotated[str, Path(min_length=1, max_length=100, description="A token's id.")]
LARGEST = 2**63 - 1
EXAMPLE: dict[str, Any] = {"name": "ci", "scope": "run", "max_runs": 4, "expires_at": "2027-06-30T00:00:00Z"}


class Token(BaseModel):
    """A token without its secret."""

    id: str
    name: str
    scope: Scope = Field(description="read: look; run: also begin and steer runs; admin: also tokens and the audit.")
    state: Literal["in force", "expired", "revoked"]
    max_runs: int | None = Field(description="Its queued and running runs at most; null: what the server allows.")
    created_at: Time
    expires_at: Time | None
    used_at: Time | None = Field(description="To the minute.")
    revoked_at: Time | None


class NewToken(Token):
    """A token with its secret, which is shown this once."""

    token: str = Field(description="What requests send as `Authorization: Bearer …`; the server keeps its hash alone.")


class TokenRequest(Closed):
    """A token that is to be made."""

    name: str = Field(min_length=1, max_length=200, description="Who or what will hold it.")
    scope: Scope = "read"
    max_runs: int | None = Field(None, ge=0, le=10**6, description="Its queued and running runs at most.")
    expires_at: AwareDatetime | None = Field(None, description="When it ends; never unless given.")

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})


class AuditEntry(BaseModel):
    """One act, or one that was turned away. Nothing of what a request said is in it."""

    id: int
    at: Time
    request_id: str
    actor: str = Field(description="A token's id, `local` for a program on the server's machine, empty for nobody.")
    action: str = Field(description="Method and route.")
    target: str = Field(description="The path.")
    status: int
    address: str
    detail: str


class CallerLimits(BaseModel):
    """How much the server takes."""

    runs: int = Field(description="Runs that this caller may have queued and running at once.")
    rows: int = Field(description="Rows of a dataset.")
    upload_mb: int = Field(description="Size of an uploaded dataset in megabytes.")
    body_mb: int = Field(description="Size of any other request's body in megabytes.")
    requests_per_minute: int


class Me(BaseModel):
    """Who asks."""

    id: str = Field(description="The token's; empty for a program on the server's machine that sent none.")
    name: str
    scope: Scope
    live_runs: int = Field(description="Runs that are queued or running.")
    limits: CallerLimits


def token_of(row: TokenRow) -> Token:
    """A token as the API tells of it."""
    return Token(
        id=row.id,
        name=row.name,
        scope=row.scope,
        state=row.state(datetime.now(timezone.utc)),
        max_runs=row.max_runs,
        created_at=row.created_at,
        expires_at=row.expires_at,
        used_at=row.used_at,
        revoked_at=row.revoked_at,
    )


def utc_of(moment: datetime) -> datetime:
    """A time in UTC. Raises Refused where no calendar holds it there."""
    try:
        return moment.astimezone(timezone.utc)
    except OverflowError as error:
        raise Refused(422, "invalid", "expires_at is beyond all calendars", remedy="name an earlier time") from error


@router.get("/me", responses=answers())
def show_caller(context: Ctx, caller: Reader) -> Me:
    """Who asks, and what it may."""
    limits = context.settings.serve.limits
    return Me(
        id=caller.id,
        name=caller.name,
        scope=caller.scope,
        live_runs=context.store.live_runs_of(caller.id),
        limits=CallerLimits(
            runs=context.service.most_runs(order_of(caller)),
            rows=limits.rows,
            upload_mb=limits.body_mb,
            body_mb=limits.json_mb,
            requests_per_minute=limits.rate_per_minute,
        ),
    )


@router.get("/tokens", responses=answers())
def list_tokens(context: Ctx, _caller: Admin, limit: Limit = 50, cursor: Cursor = None) -> Page[Token]:
    """Tokens, newest first; those that have expired or were revoked stay listed."""
    after = decoded(cursor, int)
    start = max(0, after[0]) if after else 0
    found = context.store.tokens()[start : start + limit + 1]
    shown, following = page_of(found, limit, lambda _row: (start + limit,))
    return Page(items=[token_of(row) for row in shown], next_cursor=following)


@router.post("/tokens", status_code=201, responses=answers(409, 413, 415))
async def create_token(body: TokenRequest, response: Response, context: Ctx, caller: Admin) -> NewToken:
    """Make a token. Its secret is told this once, and never stored: the request takes no Idempotency-Key.

    A name that a token in force has is refused, so that a request that is sent twice makes one token.
    """
    if SCOPES.index(body.scope) > SCOPES.index(caller.scope):
        raise Refused(403, "scope", f"the token has the scope {caller.scope}, and gives no larger one")
    now = datetime.now(timezone.utc)
    known = await run_in_threadpool(context.store.tokens)
    if any(row.name == body.name.strip() and row.state(now) == "in force" for row in known):
        remedy = "choose another name, or revoke that token first"
        raise Refused(409, "token_exists", "a token in force has this name", remedy=remedy)
    expires = utc_of(body.expires_at) if body.expires_at else None
    row, secret = await context.store.create_token(body.name, body.scope, max_runs=body.max_runs, expires_at=expires)
    response.headers["Location"] = f"/api/v1/tokens/{row.id}"
    return NewToken(**dict(token_of(row)), token=secret)


@router.get("/tokens/{token}", responses=answers(404))
def show_token(token: TokenId, context: Ctx, _caller: Admin) -> Token:
    """A token without its secret."""
    return token_of(_existing(context.store.tokens(), token))


@router.delete("/tokens/{token}", responses=answers(404))
async def revoke_token(token: TokenId, context: Ctx, _caller: Admin) -> Token:
    """Revoke a token: it is refused from the next request on. Its runs go on. A second time changes nothing."""
    row = _existing(await run_in_threadpool(context.store.tokens), token)
    return token_of(await context.store.revoke_token(row.id))


def _existing(rows: list[TokenRow], token: str) -> TokenRow:
    found = next((row for row in rows if row.id == token), None)
    if found is None:
        raise Refused(404, "token_not_found", "no token has this id", remedy="GET /api/v1/tokens lists them")
    return found


@router.get("/audit", responses=answers())
async def list_audit(context: Ctx, _caller: Admin, limit: Limit = 50, cursor: Cursor = None) -> Page[AuditEntry]:
    """What was changed and who was turned away, newest first: what this server has answered so far is in it."""
    after = decoded(cursor, int)
    await context.trail.told()
    found = await run_in_threadpool(context.store.audit_page, limit + 1, min(after[0], LARGEST) if after else None)
    shown, following = page_of(found, limit, lambda row: (row.id,))
    items = [AuditEntry(**{name: getattr(row, name) for name in AuditEntry.model_fields}) for row in shown]
    return Page(items=items, next_cursor=following)
