"""API tokens: random secrets, of which the hash alone is stored.

The hash is one round of SHA-256. A slow hash protects what people choose, since it can be guessed; these secrets are 32
random bytes, which nobody guesses at any speed, and each request has to be answered for the price of one hash.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, or_, select, update

from promptprop.adapters.storage.connection import serialize
from promptprop.adapters.storage.database import Database
from promptprop.adapters.storage.runs import PREFIX, utc_now
from promptprop.adapters.storage.tables import api_tokens
from promptprop.domain.errors import UsageError
from promptprop.domain.models import storable
from promptprop.ports import SCOPES, Scope, TokenRow

MARK = "pp_"  # by which leaked secrets are found
BYTES = 32
LONGEST = 200  # characters of a secret or name that are worth a look
USED_EVERY = timedelta(minutes=1)
REMEDY = "`promptprop token list` shows ids and names"


class TokenRows(Database):
    """The part of the store that keeps API tokens."""

    async def create_token(
        self, name: str, scope: Scope, *, max_runs: int | None = None, expires_at: datetime | None = None
    ) -> tuple[TokenRow, str]:
        """A new token and its secret, which is stored nowhere.

        Raises UsageError for a name that a token in force has, and for what no token can be.
        """
        name = storable(name).strip()
        _require_sound(name, scope, max_runs, expires_at)
        secret = MARK + secrets.token_urlsafe(BYTES)
        row = TokenRow(secrets.token_hex(8), name, scope, utc_now(), max_runs, expires_at)

        def work(connection: Connection) -> None:
            serialize(connection, "tokens")  # or two processes would find a name free
            if connection.execute(_in_force().where(api_tokens.c.name == name)).first():
                raise UsageError(
                    f"a token in force is named {name!r}", remedy=f"choose another name, or revoke it: {REMEDY}"
                )
            values = {column: getattr(row, column) for column in ("id", "name", "created_at", "max_runs", "expires_at")}
            connection.execute(api_tokens.insert(), {**values, "hash": _hash(secret), "scopes": scope})

        await self.write(work)
        return row, secret

    def find_token(self, secret: str) -> TokenRow | None:
        """The token in force that has this secret; None for anything else, whatever it is."""
        if not secret.startswith(MARK) or len(secret) > LONGEST or not secret.isascii():
            return None
        wanted = _hash(secret)
        with self.reading() as connection:
            found = connection.execute(_in_force().where(api_tokens.c.hash == wanted)).first()
        if found is None or not hmac.compare_digest(found.hash, wanted):
            return None
        return _token_of(found)

    def tokens(self) -> list[TokenRow]:
        """All tokens, newest first, those that are expired or revoked among them."""
        statement = select(api_tokens).order_by(api_tokens.c.created_at.desc(), api_tokens.c.id)
        with self.reading() as connection:
            return [_token_of(row) for row in connection.execute(statement)]

    def has_tokens(self) -> bool:
        """Whether any token is in force."""
        with self.reading() as connection:
            return connection.execute(_in_force().limit(1)).first() is not None

    async def revoke_token(self, reference: str) -> TokenRow:
        """Revoke the token of this id, name, or unambiguous beginning of an id; a second time is a no-op.

        A name stands for its token in force. Raises UsageError where no token, or several, answer to it.
        """
        wanted = storable(reference)

        def work(connection: Connection) -> TokenRow:
            found = _named(connection.execute(select(api_tokens)).all(), wanted)
            if found.revoked_at is None:
                change = update(api_tokens).where(api_tokens.c.id == found.id, api_tokens.c.revoked_at.is_(None))
                connection.execute(change.values(revoked_at=utc_now()))
            return _token_of(connection.execute(select(api_tokens).where(api_tokens.c.id == found.id)).one())

        return await self.write(work)

    async def touch_token(self, token_id: str) -> None:
        """Note that a token is used; stored once a minute at most, and reading tells whether that is over."""
        now, used = utc_now(), api_tokens.c.used_at
        due = (api_tokens.c.id == token_id) & or_(used.is_(None), used < now - USED_EVERY)
        with self.reading() as connection:
            if connection.execute(select(api_tokens.c.id).where(due)).first() is None:
                return
        await self.write(lambda connection: connection.execute(update(api_tokens).where(due).values(used_at=now)))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _in_force() -> Select[Any]:
    expires = api_tokens.c.expires_at
    lasting = or_(expires.is_(None), expires > utc_now())
    return select(api_tokens).where(api_tokens.c.revoked_at.is_(None), lasting)


def _require_sound(name: str, scope: str, max_runs: int | None, expires_at: datetime | None) -> None:
    if not name or len(name) > LONGEST or not name.isprintable():
        raise UsageError(f"{name!r} cannot name a token", remedy=f"use 1 to {LONGEST} printable characters")
    if scope not in SCOPES:
        raise UsageError(f"the scope {scope!r} is not known", remedy=f"use one of {', '.join(SCOPES)}")
    if max_runs is not None and max_runs < 0:
        raise UsageError("a token cannot hold less than 0 runs", remedy="leave the limit out where there is none")
    if expires_at is not None and expires_at <= utc_now():
        raise UsageError("the token would have expired already", remedy="let it expire later, or never")


def _named(rows: Any, wanted: str) -> Row[Any]:
    """The one token that answers to an id, a name, or the beginning of an id, tried in this order."""
    by_name = [row for row in rows if row.name == wanted]
    in_force = [row for row in by_name if row.revoked_at is None]
    found: list[Row[Any]] = [row for row in rows if row.id == wanted] or in_force[-1:]
    if not found and by_name:
        found = [max(by_name, key=lambda row: row.revoked_at)]
    if not found and len(wanted) >= PREFIX:
        found = [row for row in rows if row.id.startswith(wanted)]
    if len(found) != 1:
        said = "no token answers" if not found else "several tokens answer"
        raise UsageError(f"{said} to {wanted!r}", remedy=REMEDY)
    return found[0]


def _token_of(row: Row[Any]) -> TokenRow:
    return TokenRow(
        id=row.id,
        name=row.name,
        scope=row.scopes,
        created_at=row.created_at,
        max_runs=row.max_runs,
        expires_at=row.expires_at,
        used_at=row.used_at,
        revoked_at=row.revoked_at,
    )
