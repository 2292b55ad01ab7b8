"""Models that the server reaches, configurations without a run, tokens, and the server itself."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from promptprop.client.call import Call, Listing, as_text, given, json_of, listing, path, reads
from promptprop.client.calls.runs import Config, source
from promptprop.client.values import AuditEntry, JsonObject, Me, NewToken, Token, Validity

Scope = Literal["read", "run", "admin"]
Activity = Literal["optimize", "evaluate"]


def list_models(*, provider: str | None = None, refresh: bool = False) -> Call[JsonObject]:
    """The models that the server's keys reach, by provider, with prices where they are known."""
    params = given(provider=provider, refresh=True if refresh else None)
    return Call("GET", path("models"), json_of, params, repeatable=True)


def ping(model: str, *, api_base: str | None = None) -> Call[JsonObject]:
    """Make one small call to a model; what went wrong stands in `error`."""
    return Call("POST", path("models", "ping"), json_of, body=given(model=model, api_base=api_base))


def validate(config: Config, *, activity: Activity = "optimize", dataset: str | None = None) -> Call[Validity]:
    """Whether a configuration could be run, and all that is wrong with it. Free."""
    body = source(config) | given(activity=activity, dataset=dataset)
    return Call("POST", path("configs", "validate"), reads(Validity), body=body, repeatable=True)


def plan(config: Config, *, activity: Activity = "optimize", dataset: str | None = None) -> Call[JsonObject]:
    """Calls, tokens, money and the smallest provable gain: the document of `promptprop plan --json`. Free."""
    body = source(config) | given(activity=activity, dataset=dataset)
    return Call("POST", path("configs", "plan"), json_of, body=body, repeatable=True)


def schema() -> Call[JsonObject]:
    """The JSON schema of configurations."""
    return Call("GET", path("configs", "schema"), json_of, repeatable=True)


def list_tokens() -> Listing[Token]:
    """Tokens, newest first. Needs the scope admin."""
    return listing(Token, path("tokens"), limit=200)


def create_token(
    name: str, scope: Scope = "read", *, max_runs: int | None = None, expires_at: datetime | None = None
) -> Call[NewToken]:
    """Make a token; its secret is told this once. Needs the scope admin."""
    ends = None if expires_at is None else expires_at.isoformat()
    body = {"name": name, "scope": scope, **given(max_runs=max_runs, expires_at=ends)}
    return Call("POST", path("tokens"), reads(NewToken), body=body)


def show_token(token: str) -> Call[Token]:
    """A token by its id. Needs the scope admin."""
    return Call("GET", path("tokens", token), reads(Token), repeatable=True)


def revoke_token(token: str) -> Call[Token]:
    """End a token, by its id. Needs the scope admin."""
    return Call("DELETE", path("tokens", token), reads(Token), repeatable=True)


def audit() -> Listing[AuditEntry]:
    """What was done and what was turned away, newest first. Needs the scope admin."""
    return listing(AuditEntry, path("audit"), limit=200)


def me() -> Call[Me]:
    """Who this client is to the server."""
    return Call("GET", path("me"), reads(Me), repeatable=True)


def health() -> Call[JsonObject]:
    """That the server answers, and its version."""
    return Call("GET", "/healthz", json_of, repeatable=True)


def ready() -> Call[JsonObject]:
    """Database, queue and disk. ServerFailed where one of them cannot be used."""
    return Call("GET", "/readyz", json_of)


def metrics() -> Call[str]:
    """Counts and times in Prometheus' format."""
    return Call("GET", "/metrics", as_text, repeatable=True)
