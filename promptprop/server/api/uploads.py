"""Datasets as they come: a file is the body of a request, streamed to disk, then stored or looked at."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timezone
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from promptprop.bootstrap.uploads import MB, Bounds, Wanted
from promptprop.domain.models import Json
from promptprop.server.api.datasets import Dataset, SplitCounts, detail_of, split_counts
from promptprop.server.api.runs import Closed
from promptprop.server.auth import Runner
from promptprop.server.context import Context, Ctx
from promptprop.server.problems import Refused, answers

router = APIRouter(prefix="/api/v1", tags=["datasets"])
Format = Literal["jsonl", "json", "csv", "tsv", "yaml", "parquet"]
TYPES: dict[str, Format] = {
    "application/jsonl": "jsonl",
    "application/x-ndjson": "jsonl",
    "application/x-jsonlines": "jsonl",
    "application/json": "json",
    "text/csv": "csv",
    "text/tab-separated-values": "tsv",
    "application/yaml": "yaml",
    "application/x-yaml": "yaml",
    "application/vnd.apache.parquet": "parquet",
}
OTHERS = ("application/octet-stream", "application/gzip")
REMEDY = "send the file itself (curl --data-binary @FILE), and say ?format=jsonl, json, csv, tsv, yaml or parquet"
_ROWS = [{"text": "Where is my parcel?", "label": "returns"}, {"text": "Pay twice?", "label": "billing"}]
_FILE: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_LIST: dict[str, Any] = {"schema": {"type": "array", "items": {"type": "object"}}, "example": _ROWS}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The file as it is. A gzip file is known by its first bytes, and measured unpacked.",
        "content": {name: _LIST if name == "application/json" else _FILE for name in (*TYPES, *OTHERS)},
    }
}
Column = Annotated[str, Field(min_length=1, max_length=200)]


def column(text: str) -> Any:
    """A parameter that names a column."""
    return Field(None, min_length=1, max_length=200, description=text)


class UploadQuery(Closed):
    """What the columns of the file mean."""

    inputs: list[Column] = Field(
        min_length=1,
        max_length=100,
        description="Columns that fill variables of prompts; repeat it. Dots reach inside.",
    )
    name: str = Field("dataset", min_length=1, max_length=200, description="What lists call it.")
    format: Format | None = Field(None, description="Unless the content type says it.")
    expected: str | None = column("The column of the right answer.")
    id: str | None = column("The column of row ids; a hash of the inputs unless given.")
    cluster: str | None = column("The column of what belongs together: such rows go into one split.")
    tags: str | None = column("The column of tags: a list, or a text with commas.")
    weight: str | None = column("The column of weights.")
    split: str | None = column("The column that names each row's split: train, select or test.")
    soft_negatives: str | None = column("The column of what lowers a score.")
    hard_negatives: str | None = column("The column of what an answer must not say.")

    def columns(self) -> dict[str, Json]:
        """The columns by the words of `data`."""
        return self.model_dump(exclude={"name", "format"})


class Finding(BaseModel):
    """Something about rows that is worth a look."""

    id: str = Field(description="Of the rule, such as PD001.")
    name: str
    severity: Literal["error", "warning", "note"]
    message: str
    rows: list[str] = Field(description="The first few rows that it is about.")
    count: int = Field(description="How many rows that are.")
    remedy: str
    why: str


class Findings(BaseModel):
    """What is wrong with rows that can be read."""

    rows: int
    columns: list[str] = Field(description="The variables that prompts can use.")
    splits: SplitCounts = Field(description="As a run with the usual shares would split them.")
    split_problem: str = Field(description="Why they cannot be split; empty where they can.")
    findings: list[Finding]


def wanted_of(request: Request, query: UploadQuery) -> Wanted:
    """What an upload is, by its query and its content type. Raises Refused (415)."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind.startswith("multipart/"):
        raise Refused(415, "media_type", "a form is not taken", remedy=REMEDY)
    form = query.format or TYPES.get(kind)
    if form is None:
        raise Refused(415, "media_type", "the content type does not say how the rows are written", remedy=REMEDY)
    return Wanted(query.name, form, query.columns())


def bounds_of(context: Context) -> Bounds:
    """What the server takes."""
    limits = context.settings.serve.limits
    return Bounds(limits.body_mb * MB, limits.rows)


async def parts_of(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes. Raises Refused where the client goes away before its end."""
    try:
        async for part in request.stream():
            yield part
    except ClientDisconnect as error:
        raise Refused(400, "disconnected", "the client went away before the end of the body") from error


@router.post(
    "/datasets",
    status_code=201,
    openapi_extra=_BODY,
    responses={
        **answers(408, 413, 415, 507),
        200: {"model": Dataset, "description": "The same rows are stored already; they keep their first name."},
        201: {"model": Dataset, "description": "Stored. `Location` names it."},
    },
)
async def upload_dataset(
    request: Request, context: Ctx, _caller: Runner, query: Annotated[UploadQuery, Query()]
) -> Dataset:
    """Store a dataset: all of it, or nothing where a row cannot be read.

    Its id is a fingerprint of its contents: what is sent twice is stored once.
    """
    wanted, bounds, began = wanted_of(request, query), bounds_of(context), datetime.now(timezone.utc)
    async with context.uploads.received(parts_of(request), bounds) as file:
        said = await context.uploads.read(file, wanted, bounds, context.settings.url)
    detail = await run_in_threadpool(detail_of, context, said["id"])
    status = 201 if detail.created_at >= began else 200
    headers = {"Location": f"/api/v1/datasets/{detail.id}"}
    return JSONResponse(detail.model_dump(mode="json"), status, headers)  # type: ignore[return-value]


@router.post("/datasets/validate", openapi_extra=_BODY, responses=answers(408, 413, 415, 507))
async def validate_dataset(
    request: Request, context: Ctx, _caller: Runner, query: Annotated[UploadQuery, Query()]
) -> Findings:
    """Look for duplicates, contradictions, leaks between splits, odd labels. Stores nothing.

    Rows that cannot be read are told as on upload.
    """
    wanted, bounds = wanted_of(request, query), bounds_of(context)
    async with context.uploads.received(parts_of(request), bounds) as file:
        said = await context.uploads.read(file, wanted, bounds)
    return Findings(**{**said, "splits": split_counts(said["splits"])})
