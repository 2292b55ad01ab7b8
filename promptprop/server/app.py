"""The application: routes, errors and OpenAPI, over a context that exists while the server runs."""

from __future__ import annotations

import importlib

from fastapi import APIRouter, FastAPI

from promptprop import __version__
from promptprop.server import document, problems
from promptprop.server.context import Context
from promptprop.server.etags import ETags
from promptprop.server.registry import ROUTERS, TAGS

ABOUT = (
    "Runs optimizations, evaluations and checks of prompts as jobs, and tells of them as they go. Times are RFC 3339 "
    "in UTC, money is a decimal text in USD, scores lie between 0 and 1. Errors are `application/problem+json`. Lists "
    "are pages: pass `next_cursor` as `cursor`. Reads carry an `ETag`. A POST with an `Idempotency-Key` is done once."
)


def build_app(context: Context) -> FastAPI:
    """The application over a context, which outlives it."""
    app = FastAPI(
        title="PromptProp",
        version=__version__,
        description=ABOUT,
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        generate_unique_id_function=document.operation_id,
        openapi_tags=[{"name": name, "description": text} for name, text in TAGS.items()],
    )
    app.state.context = context
    problems.install(app)
    for target in ROUTERS:
        app.include_router(router_of(target))
    app.add_middleware(ETags)
    document.install(app)
    return app


def router_of(target: str) -> APIRouter:
    """The router that a line of the registry names."""
    module, _, name = target.partition(":")
    router: APIRouter = getattr(importlib.import_module(module), name)
    return router
