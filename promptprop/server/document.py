"""The OpenAPI document of the application, and what may be asked of a path by it."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.routing import compile_path

from promptprop.server import problems
from promptprop.server.etags import PREFIX

JSON = "application/json"
SUPPOSED = ("HTTPValidationError", "ValidationError")  # errors as the framework would tell them


def install(app: FastAPI) -> None:
    """Answer the document, and let a wrong method be told the right ones."""
    app.openapi = lambda: document_of(app)  # type: ignore[method-assign]
    app.state.allowed = lambda path: allowed(app, path)


def operation_id(route: APIRoute) -> str:
    """The name of an operation, by which generated clients call it: its function's, told apart by its first tag."""
    words = [str(tag) for tag in route.tags[:1] if tag == "front end"]
    return "_".join([*words, route.name]).replace(" ", "_")


def document_of(app: FastAPI) -> dict[str, Any]:
    """The document: every error in its real form, and tokens as what is not always needed."""
    if app.openapi_schema:
        return app.openapi_schema
    document = get_openapi(
        title=app.title,
        version=app.version,
        openapi_version=app.openapi_version,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in SUPPOSED:
        schemas.pop(name, None)
    schema = problems.ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs", {}))
    schemas["ProblemDetails"] = schema
    for path, operations in document.get("paths", {}).items():
        for method, operation in operations.items():
            if operation.get("security"):
                operation["security"] = [*operation["security"], {}]  # a program on this machine needs none
            if method == "get" and path.startswith(PREFIX) and JSON in operation["responses"]["200"].get("content", {}):
                operation["responses"]["304"] = {"description": "The tag in If-None-Match still holds."}
    app.openapi_schema = document
    return document


def allowed(app: FastAPI, path: str) -> list[str]:
    """The methods that a path answers to.

    The framework tells those of the first route alone, where the methods of a path are routes of their own.
    """
    found: set[str] = set()
    for template, operations in document_of(app).get("paths", {}).items():
        if compile_path(template)[0].fullmatch(path):
            found |= {method.upper() for method in operations}
    return sorted(found)
