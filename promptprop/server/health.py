"""Whether the server lives, and whether it can do its work."""

from __future__ import annotations

import logging
import shutil
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from promptprop import __version__
from promptprop.adapters.storage.connection import sqlite_file
from promptprop.domain.errors import PromptPropError
from promptprop.server.context import Context, Ctx

log = logging.getLogger("promptprop.server")
router = APIRouter(tags=["service"])
LEAST_BYTES = 200 * 2**20  # of free disk, below which no run should begin


class Health(BaseModel):
    """That the server answers."""

    status: Literal["ok"] = "ok"
    version: str = __version__


class Part(BaseModel):
    """One thing that the server needs."""

    ok: bool
    detail: str = Field("", description="What is wrong, or how much there is.")


class Readiness(BaseModel):
    """Whether the server can take requests, and why not."""

    status: Literal["ready", "draining", "unavailable"]
    database: Part
    queue: Part
    disk: Part

    model_config = {
        "json_schema_extra": {
            "examples": [
                {
                    "status": "ready",
                    "database": {"ok": True, "detail": ""},
                    "queue": {"ok": True, "detail": "0 queued, 1 running"},
                    "disk": {"ok": True, "detail": "52.1 GB free"},
                }
            ]
        }
    }


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz")
async def healthz() -> Health:
    """The process answers. Looks at nothing else."""
    return Health()


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", responses={503: {"model": Readiness, "description": "Not ready, or about to end."}})
async def readyz(context: Ctx, response: Response) -> Readiness:
    """Database, queue and disk can be used. 503 where one cannot, or the server is about to end."""
    database = await run_in_threadpool(_database, context)
    queue = await _queue(context)
    disk = await run_in_threadpool(_disk, context)
    whole = database.ok and queue.ok and disk.ok
    status: Literal["ready", "draining", "unavailable"] = "ready" if whole else "unavailable"
    if context.draining:
        status = "draining"
    if status != "ready":
        response.status_code = 503
    return Readiness(status=status, database=database, queue=queue, disk=disk)


def _database(context: Context) -> Part:
    file = sqlite_file(context.settings.url)
    if file is not None and not file.exists():  # what is written now is gone with the server
        log.error("the file of the database is no longer there: %s; end the server, and put it back", file)
        return Part(ok=False, detail="cannot be used (its file was removed)")
    try:
        context.store.run_counts()
    except PromptPropError as error:
        return _failed("database", error)
    return Part(ok=True)


async def _queue(context: Context) -> Part:
    try:
        depth = await context.service.queue.depth()
    except PromptPropError as error:
        return _failed("queue", error)
    return Part(ok=True, detail=f"{depth.queued} queued, {depth.running} running")


def _failed(name: str, error: PromptPropError) -> Part:
    """What anyone may know, for probes bring no token; the log tells the rest."""
    log.warning("the %s cannot be used: %s", name, error.message)
    return Part(ok=False, detail=f"cannot be used ({error.code})")


def _disk(context: Context) -> Part:
    free = shutil.disk_usage(context.settings.folder).free
    return Part(ok=free >= LEAST_BYTES, detail=f"{free / 10**9:.1f} GB free")
