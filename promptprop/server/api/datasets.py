"""Stored datasets: listed, shown, read by the page, and split as a run would split them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal

from anyio import to_thread
from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from promptprop.domain.models import Json, Row, Split
from promptprop.ports import DatasetHead, DatasetRow
from promptprop.server.api.runs import Closed
from promptprop.server.auth import Admin, Reader
from promptprop.server.context import Context, Ctx
from promptprop.server.pages import Cursor, Limit, Page, decoded, encoded, page_of
from promptprop.server.problems import Refused, answers
from promptprop.server.times import Time

router = APIRouter(prefix="/api/v1", tags=["datasets"])
DatasetId = Annotated[str, Path(min_length=1, max_length=100, description="A dataset's id.")]
PAGE_BYTES = 4_000_000  # of rows, after which a page ends before its limit
CHUNK = 25  # rows that are read at once
LABELS = 50  # that one split lists
LARGEST = 2**31 - 1


class SplitCounts(BaseModel):
    """Rows by split; `none` counts those whose file named none."""

    train: int = 0
    select: int = 0
    test: int = 0
    none: int = 0


class DatasetSummary(BaseModel):
    """A stored dataset in a list."""

    id: str = Field(description="A fingerprint of its rows: runs name it as `dataset`.")
    name: str
    size: int = Field(description="Rows.")
    created_at: Time


class Dataset(DatasetSummary):
    """A stored dataset without its rows."""

    columns: list[str] = Field(description="The variables that prompts can use.")
    splits: SplitCounts = Field(description="As its file said.")


class DatasetItem(BaseModel):
    """A row."""

    position: int = Field(description="In the file, from 0.")
    id: str
    inputs: dict[str, Json]
    expected: Json
    soft_negatives: list[Json]
    hard_negatives: list[Json]
    tags: list[str]
    cluster: str | None
    weight: float
    split: str | None = Field(description="As the file said.")


class SplitPart(BaseModel):
    """The rows of one split."""

    rows: int
    labels: dict[str, int] = Field(description="Rows by expected answer, the most frequent 50; empty where free text.")


class SplitPlan(BaseModel):
    """Where rows would go."""

    train: SplitPart
    select: SplitPart
    test: SplitPart
    carried: bool = Field(
        description="Whether the rows carry splits of their own: then shares and seed change nothing."
    )


class Shares(Closed):
    """How rows are split; the usual shares and seed unless given."""

    train: float = Field(0.4, ge=0, le=1)
    select: float = Field(0.3, ge=0, le=1)
    test: float = Field(0.3, ge=0, le=1)
    seed: int = Field(7, ge=-(2**63), le=2**63 - 1)


def split_counts(counts: Mapping[str, int]) -> SplitCounts:
    """Rows by split as the API tells them."""
    return SplitCounts(**{name or "none": count for name, count in counts.items()})


def head_of(context: Context, dataset_id: str) -> DatasetHead:
    """The dataset of an id. Raises Refused (404)."""
    found = context.store.dataset_head(dataset_id)
    if found is None:
        raise Refused(404, "dataset_not_found", "no dataset has this id", remedy="GET /api/v1/datasets lists them")
    return found


def summary_of(head: DatasetHead) -> DatasetSummary:
    """A dataset as a list shows it."""
    return DatasetSummary(id=head.id, name=head.name, size=head.size, created_at=head.created_at)


def detail_of(context: Context, dataset_id: str) -> Dataset:
    """A dataset without its rows. Raises Refused (404)."""
    head = head_of(context, dataset_id)
    first = context.store.dataset_rows(head.id, limit=1)
    columns = list(first[0].example.inputs) if first else []
    splits = split_counts(context.store.dataset_splits(head.id))
    return Dataset(**dict(summary_of(head)), columns=columns, splits=splits)


def item_of(row: DatasetRow) -> DatasetItem:
    """A row as the API shows it."""
    example = row.example
    return DatasetItem.model_construct(
        position=row.position,
        id=example.id,
        inputs=dict(example.inputs),
        expected=example.expected,
        soft_negatives=list(example.soft_negatives),
        hard_negatives=list(example.hard_negatives),
        tags=list(example.tags),
        cluster=example.cluster,
        weight=example.weight,
        split=example.split,
    )


@router.get("/datasets", responses=answers())
def list_datasets(context: Ctx, _caller: Reader, limit: Limit = 50, cursor: Cursor = None) -> Page[DatasetSummary]:
    """Stored datasets, newest first."""
    after = decoded(cursor, datetime.fromisoformat, str)
    found = context.store.dataset_heads(limit + 1, (after[0], after[1]) if after else None)
    shown, following = page_of(found, limit, lambda head: (head.created_at.isoformat(), head.id))
    return Page(items=[summary_of(head) for head in shown], next_cursor=following)


@router.get("/datasets/{dataset}", responses=answers(404))
def show_dataset(dataset: DatasetId, context: Ctx, _caller: Reader) -> Dataset:
    """A dataset without its rows."""
    return detail_of(context, dataset)


@router.delete("/datasets/{dataset}", status_code=204, responses=answers(404, 409))
async def remove_dataset(dataset: DatasetId, context: Ctx, _caller: Admin) -> Response:
    """Erase a dataset that no run was made of; those that were are erased first."""
    head = await run_in_threadpool(head_of, context, dataset)
    if runs := await context.store.delete_dataset(head.id):
        told = "1 run was" if runs == 1 else f"{runs} runs were"
        remedy = "remove those first, or keep it: without its rows they could neither be resumed nor read"
        raise Refused(409, "not_possible", f"{told} made of this dataset", remedy=remedy)
    return Response(status_code=204)


@router.get("/datasets/{dataset}/rows", responses=answers(404))
def list_rows(
    dataset: DatasetId,
    context: Ctx,
    _caller: Reader,
    limit: Limit = 50,
    cursor: Cursor = None,
    split: Annotated[Literal["train", "select", "test"] | None, Query(description="As the file said.")] = None,
) -> Page[DatasetItem]:
    """Rows in the order of the file; a page of large rows ends before its limit."""
    after = decoded(cursor, int)
    position = max(-1, min(after[0], LARGEST)) if after else -1
    head = head_of(context, dataset)
    items: list[DatasetItem] = []
    size = 0
    while True:
        wanted = min(CHUNK, limit - len(items) + 1)
        found = context.store.dataset_rows(head.id, position, wanted, split)
        for row in found:
            if len(items) == limit or (items and size > PAGE_BYTES):
                return Page(items=items, next_cursor=encoded(items[-1].position))
            items.append(item_of(row))
            size += len(json.dumps([items[-1].inputs, items[-1].expected]))
        if len(found) < wanted:
            return Page(items=items, next_cursor=None)
        position = found[-1].position


@router.get("/datasets/{dataset}/split", responses=answers(404))
async def plan_split(
    dataset: DatasetId, context: Ctx, _caller: Reader, shares: Annotated[Shares, Query()]
) -> SplitPlan:
    """How many rows of which labels a run with these shares would learn from, choose by, and keep sealed."""
    return await to_thread.run_sync(split_plan, context, dataset, shares, limiter=context.heavy)


def split_plan(context: Context, dataset: str, shares: Shares) -> SplitPlan:
    """Where the rows of a dataset would go. Raises Refused, DataError."""
    from promptprop.domain.sampling import split_rows

    if abs(shares.train + shares.select + shares.test - 1) > 1e-9:
        raise Refused(422, "invalid", "train, select and test do not sum to 1", remedy="give all three")
    rows = context.store.rows(head_of(context, dataset).id)
    ratios: dict[Split, float] = {"train": shares.train, "select": shares.select, "test": shares.test}
    found = split_rows(rows, ratios, shares.seed)
    parts = {name: part_of(found.get(name, ()), rows) for name in ratios}
    return SplitPlan(**parts, carried=any(row.split for row in rows))


def part_of(part: Sequence[Row], rows: Sequence[Row]) -> SplitPart:
    """What one split holds; labels are told where there are few of them."""
    kinds = len({row.stratum for row in rows})
    counted = Counter(row.stratum for row in part if row.stratum) if kinds <= len(rows) / 4 else Counter[str]()
    return SplitPart(rows=len(part), labels=dict(counted.most_common(LABELS)))
