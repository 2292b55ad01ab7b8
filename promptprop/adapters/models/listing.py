"""Which models a server offers, from its own listing: OpenAI's, Anthropic's, Gemini's, Cohere's and Ollama's shapes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from promptprop.adapters.logs import redact, redact_answer, register_secret, register_url
from promptprop.adapters.models.listing_http import Page, get_page, listing_session, unreadable, who
from promptprop.adapters.models.listing_sources import Source
from promptprop.domain.errors import CallTimedOut, ModelError, RequestRefused, UnknownModel
from promptprop.domain.models import storable

if TYPE_CHECKING:
    from aiohttp import ClientSession

SECONDS = 5.0  # for all pages of one server together
MOST_PAGES = 50
ANSWERING = ("generateContent", "embedContent")  # of Gemini's methods, those that a run can use
_CONTEXT = ("context_length", "context_window", "max_context_length", "max_model_len", "max_input_tokens",
            "inputTokenLimit")  # fmt: skip


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model as a configuration names it; `context` is how many tokens it reads, None where the server is silent."""

    name: str
    context: int | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """What one server said: its models, or why there are none.

    `age` is in seconds, 0 for what was asked just now. `skew` is how many seconds the server's clock is ahead of this
    machine's, None where it did not say; a second of it is nothing.
    """

    source: Source
    models: tuple[ListedModel, ...] = ()
    error: ModelError | None = None
    age: float = 0.0
    skew: float | None = None


async def ask_all(sources: Iterable[Source], seconds: float = SECONDS) -> list[Listing]:
    """Ask every server side by side, in the order given; a failure is an entry with its error, and ends nothing."""
    wanted = list(sources)
    if not wanted:
        return []  # what is kept from a moment ago needs no client at all
    async with listing_session() as session:
        return list(await asyncio.gather(*(_ask(session, source, seconds) for source in wanted)))


async def _ask(session: ClientSession, source: Source, seconds: float) -> Listing:
    if source.key:
        register_secret(source.key)
    register_url(source.base)
    pages: list[Page] = []
    try:
        models = await asyncio.wait_for(_models(session, source, pages), seconds)
    except asyncio.TimeoutError:
        message = f"{who(source)}: no complete answer within {seconds:g} s"
        error = CallTimedOut(message, remedy=f"does {redact(source.base)} answer? Check network, VPN and proxy")
        return Listing(source, error=error)
    except ModelError as failed:
        return Listing(source, error=failed)
    return Listing(source, tuple(models), skew=next((page.skew for page in pages if page.skew is not None), None))


async def _models(session: ClientSession, source: Source, pages: list[Page]) -> list[ListedModel]:
    """All pages of one listing, as models in alphabetical order. Raises ModelError."""
    if not source.base:
        raise RequestRefused(f"{who(source)}: this provider does not list its models", remedy="name one you know")
    found: dict[str, ListedModel] = {}
    path, cursor = _path_of(source), ""
    for _ in range(MOST_PAGES):
        try:
            page = await get_page(session, source, path, _query(source, cursor))
        except UnknownModel:
            if source.dialect != "openai" or not source.alias or pages:
                raise
            page = await get_page(session, source, "/api/tags", {}, root=True)  # Ollama at its own address
        pages.append(page)
        for model in _listed(source, page.body):
            found.setdefault(model.name, model)
        following = _cursor(source, page.body)
        if not following or following == cursor:
            break
        cursor = following
    return [found[name] for name in sorted(found)]


def _path_of(source: Source) -> str:
    return {"anthropic": "/v1/models", "gemini": "/v1beta/models"}.get(source.dialect, "/models")


def _query(source: Source, cursor: str) -> dict[str, str]:
    if source.dialect == "anthropic":
        return {"limit": "1000", **({"after_id": cursor} if cursor else {})}
    if source.dialect == "gemini":
        return {"pageSize": "1000", **({"pageToken": cursor} if cursor else {})}
    if source.dialect == "cohere":
        return {"page_size": "1000", **({"page_token": cursor} if cursor else {})}
    return {}


def _cursor(source: Source, body: Any) -> str:
    """What the next page is asked with; empty after the last one."""
    if not isinstance(body, Mapping):
        return ""
    if source.dialect == "anthropic":
        return str(body.get("last_id") or "") if body.get("has_more") else ""
    name = {"gemini": "nextPageToken", "cohere": "next_page_token"}.get(source.dialect, "")
    return str(body.get(name) or "")


def _listed(source: Source, body: Any) -> list[ListedModel]:
    """The models of one page. Raises UnreadableAnswer where it is no listing."""
    rows = body if isinstance(body, list) else None
    if isinstance(body, Mapping):
        rows = next((body[name] for name in ("data", "models") if isinstance(body.get(name), list)), None)
        if rows is None and source.dialect == "gemini" and not body.get("error"):
            rows = []  # Gemini leaves empty lists out
    if rows is None:
        raise unreadable(source)
    return [model for row in rows if isinstance(row, Mapping) and (model := _model(source, row))]


def _model(source: Source, row: Mapping[str, Any]) -> ListedModel | None:
    """One model, None where it has no name, or cannot answer in the ways that a run asks."""
    methods = row.get("supportedGenerationMethods")
    if isinstance(methods, list) and not any(method in ANSWERING for method in methods):
        return None
    named: list[str] = [row[key] for key in ("id", "name", "model") if isinstance(row.get(key), str)]
    name = redact_answer(storable(next(filter(None, named), ""))).strip()
    name = name.removeprefix("models/" if source.dialect == "gemini" else "")
    if not name:
        return None
    sizes = (row.get(key) for key in _CONTEXT)
    context = next((size for size in sizes if isinstance(size, int) and not isinstance(size, bool) and size > 0), None)
    return ListedModel(source.prefix + name, context)
